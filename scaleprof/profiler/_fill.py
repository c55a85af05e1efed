"""The multiplier at which a strategy just fills the budgets.

Only then are strategies comparable side by side: at equal multipliers one of them may use half of
the budget and another miss it by a hair.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

from ..records import Variant
from ..selection import CONFIDENCE, Limit, quantity
from ._options import SEARCHED

# standard deviation of ln latency that one process leaves open: a limit that is known with noise is
# aimed at from below, to meet it with confidence
_SPREAD = 0.0474
# never solve for more than this beyond the multipliers at which the strategy was tried
_REACH = 2.0
# sizes closer than this are not halved
_ROOM = 1.25
# FLOPs, activations and latency grow about in proportion to compute where nothing else is known
_DEFAULT_EXPONENT = 0.85


def margin(confidence: float) -> float:
    """Return the share of a limit to aim at, to meet it with this confidence.

    Examples:
        >>> round(margin(0.95), 3), margin(0.5)
        (0.925, 1.0)
    """
    return math.exp(-NormalDist().inv_cdf(confidence) * _SPREAD)


def keeps_sizes(variant: Variant) -> bool:
    """Tell whether a variant has the kernels and patches of the base: no strategy turns others."""
    return all(variant.recipe.achieved.get(axis, 1.0) == 1.0 for axis in SEARCHED)


def halfway(holding: Sequence[float], missing: Sequence[float]) -> float | None:
    """Return a multiplier between the largest that holds budgets and the next one that misses them.

    Where a model has few sizes, the multiplier that fills a budget may round to one that misses it,
    and leave out a smaller one that would hold.

    Args:
        holding: Multipliers of variants that hold the budgets.
        missing: Multipliers of those that miss them.

    Returns:
        None if nothing holds, nothing larger misses, or there is no room between.

    Examples:
        >>> halfway([0.5, 1.0], [2.25, 4.0]), halfway([1.0], [1.1]), halfway([1.0, 2.0], [])
        (1.5, None, None)
    """
    low = max(holding, default=None)
    high = min((m for m in missing if low is not None and m > low), default=None)
    if low is None or high is None or high < _ROOM * low:
        return None
    return math.sqrt(low * high)


def filling_multiplier(
    variants: Sequence[Variant],
    limits: Sequence[Limit],
    *,
    batch: int,
    confidence: float = CONFIDENCE,
    predicted: bool = False,
) -> float | None:
    """Return the compute multiplier at which a strategy just meets every limit.

    Args:
        variants: The strategy's variants, the base among them.
        limits: Bounds.
        batch: Items in one forward pass.
        confidence: Chance of meeting each limit that is required.
        predicted: Whether to go by what is predicted, too, rather than measured alone.

    Returns:
        Its achieved multiplier; None if some bounded quantity is unknown for all variants.
    """
    solved = [_solve(variants, limit, batch, confidence, predicted) for limit in limits]
    if not solved or any(value is None for value in solved):
        return None
    multipliers = [v.recipe.achieved_multiplier or 1.0 for v in variants]
    best = min(value for value in solved if value is not None)
    return min(max(best, min(multipliers) / _REACH), max(multipliers) * _REACH)


def _solve(
    variants: Sequence[Variant], limit: Limit, batch: int, confidence: float, predicted: bool
) -> float | None:
    points = sorted(_points(variants, limit, batch, predicted))
    if not points:
        return None
    sign = 1.0 if limit.budget.bound == "<=" else -1.0
    exact = all(known.spread == 0 for v in variants
                if (known := quantity(v, limit.budget.metric, batch=batch)))  # fmt: skip
    target = sign * math.log(limit.value) + (0.0 if exact else math.log(margin(confidence)))
    return math.exp(_invert(points, target))


def _points(
    variants: Sequence[Variant], limit: Limit, batch: int, predicted: bool
) -> list[tuple[float, float]]:
    """Logarithms of multiplier and quantity, the latter so that more compute makes it larger."""
    sign = 1.0 if limit.budget.bound == "<=" else -1.0
    points = []
    for variant in variants:
        known = quantity(variant, limit.budget.metric, batch=batch)
        if known is not None and known.value > 0 and (predicted or known.source != "predicted"):
            multiplier = variant.recipe.achieved_multiplier or 1.0
            points.append((math.log(multiplier), sign * math.log(known.value)))
    return points


def _invert(points: Sequence[tuple[float, float]], target: float) -> float:
    """Find where the line through the two points nearest to the target reaches it."""
    if len(points) == 1:
        x, y = points[0]
        return x + (target - y) / _DEFAULT_EXPONENT
    below = [p for p in points if p[1] <= target]
    above = [p for p in points if p[1] > target]
    if below and above:
        (x0, y0), (x1, y1) = max(below), min(above)
    else:
        (x0, y0), (x1, y1) = points[-2:] if below else points[:2]
    slope = (y1 - y0) / (x1 - x0) if x1 > x0 else _DEFAULT_EXPONENT
    # noise between two close points must not send the line anywhere
    slope = min(max(slope, 0.3), 2.0)
    nearest = (x0, y0) if abs(y0 - target) < abs(y1 - target) else (x1, y1)
    return nearest[0] + (target - nearest[1]) / slope
