"""Choose the variant with the highest predicted accuracy whose budgets all hold.

A budget counts as held when the chance of meeting it, from the spread of what was measured or
predicted, reaches the required confidence. Differences in accuracy below the noise of training
decide nothing: among variants that close to the best, the cheapest is chosen.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from ..errors import BudgetError, InfeasibleError
from ..records import BudgetOutcome, Selection, StrategyResult, Variant
from ..units import format_quantity
from ._budget import METRICS, Budget
from ._confidence import CONFIDENCE, confidence_text
from ._pareto import pareto_front
from ._quantity import Quantity, log_room, quantity

RUNNERS_UP = 4
# a limit that a hint proposes is shown with three digits, and must still hold when rounded down
_ROUNDING = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A budget with its limit in base units."""

    budget: Budget
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestMiss:
    """The variant that comes closest to the budgets, and what it misses."""

    variant: Variant
    budget: Budget
    limit: float
    value: float | None


def resolve_limits(budgets: Sequence[Budget], base: Variant, *, batch: int) -> tuple[Limit, ...]:
    """Turn budgets into limits in base units; relative ones are resolved against the base.

    Raises:
        BudgetError: If a relative budget bounds something that is unknown for the base.
    """
    limits = []
    for budget in budgets:
        known = quantity(base, budget.metric, batch=batch)
        limits.append(Limit(budget=budget, value=budget.limit_for(known.value if known else None)))
    return tuple(limits)


def meets(variant: Variant, limits: Iterable[Limit], *, batch: int, confidence: float) -> bool:
    """Tell whether every limit holds with the required confidence."""
    if variant.measurement is not None and variant.measurement.status != "ok":
        return False
    return all(_chance(variant, limit, batch) >= confidence for limit in limits)


def _chance(variant: Variant, limit: Limit, batch: int) -> float:
    relative = limit.budget.relative
    if variant.id == "base" and relative is not None:
        # held against itself, which no noise disturbs
        return float(relative >= 1.0 if limit.budget.bound == "<=" else relative <= 1.0)
    known = quantity(variant, limit.budget.metric, batch=batch)
    return 0.0 if known is None else known.chance(limit.budget.bound, limit.value)


def rank(variants: Iterable[Variant], *, batch: int) -> list[Variant]:
    """Order variants by predicted accuracy, the first one's ties by what is cheaper.

    Variants without a predicted mean are left out: there is nothing to rank them by.
    """
    known = [v for v in variants if v.accuracy is not None and v.accuracy.mean is not None]
    known.sort(key=lambda v: (-worth(v), _cheapness(v, batch)))
    if not known:
        return []
    tied = [v for v in known if worth(v) >= worth(known[0]) - _tie(known[0])]
    first = min(tied, key=lambda v: _cheapness(v, batch))
    return [first, *(v for v in known if v is not first)]


def worth(variant: Variant) -> float:
    """Return the predicted accuracy, or an error with its sign turned: more is better."""
    assert variant.accuracy is not None
    assert variant.accuracy.mean is not None
    mean = variant.accuracy.mean
    return -mean if variant.accuracy.lower_is_better else mean


def _tie(variant: Variant) -> float:
    assert variant.accuracy is not None
    return variant.accuracy.tie


def _cheapness(variant: Variant, batch: int) -> tuple[float, int]:
    latency = quantity(variant, "latency", batch=batch)
    return (latency.value if latency else math.inf, variant.cost.macs)


def select_variant(
    variants: Sequence[Variant],
    limits: Sequence[Limit],
    *,
    batch: int,
    confidence: float = CONFIDENCE,
    excluded: Sequence[str] = (),
) -> Selection | None:
    """Choose a variant.

    Args:
        variants: All variants, the base among them.
        limits: Bounds that must hold; at least one.
        batch: Items in one forward pass.
        confidence: Chance of meeting each bound that is required.
        excluded: Identifiers of variants that a check has ruled out.

    Returns:
        The choice, not verified; None if no variant meets the bounds.

    Raises:
        BudgetError: If there are no bounds.
    """
    if not limits:
        raise BudgetError("there is no budget to select under", hint="pass --budget 'latency<=2x'")
    allowed = [
        variant
        for variant in variants
        if variant.id not in excluded and meets(variant, limits, batch=batch, confidence=confidence)
    ]
    ranked = rank(allowed, batch=batch)
    if not ranked:
        return None
    chosen = ranked[0]
    outcomes = tuple(budget_outcome(chosen, limit, batch=batch) for limit in limits)
    return Selection(
        variant=chosen.id,
        budgets=outcomes,
        verified=None,
        verification=None,
        runners_up=tuple(v.id for v in ranked[1 : RUNNERS_UP + 1]),
        pareto=_pareto(variants, batch),
        binding=binding_limit(chosen, limits, batch=batch).budget.metric,
        confidence=confidence,
        reason=_reason(ranked, len(allowed)),
    )


def budget_outcome(variant: Variant, limit: Limit, *, batch: int) -> BudgetOutcome:
    """Say how a variant stands to one limit."""
    known = quantity(variant, limit.budget.metric, batch=batch)
    return BudgetOutcome(
        text=limit.budget.text,
        metric=limit.budget.metric,
        bound=limit.budget.bound,
        limit=limit.value,
        relative=limit.budget.relative,
        value=known.value if known else None,
        met=_holds(known, limit) if known else None,
    )


def _holds(known: Quantity, limit: Limit) -> bool:
    return known.value <= limit.value if limit.budget.bound == "<=" else known.value >= limit.value


def binding_limit(variant: Variant, limits: Sequence[Limit], *, batch: int) -> Limit:
    """Return the limit that leaves a variant the least room."""
    return min(limits, key=lambda limit: _room(variant, limit, batch))


def _room(variant: Variant, limit: Limit, batch: int) -> float:
    """Logarithm of the factor by which a quantity could still grow; negative when missed."""
    known = quantity(variant, limit.budget.metric, batch=batch)
    if known is None:
        return -math.inf
    return log_room(known.value, limit.budget.bound, limit.value)


def _pareto(variants: Sequence[Variant], batch: int) -> tuple[str, ...]:
    points = []
    for variant in variants:
        latency = quantity(variant, "latency", batch=batch)
        if latency is not None and variant.accuracy and variant.accuracy.mean is not None:
            points.append((latency.value, -worth(variant), variant.id))
    marks = pareto_front([point[:2] for point in points])
    return tuple(point[2] for point, mark in sorted(zip(points, marks, strict=True)) if mark)


def _reason(ranked: Sequence[Variant], allowed: int) -> str:
    best = max(map(worth, ranked))
    text = f"highest predicted accuracy of the {allowed} variants that meet the budgets"
    if worth(ranked[0]) < best:
        gap = best - worth(ranked[0])
        return f"{text}, within {gap:.2f} points (a tie below {_tie(ranked[0]):.2g}) and cheapest"
    return text


def strategies_side_by_side(
    variants: Sequence[Variant],
    strategies: Sequence[str],
    limits: Sequence[Limit],
    *,
    batch: int,
    confidence: float = CONFIDENCE,
) -> tuple[StrategyResult, ...]:
    """Return the best variant of each strategy under the bounds.

    Args:
        variants: All variants.
        strategies: Strategies to compare.
        limits: Bounds that must hold.
        batch: Items in one forward pass.
        confidence: Chance of meeting each bound that is required.
    """
    return tuple(
        _best_of(
            strategy,
            [v for v in variants if strategy in v.strategies],
            limits,
            batch,
            confidence,
        )
        for strategy in strategies
    )


def _best_of(
    strategy: str,
    variants: Sequence[Variant],
    limits: Sequence[Limit],
    batch: int,
    confidence: float,
) -> StrategyResult:
    allowed = [v for v in variants if meets(v, limits, batch=batch, confidence=confidence)]
    ranked = rank(allowed, batch=batch)
    if ranked:
        best = max(ranked, key=worth)
        untried = best.id == "base" and not any(v.measurement for v in variants if v.id != "base")
        return StrategyResult(
            strategy=strategy,
            variant=best.id,
            multiplier=best.recipe.achieved_multiplier,
            reason="none of its variants was measured" if untried else None,
        )
    reason = "no variant of it meets the budgets" if variants else "no variant of it was built"
    return StrategyResult(strategy=strategy, variant=None, reason=reason)


def nearest_miss(
    variants: Sequence[Variant], limits: Sequence[Limit], *, batch: int
) -> NearestMiss | None:
    """Return the variant that misses the bounds by the least, and the bound it misses most."""
    candidates = [v for v in variants if v.measurement is None or v.measurement.status == "ok"]
    if not candidates or not limits:
        return None

    def worst(variant: Variant) -> tuple[float, Limit]:
        return min(((_room(variant, limit, batch), limit) for limit in limits), key=lambda x: x[0])

    nearest = max(candidates, key=lambda variant: worst(variant)[0])
    limit = worst(nearest)[1]
    known = quantity(nearest, limit.budget.metric, batch=batch)
    return NearestMiss(
        variant=nearest,
        budget=limit.budget,
        limit=limit.value,
        value=known.value if known else None,
    )


def nearest_miss_error(
    model: str,
    variants: Sequence[Variant],
    limits: Sequence[Limit],
    *,
    batch: int,
    confidence: float = CONFIDENCE,
) -> InfeasibleError:
    """Return the error that says that nothing meets the bounds, and what comes nearest."""
    wanted = " and ".join(limit.budget.describe(limit.value) for limit in limits)
    miss = nearest_miss(variants, limits, batch=batch)
    if miss is None:
        return InfeasibleError(f"no variant of `{model}` meets {wanted}: none could be measured")
    held = sum(meets(v, limits, batch=batch, confidence=confidence) for v in variants)
    if held:
        return InfeasibleError(
            f"{held} variants of `{model}` meet {wanted}, but none has a predicted accuracy",
            hint="start from a model nearer to the budget",
        )
    metric = METRICS[miss.budget.metric]
    name = "the base" if miss.variant.id == "base" else _described(miss.variant)
    if miss.value is None:
        return InfeasibleError(
            f"no variant of `{model}` meets {wanted}: {miss.budget.metric} is unknown for all",
            hint="profile on a device that can measure it",
        )
    got = format_quantity(miss.value, metric.dimension)
    word = "above" if metric.bound == "<=" else "below"
    if (miss.value <= miss.limit) == (metric.bound == "<="):
        safe = miss.limit * math.exp(_shortfall(miss, batch, confidence))
        return InfeasibleError(
            f"no variant of `{model}` surely meets {wanted}: {name} has {got}, but meets it with "
            f"less than {confidence_text(confidence)} confidence",
            hint=f"set the {miss.budget.metric} budget to {format_quantity(safe, metric.dimension)}"
            ", or measure longer",
        )
    return InfeasibleError(
        f"no variant of `{model}` meets {wanted}; the nearest, {name}, has {got}",
        hint=f"set the {miss.budget.metric} budget {word} {got}, or profile other --multipliers",
    )


def _shortfall(miss: NearestMiss, batch: int, confidence: float) -> float:
    """Logarithm of the factor by which a limit must move to be met with confidence."""
    known = quantity(miss.variant, miss.budget.metric, batch=batch)
    needed = NormalDist().inv_cdf(confidence) * (known.spread if known else 0.0)
    sign = 1.0 if miss.budget.bound == "<=" else -1.0
    room = sign * math.log(miss.limit / miss.value) if miss.value else 0.0
    return sign * (needed - room + _ROUNDING)


def _described(variant: Variant) -> str:
    recipe = variant.recipe
    return f"{recipe.strategy} at multiplier {recipe.counted_multiplier:.2f} ({variant.id})"
