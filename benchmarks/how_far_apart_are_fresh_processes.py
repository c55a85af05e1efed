"""How far apart are the medians of fresh processes that measure the same model, and why?

    python benchmarks/how_far_apart_are_fresh_processes.py [MODEL...] [--processes N]

What one process measures hides what differs between processes: memory layout, frequency, and
neighbours on the machine. Printed of each model, with processes of all models in turn:

- the spread of the logarithm of the median over processes: its standard deviation, and 1.48 times
  its median absolute deviation, which a few unlucky processes do not move
  (`scaleprof.selection.BETWEEN_PROCESSES` covers the second);
- that of the yardstick beside it, the slope of a model's logarithms on the yardstick's, and what is
  left of the spread with that slope and with the one that is used (`scaleprof.timing.FOLLOWS`);
- the spread that the samples of one process suggest, and that of the memory that processes grow by.
"""

import argparse
import math
import statistics
from collections import defaultdict

from scaleprof.jobs import MEASURE, MeasureReply, MeasureRequest
from scaleprof.models import ResolvedModel, parse_reference, resolve_model
from scaleprof.profiler._bench import RULE
from scaleprof.profiler._crew import Crew
from scaleprof.timing import FOLLOWS, median_interval, robust_spread
from scaleprof.workers import expect

MODELS = ("timm:convnext_atto",)
PROCESSES = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    given = parser.parse_args()
    resolved = {model: resolve_model(parse_reference(model)) for model in given.models}
    replies: dict[str, list[MeasureReply]] = defaultdict(list)
    with Crew(["timm"], device="cpu") as crew:
        for seed in range(given.processes):
            for model, found in resolved.items():
                outcome = crew.measure(MEASURE, request(found, seed), MeasureReply)
                replies[model].append(expect(outcome, model))
    print(
        "| model | processes, disturbed | median, ms | spread, robust | yardstick, ms | its spread "
        f"| slope | left | left at {FOLLOWS} | by samples of one | of memory |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    slopes = [row(model, of_one) for model, of_one in replies.items()]
    if len(slopes) > 1:
        deviation = statistics.stdev(slopes)
        print(f"slopes: mean {statistics.mean(slopes):.2f}, standard deviation {deviation:.2f}")


def request(model: ResolvedModel, seed: int) -> MeasureRequest:
    return MeasureRequest(
        call=model.call,
        inputs=model.inputs,
        dtype="float32",
        device="cpu",
        channels_last=False,
        rule=RULE,
        seed=seed,
    )


def row(model: str, replies: list[MeasureReply]) -> float:
    """Print what was found of a model; return its slope on the yardstick."""
    logs = [math.log(statistics.median(reply.samples.samples)) for reply in replies]
    host = [math.log(reply.samples.yardstick or math.nan) for reply in replies]
    slope, _ = statistics.linear_regression(host, logs)
    left = [statistics.stdev(without(logs, host, by)) for by in (slope, FOLLOWS)]
    within = statistics.median(map(width, replies))
    memory = statistics.stdev(math.log(reply.process or math.nan) for reply in replies)
    disturbed = sum(reply.contended for reply in replies)
    print(
        f"| {model} | {len(replies)}, {disturbed} | {1e3 * math.exp(statistics.median(logs)):.2f} "
        f"| {statistics.stdev(logs):.3f}, {robust_spread(logs):.3f} "
        f"| {1e3 * math.exp(statistics.median(host)):.2f} | {statistics.stdev(host):.3f} "
        f"| {slope:.2f} | {left[0]:.3f} | {left[1]:.3f} | {within:.3f} | {memory:.3f} |",
        flush=True,
    )
    return slope


def without(logs: list[float], host: list[float], slope: float) -> list[float]:
    """Take out what the host's speed has to do with latencies."""
    return [log - slope * by for log, by in zip(logs, host, strict=True)]


def width(reply: MeasureReply) -> float:
    """Standard error of the logarithm of the median that the samples of one process suggest."""
    interval = median_interval(reply.samples.samples)
    if interval is None:
        return math.nan
    return math.log(interval[1] / interval[0]) / (2 * 1.96)


if __name__ == "__main__":
    main()
