"""What a selection says beyond its choice, in words: what more would buy, and the ladder."""

from collections.abc import Iterator

from ..records import BudgetOutcome, Ladder, MoreBudget, Report, Rung
from ..selection import METRICS, confidence_text
from ..units import format_quantity
from ._text import one_line, recipe_name


def more_text(report: Report) -> str | None:
    """Return what a larger budget would buy; None where nothing is said of it."""
    more = report.selection.more if report.selection is not None else None
    if more is None:
        return None
    dimension = METRICS[more.metric].dimension if more.metric in METRICS else "count"
    limit = format_quantity(more.limit, dimension)
    lower = more.metric in METRICS and METRICS[more.metric].bound == ">="
    how = f"{100 * more.share:.0f} % {'less' if lower else 'more'} of it ({limit})"
    return f"{how} would buy {_bought(report, more)}"


def _bought(report: Report, more: MoreBudget) -> str:
    if more.gain is None:
        return "nothing that was built"
    gain = f"{more.gain:.2f} {_unit(report)}"
    if more.variant is not None:
        return f"{gain}: {recipe_name(report.variant(more.variant))} ({more.source})"
    if more.strategy is None or more.multiplier is None:
        return "nothing that was built"
    return f"about {gain}, by {one_line(more.strategy)} at ×{more.multiplier:.2f}, not built"


def _unit(report: Report) -> str:
    accuracy = report.variant("base").accuracy
    if accuracy is None or accuracy.metric.startswith("top1"):
        return "points"
    return f"of {one_line(accuracy.metric)}"


def ladder_lines(report: Report) -> Iterator[str]:
    """Say of each rung what is on it, and how surely it holds."""
    if report.ladder is None:
        return
    yield _title(report.ladder)
    for rung in report.ladder.rungs:
        limit = format_quantity(rung.limit, "time")
        yield f"{one_line(rung.text)} ({limit}): {_rung(report, rung)}"


def _title(ladder: Ladder) -> str:
    return (
        "one family, no axis of which shrinks from rung to rung; highest sum of predicted "
        f"accuracy, each rung met with {confidence_text(ladder.confidence)} confidence"
    )


def _rung(report: Report, rung: Rung) -> str:
    if rung.variant is None:
        return one_line(rung.reason or "nothing meets it")
    name = recipe_name(report.variant(rung.variant))
    latency = format_quantity(rung.budgets[-1].value, "time") if rung.budgets else "unknown"
    return f"{name}, {latency}, {rung_state(rung)}"


def rung_state(rung: Rung) -> str:
    """Return whether a rung was verified, else how its latency is known."""
    check = rung.verification
    reason = f": {one_line(check.reason)}" if check is not None and check.reason else ""
    if rung.verified is None:
        return f"{rung.source or 'unknown'}, not verified{reason}"
    if rung.verified:
        return f"{rung.source or 'unknown'}, then verified"
    missed = ", ".join(map(_missed, (b for b in rung.budgets if b.met is False)))
    return f"missed in the check: {missed}"


def _missed(outcome: BudgetOutcome) -> str:
    dimension = METRICS[outcome.metric].dimension if outcome.metric in METRICS else "count"
    return f"{one_line(outcome.text)} with {format_quantity(outcome.value, dimension)}"
