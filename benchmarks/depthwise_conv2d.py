"""How fast is depthwise convolution, beside torch and beside copying the same bytes?

    python benchmarks/depthwise_conv2d.py --out results

Needs an NVIDIA GPU with torch and Triton, and nothing else. Writes every sample to `timings.json`,
the table to `table.txt`, and what was fastest to `choices.json`, which `use_choices` reads: after
each problem, so that what is done is kept. After `--seconds` it starts no further problem, and says
which are missing.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "kernels"))

import torch

from scaleprof_kernels import write_choices
from scaleprof_kernels._table import failures, timings_table
from scaleprof_kernels.bench import (
    Timing,
    bench,
    bench_compilers,
    chosen,
    measured_choices,
    origin,
)
from scaleprof_kernels.check import in_float64, random_tensors, run_variant, same_size, worst_error

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
    for size in MAPS:
        for taps in TAPS:
            yield "forward", problem(size, taps)
    for operation in ("weight_grad", "input_grad"):
        for size in MAPS:
            for taps in TAPS:
                yield operation, problem(size, taps)
    for size in MAPS:
        for taps in (7, 13):
            yield "forward", problem(size, taps, SINGLE)
    yield from (("forward", problem(28, taps, channels_last=True)) for taps in (7, 13))
    for size in MAPS:
        for taps in TAPS:
            yield "forward", problem(size, taps, BRAIN)
    yield from (("weight_grad", problem(size, 7, SINGLE)) for size in MAPS)


def main() -> None:
    options = arguments()
    if not torch.cuda.is_available():
        sys.exit("error: this benchmark needs an NVIDIA GPU that torch can use, found none")
    # exact float32 beside exact float32
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    print(origin(), clocks(), sep="\n", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    timings, missing = measure(options.seconds, options.out)
    print((options.out / "table.txt").read_text())
    for line in (*failures(timings), *(f"no time left for {m}" for m in missing)):
        print(f"warning: {line}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--seconds", type=float, default=200.0, help="start nothing after this")
    return parser.parse_args()


def measure(seconds: float, out: Path) -> tuple[list[Timing], list[str]]:
    """Time problem after problem, writing what there is, until the time is over."""
    timings, missing = [], []
    start = time.monotonic()
    compilers = [("torch.compile", problem(size, taps)) for size, taps in COMPILED]
    for what, given in (*plan(), *compilers):
        name = f"{what}, {given.size[0]}×{given.size[1]}, {given.kernel[0]} taps, {given.dtype}"
        if time.monotonic() - start > seconds:
            missing.append(name)
            continue
        if what == "torch.compile":
            found = list(bench_compilers(given))
        else:
            check(what, given)
            found = list(bench(what, given, variants=worth_compiling(given)))
        timings += found
        write(timings, out)
        medians = (f"{t.contender} {1e6 * t.median_s:.1f}" for t in found if t.median_s)
        print(f"{time.monotonic() - start:5.0f} s  {name}: {', '.join(medians)} µs", flush=True)
    return timings, missing


def worth_compiling(given):
    """Our kernels, without the direct one where it is many times the tensor cores' time."""
    half = given.dtype != SINGLE and not given.channels_last
    return ("toeplitz",) if half and max(given.kernel) > 7 else ("toeplitz", "direct")


def check(operation, given) -> None:
    """Refuse to time what is wrong: compare a slice of the channels with float64."""
    few = same_size(
        batch=4, channels=8, size=given.size, kernel=given.kernel, dtype=given.dtype,
        channels_last=given.channels_last,
    )  # fmt: skip
    tensors = random_tensors(few, operation, device="cuda")
    want = in_float64(operation, few, *tensors)
    magnitude = in_float64(operation, few, *(tensor.abs() for tensor in tensors))
    variant = "direct" if given.dtype == SINGLE else "toeplitz"
    got = run_variant(variant, operation, few, *tensors)
    assert worst_error(got, want, magnitude) <= 4


def clocks() -> str:
    """The clocks and temperature of the GPU, as the driver says."""
    query = "name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,temperature.gpu,power.draw"
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"clocks unknown: {error}"


def write(timings: list[Timing], folder: Path) -> None:
    table = "\n\n".join((origin(), clocks(), timings_table(timings), goals(timings)))
    (folder / "table.txt").write_text(table + "\n")
    rows = [
        {**asdict(t), "problem": {**asdict(t.problem), "dtype": str(t.problem.dtype)}}
        for t in timings
    ]
    record = {"origin": origin(), "clocks": clocks(), "timings": rows}
    (folder / "timings.json").write_text(json.dumps(record, indent=1) + "\n")
    write_choices(measured_choices(timings, origin=origin()), folder / "choices.json")


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


if __name__ == "__main__":
    main()
