"""How fast is depthwise convolution, beside torch and beside copying the same bytes?

    python benchmarks/depthwise_conv2d.py --out results

Needs an NVIDIA GPU with torch and Triton, and nothing else. Writes every sample to `timings.json`,
with what was fastest, which `use_choices` reads: after each problem, so that what is done is kept.
Kernels are compiled side by side first; what is wrong by float64 is not timed, and a problem that
crashes or hangs costs nothing but itself. After `--seconds` it starts no further problem, says
which are missing, and exits with 3.
"""

import argparse
import itertools
import json
import subprocess
import sys
import time
from dataclasses import asdict, replace
from functools import cache
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

from scaleprof_kernels._choices import can_run
from scaleprof_kernels._kernels import launches
from scaleprof_kernels._launch import capability_of
from scaleprof_kernels._table import failures, timings_table
from scaleprof_kernels.bench import (
    Timing,
    bench,
    bench_compilers,
    chosen,
    measured_choices,
    origin,
)
from scaleprof_kernels.check import (
    bound_of,
    in_float64,
    random_tensors,
    run_variant,
    same_size,
    worst_error,
)

COMPILE_SECONDS = 40
# channels that are held against float64
FEW = 8
DEVICE = "cuda"

MAPS, TAPS = (14, 28, 56), (7, 13, 17, 31)
HALF, BRAIN, SINGLE = torch.float16, torch.bfloat16, torch.float32
# forward, µs: at most, and aimed for
GOALS = {
    (14, 7): (10, 5), (14, 13): (10, 5), (14, 17): (10, 5), (14, 31): (10, 5),
    (28, 7): (35, 18), (28, 13): (45, 22), (28, 17): (55, 27), (28, 31): (110, 50),
    (56, 7): (130, 75), (56, 13): (170, 90), (56, 17): (220, 110), (56, 31): (450, 230),
}  # fmt: skip
# torch's compiler takes many seconds for each; two problems show where it stands
COMPILED = ((28, 7), (28, 13))


def problem(size, taps, dtype=HALF, **kwargs):
    return same_size(
        batch=32, channels=384, size=(size, size), kernel=(taps, taps), dtype=dtype, **kwargs
    )


def plan():
    """The problems, the most telling first."""
    every = list(itertools.product(MAPS, TAPS))
    for operation in ("forward", "weight_grad", "input_grad"):
        yield from ((operation, problem(size, taps)) for size, taps in every)
    yield from (("forward", problem(*given, SINGLE)) for given in every if given[1] in {7, 13})
    yield from (("forward", problem(28, taps, channels_last=True)) for taps in (7, 13))
    yield from (("forward", problem(*given, BRAIN)) for given in every)
    yield from (("weight_grad", problem(size, 7, SINGLE)) for size in MAPS)
    for size, taps in itertools.product((28, 56), (7, 13)):
        yield "input_grad", problem(size, taps, stride=(2, 2))
    for operation in ("forward", "input_grad", "weight_grad"):
        yield operation, problem(28, 13, SINGLE, tf32=True)


def main() -> None:
    options = arguments()
    if not torch.cuda.is_available():
        sys.exit("error: this benchmark needs an NVIDIA GPU that torch can use, found none")
    until = time.monotonic() + options.seconds
    print(origin(), clocks(), sep="\n", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    compile_all(options.seconds)
    timings, missing = measure(until, options.out)
    print("results:")
    print("\n\n".join((origin(), clocks(), timings_table(timings), goals(timings))))
    for line in (*failures(timings), *missing):
        print(f"warning: {line}")
    whole = len(list(steps()))
    print(f"summary: {whole - len(missing)} of {whole} problems timed, {verdicts(timings)}")
    sys.exit(INCOMPLETE if missing else 0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--seconds", type=float, default=200.0, help="start nothing after this")
    return parser.parse_args()


def steps():
    """The problems, and last what torch's compiler makes of some."""
    yield from plan()
    yield from (("torch.compile", problem(size, taps)) for size, taps in COMPILED)


def compile_all(seconds: float) -> None:
    began, wanted = time.monotonic(), list(plan())
    limit = min(COMPILE_SECONDS, seconds / 2)
    done = all_at_once(compiled, wanted, processes=COMPILERS, seconds=limit)
    print(f"{time.monotonic() - began:5.0f} s  compiled for {done} of {len(wanted)} problems")


def compiled(step) -> None:
    """Compile what a problem runs."""
    operation, given = step
    capability = capability_of(torch.device("cuda"))
    for variant in worth_compiling(given):
        if can_run(variant, operation, given):
            for launch in launches(variant, operation, given, capability=capability):
                launch.compile()


def measure(until: float, out: Path) -> tuple[list[Timing], list[str]]:
    """Time problem after problem, writing what there is, until the time is over."""
    start = time.monotonic()
    timings: list[Timing] = []
    missing = {named(*step): "no time left for it" for step in steps()}
    outcomes = each_in_turn(timed, steps(), until=until, step_seconds=STEP_SECONDS)
    for step, found in until_interrupted(outcomes):
        name = named(*step)
        if isinstance(found, Failed):
            missing[name] = found.reason
            print(f"{time.monotonic() - start:5.0f} s  {name}: {found.reason}", flush=True)
            continue
        del missing[name]
        timings += found
        write(timings, out)
        medians = (f"{t.contender} {1e6 * t.median_s:.1f}" for t in found if t.median_s)
        print(f"{time.monotonic() - start:5.0f} s  {name}: {', '.join(medians)} µs", flush=True)
    return timings, [f"{name}: {why}" for name, why in missing.items()]


def named(what, given) -> str:
    order = " NHWC" if given.channels_last else ""
    images = f"{given.size[0]}×{given.size[1]}{order}"
    kind = "TF32" if given.tf32 else str(given.dtype).removeprefix("torch.")
    stride = f", stride {given.stride[0]}" if given.stride != (1, 1) else ""
    return f"{what}, {images}, {given.kernel[0]} taps, {kind}{stride}"


def timed(step) -> list[Timing]:
    """Time everyone on a problem; runs in a process of its own."""
    what, given = step
    # exact float32 beside exact float32, and rounded beside rounded
    torch.backends.cudnn.allow_tf32 = given.tf32
    torch.backends.cudnn.benchmark = True
    if what == "torch.compile":
        return list(bench_compilers(given))
    wrong = {v: why for v in worth_compiling(given) if (why := what_is_wrong(v, what, given))}
    right = [variant for variant in worth_compiling(given) if variant not in wrong]
    return [
        *bench(what, given, variants=right),
        *(
            Timing(operation=what, problem=given, contender=variant, failure=why)
            for variant, why in wrong.items()
        ),
    ]


def worth_compiling(given):
    """Our kernels, without the direct one where it is many times the tensor cores' time."""
    half = given.dtype != SINGLE and not given.channels_last
    return ("toeplitz",) if half and max(given.kernel) > 7 else ("toeplitz", "direct")


def what_is_wrong(variant, operation, given) -> str | None:
    """Run a kernel on the whole problem, and compare a few channels with float64."""
    if not can_run(variant, operation, given):
        return None
    tensors = random_tensors(given, operation, device=DEVICE)
    got = channels(run_variant(variant, operation, given, *tensors), given)
    few = [channels(tensor, given) for tensor in tensors]
    slim = replace(given, channels=FEW)
    want = in_float64(operation, slim, *few)
    error = worst_error(got, want, in_float64(operation, slim, *(t.abs() for t in few)))
    # a NaN is no number that is at most so large
    return (
        None
        if error <= bound_of(given, variant, DEVICE)
        else f"wrong: {error:.1f} times what rounding explains"
    )


def channels(tensor, given):
    """The first few channels of a tensor of images, of filters, or of one number each."""
    images = tensor.dim() == 4 and tensor.shape[1] != 1
    kind = torch.channels_last if images and given.channels_last else torch.contiguous_format
    few = tensor[:, :FEW] if images else tensor[:FEW]
    return few.contiguous(memory_format=kind) if tensor.dim() == 4 else few


@cache
def clocks() -> str:
    """The clocks and temperature of the GPU, as the driver says."""
    query = "name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,temperature.gpu,power.draw"
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"clocks unknown: {error}"


def write(timings: list[Timing], folder: Path) -> None:
    rows = [
        {**asdict(t), "problem": {**asdict(t.problem), "dtype": str(t.problem.dtype)}}
        for t in timings
    ]
    choices = [asdict(choice) for choice in measured_choices(timings, origin=origin())]
    record = {"origin": origin(), "clocks": clocks(), "timings": rows, "choices": choices}
    (folder / "timings.json").write_text(json.dumps(record, indent=1) + "\n")


def goals(timings: list[Timing]) -> str:
    """One line per goal of the forward pass in float16."""
    lines = []
    for (size, taps), (most, aim) in GOALS.items():
        mine = chosen("forward", problem(size, taps), timings)
        took = None if mine is None else 1e6 * mine.median_s
        if took is None:
            verdict = "not measured"
        else:
            verdict = "goal reached" if took <= aim else "holds" if took <= most else "MISSED"
        figure = "" if took is None else f" {took:.1f} µs,"
        lines.append(
            f"{size}×{size}, {taps}×{taps} taps:{figure} at most {most}, goal {aim}: {verdict}"
        )
    return "\n".join(("forward in float16", *lines))


def verdicts(timings: list[Timing]) -> str:
    """How many goals are held, in one line."""
    words = [line.rpartition(": ")[2] for line in goals(timings).splitlines()[1:]]
    kinds = ("goal reached", "holds", "MISSED", "not measured")
    return ", ".join(f"{words.count(kind)} {kind}" for kind in kinds if kind in words)


if __name__ == "__main__":
    main()
