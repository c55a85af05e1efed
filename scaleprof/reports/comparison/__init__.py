"""Two reports held against each other: gates, budgets, and what of the model changed. No torch."""

from collections.abc import Sequence

from ...records import Check, Report
from ._cases import Named as Named
from ._check import check_reports
from ._gate import Gate as Gate
from ._gate import parse_gate as parse_gate
from ._noise import MOST_PROCESSES as MOST_PROCESSES
from ._noise import Noise as Noise
from ._noise import Timing as Timing
from ._noise import noise_of as noise_of
from ._noise import student_quantile as student_quantile
from ._noise import timing_of as timing_of
from ._settings import Settings as Settings
from ._settings import read_settings as read_settings

Reports = Report | str | Sequence[Report | str]


def check(
    reports: Reports,
    *,
    baseline: Reports = (),
    gates: str | Sequence[str] = (),
    budgets: str | Sequence[str] = (),
    variant: str | None = None,
    allow_different: bool = False,
) -> Check:
    """Hold reports against a baseline and against budgets.

    Counts and planned memory are compared exactly; timings by a confidence interval of their
    ratio, which includes the spread between worker processes.

    Args:
        reports: Reports to check, or their paths.
        baseline: What gates compare with: a report or a path, one for each model.
        gates: How far a quantity may move from the baseline: ``latency.p50:+5%``,
            ``memory.planned:+0``, ``latency:+0.5ms``; ``latency:-5%`` must improve.
        budgets: Bounds that must hold: ``latency<=5ms``, ``latency<=2x`` (over the report's base).
        variant: Identifier of a variant, ``base``, ``all``, or None for the selected variant,
            else the base.
        allow_different: Compare reports of different devices, versions or settings.

    Returns:
        The verdict on every line, and which graphs changed.

    Raises:
        GateError: If a gate does not parse, or is finer than the noise of the reports.
        BudgetError: If a budget does not parse.
        ReportError: If a file is not a report, or was recorded under other conditions.
        InputError: If there is nothing to check, or no such variant.

    Examples:
        >>> import scaleprof
        >>> path = "profiles/examples/convnext_atto-cpu.json"
        >>> scaleprof.check(path, baseline=path, gates=["macs:+0", "latency:+9%"]).verdict
        'pass'
        >>> scaleprof.check(path, budgets=["memory<=16MiB"]).verdict
        'fail'
    """
    return check_reports(
        _named(reports),
        _named(baseline),
        gates=_listed(gates),
        budgets=_listed(budgets),
        variant=variant,
        allow_different=allow_different,
    )


def _listed(texts: str | Sequence[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)


def _named(reports: Reports) -> tuple[Named, ...]:
    """Read what is a path; a report without one is known by its number."""
    from ..json import read_report

    listed = (reports,) if isinstance(reports, Report | str) else tuple(reports)
    return tuple(
        Named(name=report, report=read_report(report))
        if isinstance(report, str)
        else Named(name=f"report {number}", report=report)
        for number, report in enumerate(listed, start=1)
    )
