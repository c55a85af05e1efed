"""How fast is small-kernel aggregation, beside torch and beside moving the same bytes?

    python benchmarks/small_kernel_aggregation.py --out results

Needs an NVIDIA GPU with torch and Triton, and nothing else. Writes every sample to
`aggregation.json` and the table to `aggregation.txt`, after each problem, so that what is done is
kept. After `--seconds` it starts no further problem, and says which are missing.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "kernels"))

import torch

from scaleprof_kernels._table import aggregation_table, failures
from scaleprof_kernels.bench import origin
from scaleprof_kernels.bench_aggregation import (
    COPY,
    OURS,
    PASSES,
    AggregationTiming,
    bench_aggregation,
)
from scaleprof_kernels.check_aggregation import (
    AGGREGATION_OPERATIONS,
    Aggregation,
    check_one_aggregation,
)

# the maps of LSNet at 224 pixels
MAPS = ((128, 28), (256, 14), (384, 7))
HALF, BRAIN, SINGLE = torch.float16, torch.bfloat16, torch.float32
# our time over the copy's: at most, and aimed for
GOALS = {"forward": (1.6, 1.2), "backward": (2.0, 1.4)}
# the best of torch's times over ours: at least, and aimed for
SPEED_UPS = (3.0, 8.0)


def problem(channels, size, dtype=HALF, **given):
    return Aggregation(
        batch=256, channels=channels, groups=8, size=(size, size), dtype=dtype, **given
    )


def plan():
    """The problems, the most telling first; torch's compiler contends where it takes least."""
    for operation in PASSES:
        for channels, size in MAPS:
            yield operation, problem(channels, size), operation != "backward" and size == 14
    for operation in ("forward", "backward"):
        for channels, size in MAPS:
            yield operation, problem(channels, size, BRAIN), False
            yield operation, problem(channels, size, channels_last=True), False
            yield operation, problem(channels, size, weight_dtype=SINGLE), False
            yield operation, problem(channels, size, SINGLE), False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--seconds", type=float, default=80.0, help="start nothing after this")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("error: this benchmark needs an NVIDIA GPU that torch can use, found none")
    options.out.mkdir(parents=True, exist_ok=True)
    timings, missing = measure(options.seconds, options.out)
    print((options.out / "aggregation.txt").read_text())
    for line in (*failures(timings), *(f"no time left for {m}" for m in missing)):
        print(f"warning: {line}")


def measure(seconds: float, out: Path) -> tuple[list[AggregationTiming], list[str]]:
    """Time problem after problem, writing what there is, until the time is over."""
    timings, missing = [], []
    start = time.monotonic()
    for operation, given, compilers in plan():
        if time.monotonic() - start > seconds:
            missing.append(f"{operation} {given}")
            continue
        check(given)
        timings += bench_aggregation(operation, given, compilers=compilers)
        write(timings, out)
        print(f"{time.monotonic() - start:5.0f} s  {operation} {given}", flush=True)
    return timings, missing


def check(given: Aggregation) -> None:
    """Refuse to time what is wrong: compare a few images with float64."""
    few = Aggregation(**{**asdict(given), "batch": 3})
    for operation in AGGREGATION_OPERATIONS:
        assert check_one_aggregation("few images", few, operation, device="cuda").passed


def write(timings: list[AggregationTiming], folder: Path) -> None:
    text = "\n\n".join((origin(), aggregation_table(timings), goals(timings)))
    (folder / "aggregation.txt").write_text(text + "\n")
    rows = [asdict(timing) for timing in timings]
    record = {"origin": origin(), "timings": rows}
    (folder / "aggregation.json").write_text(json.dumps(record, indent=1, default=str) + "\n")


def goals(timings: list[AggregationTiming]) -> str:
    """One line per goal in float16."""
    lines = []
    for operation, (most, aim) in GOALS.items():
        for channels, size in MAPS:
            here = medians(timings, operation, problem(channels, size))
            ours, copy = here.pop(OURS, None), here.pop(COPY, None)
            lines.append(f"{operation} {size}×{size}: {against_floor(ours, copy, most, aim)}")
            if operation == "forward":
                fastest = min(here.values(), default=None)
                lines.append(f"{operation} {size}×{size}: {against_torch(ours, fastest)}")
    return "\n".join(lines)


def medians(timings, operation, given) -> dict[str, float]:
    return {
        t.contender: t.median_s
        for t in timings
        if (t.operation, t.problem) == (operation, given) and t.median_s is not None
    }


def against_floor(ours, copy, most, aim) -> str:
    if ours is None or copy is None:
        return "not measured"
    ratio = ours / copy
    verdict = "goal reached" if ratio <= aim else "holds" if ratio <= most else "MISSED"
    return f"{ratio:.2f} of the floor, at most {most}, goal {aim}: {verdict}"


def against_torch(ours, fastest) -> str:
    if ours is None or fastest is None:
        return "not measured"
    least, aim = SPEED_UPS
    ratio = fastest / ours
    verdict = "goal reached" if ratio >= aim else "holds" if ratio >= least else "MISSED"
    return f"{ratio:.1f} times torch, at least {least:g}, goal {aim:g}: {verdict}"


if __name__ == "__main__":
    main()
