"""Choose from a recorded profile. Needs neither torch nor the device."""

from collections.abc import Sequence

from ..errors import BudgetError
from ..records import Report, replace
from ..scaling import STRATEGIES
from ..selection import (
    nearest_miss_error,
    parse_budgets,
    resolve_limits,
    select_variant,
    strategies_side_by_side,
)


def select_from(report: Report, budgets: Sequence[str]) -> Report:
    """Return the report with the choice under other budgets, which nobody measured again.

    Args:
        report: A recorded profile.
        budgets: Budgets as text; relative ones are resolved against the report's base.

    Raises:
        BudgetError: If there is no budget, or one does not parse or apply.
        InfeasibleError: If nothing meets them; the message names the nearest miss.
    """
    parsed = parse_budgets(budgets)
    if not parsed:
        raise BudgetError("there is no budget to select under", hint="pass --budget 'latency<=2x'")
    batch = report.context.batch
    limits = resolve_limits(parsed, report.variant("base"), batch=batch)
    selection = select_variant(report.variants, limits, batch=batch)
    if selection is None:
        raise nearest_miss_error(report.base.model, report.variants, limits, batch=batch)
    strategies = [s for s in STRATEGIES if any(s in v.strategies for v in report.variants)]
    return replace(
        report,
        selection=selection,
        selection_reason=None,
        strategies=strategies_side_by_side(report.variants, strategies, limits, batch=batch),
    )
