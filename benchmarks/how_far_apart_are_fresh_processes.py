"""How far apart are the medians of fresh processes that measure the same model?

    python benchmarks/how_far_apart_are_fresh_processes.py [MODEL] [PROCESSES]

What one process measures hides what differs between processes: memory layout, frequency, and
neighbours on the machine. Prints the spread of the logarithm of the median over processes: its
standard deviation, and 1.48 times its median absolute deviation, which a few unlucky processes do
not move. `scaleprof.selection.BETWEEN_PROCESSES` covers the second; the unlucky ones are what
second processes and the check of the choice are for. The memory that a process grows by differs
too: `memory.process`.
"""

import math
import statistics
import sys

from scaleprof.jobs import MEASURE, MeasureReply, MeasureRequest
from scaleprof.models import parse_reference, resolve_model
from scaleprof.profiler._bench import RULE
from scaleprof.profiler._crew import Crew
from scaleprof.timing import median_interval
from scaleprof.workers import expect

MODEL = "timm:convnext_atto"
PROCESSES = 20


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else MODEL
    resolved = resolve_model(parse_reference(model))
    medians, within, grown = [], [], []
    with Crew(["timm"], device="cpu") as crew:
        for seed in range(int(sys.argv[2]) if len(sys.argv) > 2 else PROCESSES):
            request = MeasureRequest(
                call=resolved.call,
                inputs=resolved.inputs,
                dtype="float32",
                device="cpu",
                channels_last=False,
                rule=RULE,
                seed=seed,
            )
            reply = expect(crew.measure(MEASURE, request, MeasureReply), model)
            samples = reply.samples.samples
            assert reply.process is not None
            grown.append(reply.process)
            interval = median_interval(samples)
            assert interval is not None
            medians.append(statistics.median(samples))
            within.append(math.log(interval[1] / interval[0]) / (2 * 1.96))
    logs = [math.log(median) for median in medians]
    centre = statistics.median(logs)
    robust = 1.48 * statistics.median(abs(log - centre) for log in logs)
    low, high = 1e3 * min(medians), 1e3 * max(medians)
    print(f"{model}: {len(medians)} fresh processes")
    print(f"median of medians                    {1e3 * statistics.median(medians):.2f} ms")
    print(f"lowest / highest median              {low:.2f} / {high:.2f} ms")
    print(
        f"spread of ln between processes       {statistics.stdev(logs):.3f} (robust {robust:.3f})"
    )
    print(f"suggested by the samples of one      {statistics.median(within):.3f}")
    memory = statistics.stdev(math.log(growth) for growth in grown)
    print(f"the same of the memory they grow by  {memory:.3f}")


if __name__ == "__main__":
    main()
