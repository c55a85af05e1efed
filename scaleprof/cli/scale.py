"""``scaleprof scale``: one scaled variant of a model, and the call that builds it."""

from typing import Annotated

import typer

from ._arguments import Fresh, Inputs, Json, Model
from ._console import print_data, status


def scale(
    model: Model,
    strategy: Annotated[
        str | None, typer.Option(metavar="NAME", help="d, w, r, dw, dr, wr, dwr or dWr.")
    ] = None,
    multiplier: Annotated[
        float | None, typer.Option(metavar="S", help="Compute multiplier of the strategy.")
    ] = None,
    width: Annotated[
        float | None, typer.Option(metavar="FACTOR", help="Factor of channel counts.")
    ] = None,
    depth: Annotated[
        float | None, typer.Option(metavar="FACTOR", help="Factor of the number of blocks.")
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(metavar="PIXELS", help="Size of the input.")
    ] = None,
    set: Annotated[  # noqa: A002 - the option is --set
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Set an argument of the call; repeatable."),
    ] = None,
    inputs: Inputs = None,
    fresh: Fresh = False,
    json: Json = None,
) -> None:
    """Scale MODEL by a strategy or by factors, and print the call that builds the variant."""
    from ..profiler._scale import scale_model
    from ..reports import check_writable, write_json
    from ..reports.table import scaled_table

    check_writable(json)
    with status() as show:
        show(f"scaling {model}")
        scaled = scale_model(
            model,
            strategy=strategy,
            multiplier=multiplier,
            width=width,
            depth=depth,
            resolution=resolution,
            settings=tuple(set or ()),
            inputs=tuple(inputs or ()),
            fresh=fresh,
        )
    if json:
        write_json(scaled, json)
    if json != "-":
        print_data(scaled_table(scaled))
