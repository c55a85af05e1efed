"""``scaleprof knobs``: which arguments of a model's constructor scale it."""

from typing import Annotated

import typer

from ._console import print_data, status


def knobs(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="timm:NAME, pkg.mod:callable, file.py:callable."),
    ],
    input: Annotated[  # noqa: A002 - the option is --input
        list[str] | None,
        typer.Option(
            metavar="SPEC", help="An input without its batch, such as 3x224x224; repeatable."
        ),
    ] = None,
    json: Annotated[
        str | None, typer.Option(metavar="PATH", help="Write JSON here; - for standard output.")
    ] = None,
) -> None:
    """Find the arguments behind width, depth, resolution, patch size and kernel size."""
    from ..profiler._scale import find_knobs_of
    from ..reports import check_writable, write_json
    from ..reports.table import knobs_table

    check_writable(json)
    with status() as show:
        show(f"probing {model}")
        found = find_knobs_of(model, inputs=tuple(input or ()))
    if json:
        write_json(found, json)
    if json != "-":
        print_data(knobs_table(found))
