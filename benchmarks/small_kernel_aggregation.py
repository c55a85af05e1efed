"""How fast is small-kernel aggregation, beside torch and beside moving the same bytes?

    python benchmarks/small_kernel_aggregation.py --out results

Needs an NVIDIA GPU with torch and Triton, and nothing else. Writes every sample to
`aggregation.json`, after each problem, so that what is done is kept. Kernels are compiled side by
side first; a problem whose kernel is wrong by float64, crashes or hangs costs nothing but itself.
After `--seconds` it starts no further problem, says which are missing, and exits with 3.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "kernels"))

import torch
from in_processes import (
    COMPILERS,
    INCOMPLETE,
    STEP_SECONDS,
    Failed,
    all_at_once,
    each_in_turn,
    until_interrupted,
)

from scaleprof_kernels._aggregate import plan_aggregate
from scaleprof_kernels._aggregate_backward import plan_aggregate_backward
from scaleprof_kernels._table import aggregation_table, failures
from scaleprof_kernels.bench import origin
from scaleprof_kernels.bench_aggregation import (
    COPY,
    OURS,
    PARTS,
    PASSES,
    TAILS,
    AggregationTiming,
    Pass,
    bench_aggregation,
    random_inputs,
    tail_contenders,
)
from scaleprof_kernels.check_aggregation import (
    AGGREGATION_OPERATIONS,
    Aggregation,
    check_one_aggregation,
)

COMPILE_SECONDS = 30

# the maps of LSNet at 224 pixels
MAPS = ((128, 28), (256, 14), (384, 7))
HALF, BRAIN, SINGLE = torch.float16, torch.bfloat16, torch.float32
# of the tail with its convolution those whose filters fit into registers
TAIL_MAPS = {"tail": MAPS, "conv_tail": MAPS[1:]}
# our time over the copy's: at most, and aimed for
GOALS = {"forward": (1.6, 1.2), "backward": (2.0, 1.4)}
# the best of torch's times over ours: at least, and aimed for
SPEED_UPS = (3.0, 8.0)
# the parts of the tail of an LS convolution over the fused tail: at least, and aimed for
TAIL_SPEED_UPS = (1.8, 2.5)
# of the fused tail beside its parts, which round in between: norm of the difference over the norm
TAIL_ERROR = 5e-3


def problem(channels, size, dtype=HALF, **given):
    return Aggregation(
        batch=256, channels=channels, groups=8, size=(size, size), dtype=dtype, **given
    )


def plan():
    """The problems, the most telling first, and whether torch's compiler contends.

    It takes many seconds for each; two problems show where it stands.
    """
    for operation in PASSES:
        for channels, size in MAPS:
            yield operation, problem(channels, size), False
    for operation in TAILS:
        for channels, size in TAIL_MAPS[operation]:
            yield operation, problem(channels, size), False
    for operation in ("forward", "backward"):
        for channels, size in MAPS:
            yield operation, problem(channels, size, BRAIN), False
            yield operation, problem(channels, size, channels_last=True), False
            yield operation, problem(channels, size, weight_dtype=SINGLE), False
            yield operation, problem(channels, size, SINGLE), False
    for operation in ("forward", "step"):
        yield operation, problem(256, 14), True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--seconds", type=float, default=80.0, help="start nothing after this")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("error: this benchmark needs an NVIDIA GPU that torch can use, found none")
    until = time.monotonic() + options.seconds
    options.out.mkdir(parents=True, exist_ok=True)
    compile_all(options.seconds)
    timings, missing = measure(until, options.out)
    print("results:")
    print("\n\n".join((origin(), aggregation_table(timings), goals(timings))))
    for line in (*failures(timings), *missing):
        print(f"warning: {line}")
    whole = len(list(plan()))
    print(f"summary: {whole - len(missing)} of {whole} problems timed, {verdicts(timings)}")
    sys.exit(INCOMPLETE if missing else 0)


def compile_all(seconds: float) -> None:
    began, wanted = time.monotonic(), list(plan())
    limit = min(COMPILE_SECONDS, seconds / 2)
    done = all_at_once(compiled, wanted, processes=COMPILERS, seconds=limit)
    print(f"{time.monotonic() - began:5.0f} s  compiled for {done} of {len(wanted)} problems")


def compiled(step) -> None:
    """Compile what a problem runs."""
    operation, given, _ = step
    if operation != "backward":
        plan_aggregate(given).compile()
    if operation in {"backward", "step"}:
        plan_aggregate_backward(given).compile()
    if operation in TAILS:
        # nothing to plan by: it is compiled for a few images as for many
        check_tail(operation, given)


def measure(until: float, out: Path) -> tuple[list[AggregationTiming], list[str]]:
    """Time problem after problem, writing what there is, until the time is over."""
    start = time.monotonic()
    timings: list[AggregationTiming] = []
    missing = {named(*step): "no time left for it" for step in plan()}
    outcomes = each_in_turn(timed, plan(), until=until, step_seconds=STEP_SECONDS)
    for step, found in until_interrupted(outcomes):
        name = named(*step)
        print(f"{time.monotonic() - start:5.0f} s  {name}", flush=True)
        if isinstance(found, Failed):
            missing[name] = found.reason
            continue
        del missing[name]
        # where the same was timed before without the compiler, what is known now replaces it
        again = {(t.operation, t.problem) for t in found}
        timings = [t for t in timings if (t.operation, t.problem) not in again] + found
        write(timings, out)
    return timings, [f"{name}: {why}" for name, why in missing.items()]


def named(operation, given, compilers) -> str:
    order = " NHWC" if given.channels_last else ""
    types = str(given.dtype).removeprefix("torch.")
    if given.weight_dtype is not None:
        types += f" by {str(given.weight_dtype).removeprefix('torch.')}"
    beside = ", torch.compile too" if compilers else ""
    return f"{operation}, {given.channels}×{given.size[0]}×{given.size[1]}{order}, {types}{beside}"


def timed(step) -> list[AggregationTiming]:
    """Time everyone on a problem, if the kernel is right; runs in a process of its own."""
    operation, given, compilers = step
    check_tail(operation, given) if operation in TAILS else check(given)
    return list(bench_aggregation(operation, given, compilers=compilers))


def check(given: Aggregation) -> None:
    """Refuse to time what is wrong: compare a few images with float64."""
    few = Aggregation(**{**asdict(given), "batch": 3})
    for operation in AGGREGATION_OPERATIONS:
        verdict = check_one_aggregation("few images", few, operation, device="cuda")
        if not verdict.passed:
            bits = "" if verdict.repeats else ", and other bits every time"
            raise RuntimeError(
                f"{operation} is wrong: {verdict.error:.1f} of at most {verdict.bound:g} times "
                f"what rounding explains{bits}"
            )


def check_tail(operation: Pass, given: Aggregation, device: str = "cuda") -> None:
    """Refuse to time a fused tail that is far from its parts."""
    few = Aggregation(**{**asdict(given), "batch": 3})
    tensors = random_inputs(operation, few, device=device)
    torch.manual_seed(0)
    got = tail_contenders(operation, few, device=device)[OURS](*tensors)
    # with the same norms
    torch.manual_seed(0)
    want = tail_contenders(operation, few, device=device)[PARTS](*tensors)
    error = float((got.double() - want.double()).norm() / want.double().norm())
    # a NaN is no number that is at most so large
    if not error <= TAIL_ERROR:
        raise RuntimeError(f"the tail is {error:.1e} off its parts, at most {TAIL_ERROR:g}")


def write(timings: list[AggregationTiming], folder: Path) -> None:
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
                text = times_faster(ours, fastest, "torch", SPEED_UPS)
                lines.append(f"{operation} {size}×{size}: {text}")
    for operation, maps in TAIL_MAPS.items():
        for channels, size in maps:
            here = medians(timings, operation, problem(channels, size))
            text = times_faster(here.get(OURS), here.get(PARTS), "its parts", TAIL_SPEED_UPS)
            lines.append(f"{operation} {size}×{size}: {text}")
    return "\n".join(lines)


def verdicts(timings) -> str:
    """How many goals are held, in one line."""
    words = [line.rpartition(": ")[2] for line in goals(timings).splitlines()]
    kinds = ("goal reached", "holds", "MISSED", "not measured")
    return ", ".join(f"{words.count(kind)} {kind}" for kind in kinds if kind in words)


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


def times_faster(ours, theirs, whose, bounds) -> str:
    if ours is None or theirs is None:
        return "not measured"
    least, aim = bounds
    ratio = theirs / ours
    verdict = "goal reached" if ratio >= aim else "holds" if ratio >= least else "MISSED"
    return f"{ratio:.1f} times as fast as {whose}, at least {least:g}, goal {aim:g}: {verdict}"


if __name__ == "__main__":
    main()
