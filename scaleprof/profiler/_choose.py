"""Choose from a recorded profile. Needs neither torch nor the device."""

from collections.abc import Sequence

from ..errors import BudgetError
from ..records import Ladder, Report, Selection, replace
from ..scaling import STRATEGIES
from ..selection import (
    CONFIDENCE,
    Limit,
    nearest_miss_error,
    parse_budgets,
    parse_confidence,
    parse_ladder,
    resolve_limits,
    select_variant,
    strategies_side_by_side,
)
from ._ladder import Bounds, ladder_of
from ._more import with_more


def select_from(
    report: Report,
    budgets: Sequence[str],
    *,
    confidence: float | str = CONFIDENCE,
    ladder: Sequence[str] = (),
) -> Report:
    """Return the report with the choice under other budgets, which nobody measured again.

    Args:
        report: A recorded profile.
        budgets: Budgets as text; relative ones are resolved against the report's base.
        confidence: Chance of meeting each of them that is required.
        ladder: Rungs as text; none for no ladder.

    Raises:
        BudgetError: If there is neither a budget nor a ladder, or one does not parse or apply.
        InfeasibleError: If nothing meets the budgets; the message names the nearest miss.
    """
    parsed, chance = parse_budgets(budgets), parse_confidence(confidence)
    if not parsed and not ladder:
        raise BudgetError("there is no budget to select under", hint="pass --budget 'latency<=2x'")
    batch = report.context.batch
    limits = resolve_limits(parsed, report.variant("base"), batch=batch)
    strategies = [s for s in STRATEGIES if any(s in v.strategies for v in report.variants)]
    return replace(
        report,
        selection=_selection(report, limits, strategies, chance) if parsed else None,
        selection_reason=None if parsed else "no budget was given: there is a ladder alone",
        # measuring ended for other budgets
        effort=None,
        strategies=strategies_side_by_side(
            report.variants, strategies, limits, batch=batch, confidence=chance
        )
        if parsed
        else (),
        ladder=_ladder(report, limits, ladder, chance) if ladder else None,
    )


def _selection(
    report: Report, limits: Sequence[Limit], strategies: Sequence[str], confidence: float
) -> Selection:
    batch = report.context.batch
    selection = select_variant(report.variants, limits, batch=batch, confidence=confidence)
    if selection is None:
        raise nearest_miss_error(
            report.base.model, report.variants, limits, batch=batch, confidence=confidence
        )
    return with_more(selection, report.variants, limits, strategies, batch=batch)


def _ladder(
    report: Report, limits: Sequence[Limit], ladder: Sequence[str], confidence: float
) -> Ladder:
    batch = report.context.batch
    rungs = resolve_limits(parse_ladder(ladder), report.variant("base"), batch=batch)
    bounds = Bounds(
        limits=tuple(limits),
        rungs=tuple(sorted(rungs, key=lambda limit: limit.value)),
        batch=batch,
        confidence=confidence,
    )
    chain = bounds.climb(report.variants)
    return ladder_of(report.base.model, report.variants, bounds, chain, {})
