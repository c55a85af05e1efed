"""What a larger budget would buy: of the variants that are there, else of one nobody built.

A strategy's accuracy between two of its variants is interpolated in the logarithm of compute, so
that a report alone is enough to say.
"""

import math
from collections.abc import Sequence

from ..records import Selection, Variant, replace
from ..selection import Limit, binding_limit, more_of_the_budget, raised, worth
from ._fill import filling_multiplier, keeps_sizes


def with_more(
    selection: Selection,
    variants: Sequence[Variant],
    limits: Sequence[Limit],
    strategies: Sequence[str],
    *,
    batch: int,
) -> Selection:
    """Return a selection with what a larger budget would buy.

    Args:
        selection: The choice.
        variants: All variants.
        limits: Bounds that it holds.
        strategies: Strategies that were compared.
        batch: Items in one forward pass.
    """
    more = more_of_the_budget(variants, limits, selection, batch=batch)
    if more.variant is not None:
        return replace(selection, more=more)
    chosen = next(v for v in variants if v.id == selection.variant)
    larger = raised(limits, binding_limit(chosen, limits, batch=batch))
    for strategy in strategies:
        own = [v for v in variants if strategy in v.strategies and _is_ranked(v)]
        filling = _filling(own, larger, batch, selection.confidence)
        gain = filling[1] - worth(chosen) if filling else 0.0
        if filling and gain > (more.gain or 0.0):
            more = replace(more, strategy=strategy, multiplier=filling[0], gain=gain)
    return replace(selection, more=more)


def _filling(
    variants: Sequence[Variant], limits: Sequence[Limit], batch: int, confidence: float
) -> tuple[float, float] | None:
    """Return the multiplier at which a strategy fills the limits, and what it is worth there."""
    if not variants:
        return None
    multiplier = filling_multiplier(variants, limits, batch=batch, confidence=confidence)
    expected = None if multiplier is None else _interpolated(variants, multiplier)
    return None if multiplier is None or expected is None else (multiplier, expected)


def _is_ranked(variant: Variant) -> bool:
    known = variant.accuracy is not None and variant.accuracy.mean is not None
    return known and keeps_sizes(variant)


def _interpolated(variants: Sequence[Variant], multiplier: float) -> float | None:
    """Worth at a multiplier between those of two variants; None outside of all."""
    at = math.log(multiplier)
    points = sorted((math.log(v.recipe.achieved_multiplier or 1.0), worth(v)) for v in variants)
    below = [point for point in points if point[0] <= at]
    above = [point for point in points if point[0] > at]
    if not below or not above:
        return None
    (x0, y0), (x1, y1) = below[-1], above[0]
    return y0 + (y1 - y0) * (at - x0) / (x1 - x0)
