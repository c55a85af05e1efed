"""``scaleprof kernels``: are the kernels right on this GPU, and how fast are they?"""

import os
from enum import StrEnum
from importlib.util import find_spec
from typing import Annotated

import typer

from ..errors import DeviceError, InputError, MissingExtraError

WRONG = 1
app = typer.Typer(help="Check and time the kernels on this GPU.", no_args_is_help=True)


class DType(StrEnum):
    """What the kernels compute in."""

    float16 = "float16"
    bfloat16 = "bfloat16"
    float32 = "float32"


@app.command()
def check(
    full: Annotated[
        bool, typer.Option("--full", help="Also the maps of common networks; takes minutes.")
    ] = False,
    interpret: Annotated[
        bool,
        typer.Option("--interpret", help="Small cases in Triton's interpreter, on the CPU."),
    ] = False,
) -> None:
    """Compare every kernel with float64 on this GPU, element by element; exit 1 if one is wrong."""
    if interpret and full:
        raise InputError("`--interpret` and `--full` exclude each other", hint="leave one out")
    if interpret:
        _require_triton("kernels check")
        # Triton reads it when it is imported
        os.environ["TRITON_INTERPRET"] = "1"
    else:
        _require_gpu("kernels check")
    from scaleprof_kernels import check as depthwise
    from scaleprof_kernels import check_aggregation as aggregation
    from scaleprof_kernels._table import verdicts_table

    cases, aggregations = depthwise.CASES, aggregation.AGGREGATION_CASES
    if interpret:
        cases, aggregations = depthwise.SMALL_CASES, aggregation.SMALL_AGGREGATION_CASES
    elif full:
        cases = cases | depthwise.LARGE_CASES
        aggregations = aggregations | aggregation.LARGE_AGGREGATION_CASES
    device = "cpu" if interpret else "cuda"
    verdicts = [
        *depthwise.check(cases, device=device),
        *aggregation.check_aggregation(aggregations, device=device),
    ]
    typer.echo(verdicts_table(verdicts))
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(WRONG)


@app.command()
def bench_aggregation(
    images: Annotated[
        str, typer.Option(metavar="NxCxHxW", help="Images, channels, height, width.")
    ] = "256x128x28x28",
    groups: Annotated[int, typer.Option(metavar="N", help="Channels that share weights.")] = 8,
    taps: Annotated[int, typer.Option(metavar="N", help="Side of a window, odd.")] = 3,
    dtype: Annotated[DType, typer.Option(help="What to compute in.")] = DType.float16,
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Images in NHWC rather than NCHW.")
    ] = False,
    compilers: Annotated[
        bool, typer.Option("--compile", help="Also time torch.compile, which takes a minute.")
    ] = False,
) -> None:
    """Time small-kernel aggregation beside torch and a copy: forward, backward, both."""
    batch, channels, height, width = _sizes(images, "--images", "256x128x28x28")
    if groups < 1 or channels % groups:
        raise InputError(f"`--groups` must divide {channels} channels, got {groups}")
    if taps < 1 or taps % 2 == 0:
        raise InputError(f"`--taps` must be odd and positive, got {taps}")
    _require_gpu("kernels bench-aggregation")
    from scaleprof_kernels._table import aggregation_table, failures
    from scaleprof_kernels.bench_aggregation import PASSES
    from scaleprof_kernels.bench_aggregation import bench_aggregation as run_bench
    from scaleprof_kernels.check_aggregation import aggregation

    problem = aggregation(
        batch=batch,
        channels=channels,
        groups=groups,
        size=(height, width),
        kernel_size=taps,
        dtype=dtype.value,
        channels_last=channels_last,
    )
    timings = [t for p in PASSES for t in run_bench(p, problem, compilers=compilers)]
    typer.echo(aggregation_table(timings))
    for line in failures(timings):
        typer.echo(f"warning: {line}", err=True)


@app.command()
def bench(
    images: Annotated[
        str, typer.Option(metavar="NxCxHxW", help="Images, channels, height, width.")
    ] = "32x384x28x28",
    taps: Annotated[str, typer.Option(metavar="HxW", help="Size of a filter, odd.")] = "13x13",
    stride: Annotated[int, typer.Option(metavar="N", help="Step between outputs.")] = 1,
    dilation: Annotated[int, typer.Option(metavar="N", help="Step between taps.")] = 1,
    dtype: Annotated[DType, typer.Option(help="What to compute in.")] = DType.float16,
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Images in NHWC rather than NCHW.")
    ] = False,
    compilers: Annotated[
        bool, typer.Option("--compile", help="Also time torch.compile, which takes a minute.")
    ] = False,
    choices: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Write what was fastest, for scaleprof_kernels.use_choices."
        ),
    ] = None,
) -> None:
    """Time the kernels beside torch and a copy, forward and both gradients, on this GPU."""
    batch, channels, height, width = _sizes(images, "--images", "32x384x28x28")
    rows, columns = _sizes(taps, "--taps", "13x13")
    if min(stride, dilation) < 1:
        raise InputError(f"`--stride` and `--dilation` start at 1, got {stride} and {dilation}")
    _require_gpu("kernels bench")
    from scaleprof_kernels import write_choices
    from scaleprof_kernels._table import failures, timings_table
    from scaleprof_kernels.bench import bench as run_bench
    from scaleprof_kernels.bench import bench_compilers, measured_choices, origin
    from scaleprof_kernels.check import OPERATIONS, same_size

    problem = same_size(
        batch=batch,
        channels=channels,
        size=(height, width),
        kernel=(rows, columns),
        stride=(stride, stride),
        dilation=(dilation, dilation),
        dtype=dtype.value,
        channels_last=channels_last,
    )
    timings = [timing for o in OPERATIONS for timing in run_bench(o, problem)]
    if compilers:
        timings += bench_compilers(problem)
    typer.echo(timings_table(timings))
    for line in failures(timings):
        typer.echo(f"warning: {line}", err=True)
    if choices:
        write_choices(measured_choices(timings, origin=origin()), choices)


def _sizes(text: str, option: str, example: str) -> list[int]:
    parts = text.split("x")
    if len(parts) != len(example.split("x")) or not all(p.isdecimal() and int(p) for p in parts):
        raise InputError(
            f"`{option}` must be positive sizes joined by x, got `{text}`",
            hint=f"write {option} {example}",
        )
    return [int(part) for part in parts]


def _require_gpu(command: str) -> None:
    """Say in one line why the kernels cannot run here, if they cannot."""
    from scaleprof_kernels.check import lacking

    missing = lacking()
    if missing == "triton":
        _require_triton(command)
    if missing:
        raise DeviceError(
            f"`{command}` needs {missing}, found none",
            hint="run it where there is one; everywhere else the kernels' work is done by torch",
        )


def _require_triton(command: str) -> None:
    if find_spec("triton") is None:
        raise MissingExtraError(f"`{command}` needs triton", hint="pip install triton")
