"""``scaleprof schema``: the JSON Schema of what scaleprof writes."""

from enum import StrEnum
from typing import Annotated

import typer


class Kind(StrEnum):
    """What there are schemas of."""

    report = "report"
    counts = "counts"
    knobs = "knobs"
    scaled = "scaled"
    check = "check"
    devices = "devices"
    accuracy = "accuracy"


def schema(
    kind: Annotated[
        Kind,
        typer.Argument(
            help="Of what --json writes: report, counts, knobs, scaled, check, devices, accuracy."
        ),
    ] = Kind.report,
) -> None:
    """Print the JSON Schema of a report, or of what another command writes."""
    import msgspec

    from ..records import (
        AccuracyRuns,
        Check,
        Counts,
        Devices,
        FoundKnobs,
        Report,
        ScaledModel,
    )

    records = {
        Kind.report: Report,
        Kind.counts: Counts,
        Kind.knobs: FoundKnobs,
        Kind.scaled: ScaledModel,
        Kind.check: Check,
        Kind.devices: Devices,
        Kind.accuracy: AccuracyRuns,
    }
    record = records[kind]
    content = msgspec.json.encode(msgspec.json.schema(record))
    typer.echo(msgspec.json.format(content, indent=2).decode())
