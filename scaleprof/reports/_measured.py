"""What other programs track: the measured variants of reports, under names that stay the same."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..errors import InputError, ReportError
from ..records import LatencyMeasurement, Report, Variant
from ._text import one_line

# what is harmless in Markdown, in a chart and in a path of charts
_UNUSUAL = re.compile(r"[^\w :./,=()+×'-]")
# the shortest limit of the programs that read these names: Bencher takes 1024 characters
_LONGEST_MODEL = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A variant whose latency was measured.

    Attributes:
        name: Model and identifier, for example ``timm:convnext_atto/base``.
        report: The report that it is in.
        variant: The variant.
        latency: Its latency.
    """

    name: str
    report: Report
    variant: Variant
    latency: LatencyMeasurement


def measured_variants(reports: Sequence[Report]) -> tuple[Measured, ...]:
    """List what was measured.

    Args:
        reports: Reports; of one model there may be several only if they share no variant.

    Raises:
        ReportError: If nothing was measured.
        InputError: If two reports measured the same variant, which one name cannot tell apart.
    """
    found: dict[str, Measured] = {}
    for measured in (m for report in reports for m in _measured(report)):
        if measured.name in found:
            raise InputError(
                f"`{measured.name}` was measured in more than one place",
                hint="write a file for each report",
            )
        found[measured.name] = measured
    if not found:
        raise ReportError("no variant of the report was measured", hint="give it more --time-limit")
    return tuple(found.values())


def _measured(report: Report) -> Iterator[Measured]:
    for variant in report.variants:
        latency = variant.measurement.latency_s if variant.measurement is not None else None
        if latency is not None:
            name = f"{safe_name(report.base.model)}/{safe_name(variant.id)}"
            yield Measured(name=name, report=report, variant=variant, latency=latency)


def safe_name(text: str) -> str:
    """Return text from outside as a name without anything that a program could take for markup."""
    return _UNUSUAL.sub("_", one_line(text))[:_LONGEST_MODEL]
