"""``scaleprof profile``: measure scaled variants of a model, and choose one under budgets."""

import shlex
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ._arguments import (
    Batch,
    Confidence,
    Device,
    Dtype,
    Inputs,
    Json,
    Ladder,
    Layout,
    Mode,
    Model,
    NoStore,
    Plot,
    Step,
    StorePath,
)
from ._console import print_report, status
from ._outputs import check_outputs
from ._parse import names, numbers, numbers_by_name, seconds

if TYPE_CHECKING:
    from .. import records

BUDGET_MISSED = 1
NOT_DECIDED = 3


class Kernels(StrEnum):
    """Who runs large-kernel operators."""

    auto = "auto"
    torch = "torch"
    triton = "triton"


class Space(StrEnum):
    """What is searched besides strategies."""

    strategies = "strategies"
    grid = "grid"
    stages = "stages"


def profile(
    model: Model,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BOUND", help="A bound such as latency<=5ms or latency<=2x; repeatable."
        ),
    ] = None,
    confidence: Confidence = "95%",
    ladder: Ladder = "",
    device: Device = "auto",
    axes: Annotated[
        str,
        typer.Option(metavar="AXES", help="Axes to scale; kernel_size and patch_size too."),
    ] = "width,depth,resolution",
    dtype: Dtype = "float32",
    batch: Batch = 1,
    layout: Layout = "nchw",
    mode: Mode = "eager",
    step: Step = "inference",
    kernels: Annotated[
        Kernels,
        typer.Option(
            help="Who runs large depthwise and LS convolutions; auto: triton on an NVIDIA GPU."
        ),
    ] = Kernels.auto,
    strategies: Annotated[
        str, typer.Option(metavar="NAMES", help="Strategies to compare.")
    ] = "d,w,r,dw,dr,wr,dwr,dWr",
    multipliers: Annotated[
        str,
        typer.Option(metavar="NUMBERS", help="Compute multipliers to profile each strategy at."),
    ] = "0.5,1,2,4",
    space: Annotated[
        Space,
        typer.Option(help="What is searched besides strategies: a grid, or every stage."),
    ] = Space.strategies,
    grid: Annotated[
        list[str] | None,
        typer.Option(metavar="AXIS=NUMBERS", help="Factors of an axis of the grid; repeatable."),
    ] = None,
    time_limit: Annotated[
        str, typer.Option(metavar="TIME", help="Time for the whole job; the rest is predicted.")
    ] = "120s",
    inputs: Inputs = None,
    base_accuracy: Annotated[
        float | None, typer.Option(metavar="PERCENT", help="Accuracy of the base, if you know it.")
    ] = None,
    anchor: Annotated[
        str | None, typer.Option(metavar="TAG", help="Published training to start accuracy from.")
    ] = None,
    accuracy: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Your own runs, from scaleprof fit --json, instead."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What --base-accuracy is: error, loss, dice, …."),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="REPORT", help="A profile of MODEL on another device, to predict from."
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure anew what was measured before.")
    ] = False,
    store: StorePath = None,
    no_store: NoStore = False,
    plot: Plot = False,
    json: Json = None,
) -> None:
    """Measure scaled variants of MODEL on a device, and choose the best one under budgets."""
    from .. import profiler
    from ..reports import write_json

    check_outputs({"--json": json, "--plot": "-" if plot else None})
    with status() as progress:
        report = profiler.profile(
            model,
            budgets=tuple(budget or ()),
            confidence=confidence,
            ladder=names(ladder),
            device=device,
            axes=names(axes),
            dtype=dtype,
            batch=batch,
            layout=layout,
            mode=mode,
            step=step,
            kernels=kernels.value,
            strategies=names(strategies),
            multipliers=numbers(multipliers, "--multipliers"),
            space=space.value,
            grid=numbers_by_name(grid or (), "--grid"),
            time_limit=seconds(time_limit, "--time-limit"),
            inputs=tuple(inputs or ()),
            base_accuracy=base_accuracy,
            anchor=anchor,
            accuracy=accuracy,
            metric=metric,
            like=like,
            fresh=fresh,
            store="off" if no_store else store,
            progress=progress,
            command=shlex.join(["scaleprof", *sys.argv[1:]]),
        )
    if json:
        write_json(report, json)
    if json != "-":
        print_report(report, plot=plot)
    if budget and report.selection is None:
        typer.echo(f"error: {report.selection_reason}", err=True)
    states = [*_choice_state(report, asked=bool(budget)), *_ladder_states(report.ladder)]
    if False in states:
        raise typer.Exit(BUDGET_MISSED)
    if None in states:
        raise typer.Exit(NOT_DECIDED)


def _choice_state(report: "records.Report", *, asked: bool) -> list[bool | None]:
    """Tell whether the choice holds its budgets: None where that is not decided."""
    if report.selection is not None:
        return [report.selection.verified]
    return [False if report.decided else None] if asked else []


def _ladder_states(ladder: "records.Ladder | None") -> list[bool | None]:
    """The same of every rung."""
    if ladder is None:
        return []
    missing = False if ladder.decided else None
    return [missing if rung.variant is None else rung.verified for rung in ladder.rungs]
