"""What a larger budget would buy, of the variants that are known."""

from collections.abc import Sequence
from dataclasses import replace

from ..records import MoreBudget, Selection, Variant
from ._quantity import quantity
from ._select import Limit, binding_limit, select_variant, worth

SHARE = 0.1
"""By how much of itself the budget that binds is made more generous."""


def raised(limits: Sequence[Limit], binding: Limit) -> tuple[Limit, ...]:
    """Return the limits with one of them a tenth more generous."""
    factor = 1 + SHARE if binding.budget.bound == "<=" else 1 - SHARE
    more = replace(binding, value=binding.value * factor)
    return tuple(more if limit is binding else limit for limit in limits)


def more_of_the_budget(
    variants: Sequence[Variant], limits: Sequence[Limit], selection: Selection, *, batch: int
) -> MoreBudget:
    """Choose again with a tenth more of the budget that binds, and say what that gains.

    Args:
        variants: All variants; those that missed a budget when they were checked, too, because
            they may meet a larger one.
        limits: Bounds that the choice holds.
        selection: The choice.
        batch: Items in one forward pass.

    Returns:
        The variant that would be chosen and its gain; neither, where nothing known is better.
    """
    chosen = next(v for v in variants if v.id == selection.variant)
    binding = binding_limit(chosen, limits, batch=batch)
    larger = raised(limits, binding)
    limit = larger[list(limits).index(binding)]
    nothing = MoreBudget(
        budget=binding.budget.text, metric=binding.budget.metric, share=SHARE, limit=limit.value
    )
    again = select_variant(variants, larger, batch=batch, confidence=selection.confidence)
    best = _variant_of(again, variants) or chosen
    gain = worth(best) - worth(_best_now(variants, limits, selection, batch=batch))
    if gain <= 0:
        return nothing
    known = quantity(best, binding.budget.metric, batch=batch)
    return MoreBudget(
        budget=nothing.budget,
        metric=nothing.metric,
        share=SHARE,
        limit=limit.value,
        variant=best.id,
        gain=gain,
        source=known.source if known else None,
    )


def _best_now(
    variants: Sequence[Variant], limits: Sequence[Limit], selection: Selection, *, batch: int
) -> Variant:
    """Return what the limits as they are allow by now: the check of the choice measured more."""
    check = selection.verification
    now = select_variant(
        variants,
        limits,
        batch=batch,
        confidence=selection.confidence,
        excluded=check.rejected if check else (),
    )
    chosen = next(v for v in variants if v.id == selection.variant)
    return max((_variant_of(now, variants) or chosen, chosen), key=worth)


def _variant_of(selection: Selection | None, variants: Sequence[Variant]) -> Variant | None:
    name = selection.variant if selection is not None else None
    return next((v for v in variants if v.id == name), None)
