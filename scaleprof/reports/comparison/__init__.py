"""Two reports held against each other: gates, budgets, and what of the model changed. No torch."""

from collections.abc import Sequence

from ...records import Check, Report
from ._cases import Named as Named
from ._check import Judged as Judged
from ._check import judge_reports
from ._environment import differences as differences
from ._gate import Gate as Gate
from ._gate import parse_gate as parse_gate
from ._noise import MOST_PROCESSES as MOST_PROCESSES
from ._noise import PRIOR_DEGREES as PRIOR_DEGREES
from ._noise import Estimate as Estimate
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
    """Hold reports against a baseline and against budgets; see `scaleprof.check`."""
    return judge(
        named(reports),
        named(baseline),
        gates=gates,
        budgets=budgets,
        variant=variant,
        allow_different=allow_different,
    ).check


def judge(
    reports: Sequence[Named],
    baselines: Sequence[Named],
    *,
    gates: str | Sequence[str] = (),
    budgets: str | Sequence[str] = (),
    variant: str | None = None,
    allow_different: bool = False,
    looks: int = 1,
) -> Judged:
    """Hold reports, and say what would decide the rest.

    Args:
        reports: Reports to check.
        baselines: What gates compare with.
        gates: See `scaleprof.check`.
        budgets: See `scaleprof.check`.
        variant: See `scaleprof.check`.
        allow_different: See `scaleprof.check`.
        looks: How often the same lines are judged while processes are added.

    Raises:
        ScaleprofError: See `scaleprof.check`.
    """
    return judge_reports(
        reports,
        baselines,
        gates=_listed(gates),
        budgets=_listed(budgets),
        variant=variant,
        allow_different=allow_different,
        looks=looks,
    )


def _listed(texts: str | Sequence[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)


def named(reports: Reports) -> tuple[Named, ...]:
    """Read what is a path; a report without one is known by its number."""
    from ..json import read_report

    listed = (reports,) if isinstance(reports, Report | str) else tuple(reports)
    return tuple(
        Named(name=report, report=read_report(report))
        if isinstance(report, str)
        else Named(name=f"report {number}", report=report)
        for number, report in enumerate(listed, start=1)
    )
