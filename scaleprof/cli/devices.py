"""``scaleprof devices``: what devices are there, what they can do, and in what state they are."""

from typing import Annotated

import typer

from ._arguments import Json
from ._console import print_data, status


def devices(
    device: Annotated[
        str | None,
        typer.Argument(metavar="DEVICE", help="cpu, cuda:0, …; all that are there by default."),
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Measure one model again and again, to know the machine's own noise.",
        ),
    ] = False,
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="PATH", help="Keep the calibration in this store."),
    ] = None,
    json: Json = None,
) -> None:
    """Show devices: measured ceilings, settings, present state, noise, and what to do about it."""
    from .. import profiler
    from ..reports import check_writable, write_json
    from ..reports.devices import devices_table

    check_writable(json)
    with status() as progress:
        found = profiler.devices(device, calibrate=calibrate, store=store, progress=progress)
    if json:
        write_json(found, json)
    if json != "-":
        print_data(devices_table(found))
