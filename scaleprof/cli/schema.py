"""``scaleprof schema``: the JSON Schema of what scaleprof writes."""

from enum import StrEnum
from typing import Annotated

import typer


class Kind(StrEnum):
    """What there are schemas of."""

    report = "report"
    counts = "counts"


def schema(
    kind: Annotated[Kind, typer.Argument(help="Which file: a report, or counts.")] = Kind.report,
) -> None:
    """Print the JSON Schema of reports, or of counts."""
    import msgspec

    from ..records import Counts, Report

    record = {Kind.report: Report, Kind.counts: Counts}[kind]
    content = msgspec.json.encode(msgspec.json.schema(record))
    typer.echo(msgspec.json.format(content, indent=2).decode())
