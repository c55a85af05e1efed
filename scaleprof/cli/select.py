"""``scaleprof select``: choose from a recorded profile, without torch and without the device."""

from typing import Annotated

import typer

from ._arguments import Confidence, Ladder, Plot
from ._console import print_report
from ._outputs import check_outputs
from ._parse import names

RUNG_MISSED = 1


def select(
    report: Annotated[
        str, typer.Argument(metavar="REPORT", help="A report; - for standard input.")
    ],
    budget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BOUND", help="A bound such as latency<=5ms or memory<=2GiB; repeatable."
        ),
    ] = None,
    confidence: Confidence = "95%",
    ladder: Ladder = "",
    plot: Plot = False,
    json: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Write the report with this choice; - for standard output."
        ),
    ] = None,
) -> None:
    """Choose the best variant of a recorded REPORT under other budgets, without measuring."""
    from .. import profiler
    from ..reports import write_json

    check_outputs({"--json": json, "--plot": "-" if plot else None})
    selected = profiler.select(
        report, tuple(budget or ()), confidence=confidence, ladder=names(ladder)
    )
    if json:
        write_json(selected, json)
    if json != "-":
        print_report(selected, plot=plot)
    if selected.ladder is not None and any(r.variant is None for r in selected.ladder.rungs):
        raise typer.Exit(RUNG_MISSED)
