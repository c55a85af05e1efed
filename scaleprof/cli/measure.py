"""``scaleprof measure``: one model as it is, in several worker processes."""

from typing import Annotated

import typer

from ._arguments import (
    Batch,
    Device,
    Dtype,
    Fresh,
    Inputs,
    Json,
    Layout,
    Mode,
    Model,
    NoStore,
    Step,
    StorePath,
)
from ._console import print_report, status
from ._parse import seconds


def measure(
    model: Model,
    processes: Annotated[
        int, typer.Option(metavar="N", help="Worker processes; a gate rests on how they differ.")
    ] = 6,
    device: Device = "auto",
    dtype: Dtype = "float32",
    batch: Batch = 1,
    layout: Layout = "nchw",
    mode: Mode = "eager",
    step: Step = "inference",
    time_limit: Annotated[
        str, typer.Option(metavar="TIME", help="Time for the whole job.")
    ] = "120s",
    inputs: Inputs = None,
    fresh: Fresh = False,
    store: StorePath = None,
    no_store: NoStore = False,
    json: Json = None,
) -> None:
    """Measure MODEL as it is, without scaling it: for `scaleprof check`."""
    from .. import profiler
    from ..reports import check_writable, write_json

    check_writable(json)
    with status() as progress:
        report = profiler.measure(
            model,
            processes=processes,
            device=device,
            dtype=dtype,
            batch=batch,
            layout=layout,
            mode=mode,
            step=step,
            time_limit=seconds(time_limit, "--time-limit"),
            inputs=tuple(inputs or ()),
            fresh=fresh,
            store="off" if no_store else store,
            progress=progress,
        )
    if json:
        write_json(report, json)
    if json != "-":
        print_report(report, plot=False)
