"""Kernel sizes around a variant: the next smaller and the next larger odd ones.

No strategy scales kernels. Where they may be scaled, each variant of a strategy is joined by a few
with other kernel sizes; what these do to the latency is then measured like anything else.
"""

import math
from collections.abc import Iterator, Sequence

import msgspec

from ..models import ConstructorCall, call_of, render, variant_id
from ..records import Cost, Variant
from ._attempt import build_and_count
from ._groups import Group, turn
from ._knobs import Knobs

KERNEL_SIZE = "kernel_size"
# half and twice the taps of a kernel, before rounding
_FACTORS = (math.sqrt(0.5), math.sqrt(2.0))
# kernels of one tap have no neighbours to look at, and stay; others keep some
_SMALLEST = 3


def odd_size(size: int, factor: float) -> int:
    """Return the odd size nearest to a size times a factor; a size of one stays.

    Examples:
        >>> [odd_size(7, factor) for factor in (0.71, 1.41)], odd_size(3, 0.71), odd_size(1, 2.0)
        ([5, 9], 3, 1)
    """
    if size < _SMALLEST:
        return size
    return max(2 * round((size * factor - 1) / 2) + 1, _SMALLEST)


def with_other_kernels(knobs: Knobs, variant: Variant) -> Iterator[Variant]:
    """Build and count a variant with the kernel sizes around its own.

    Args:
        knobs: The model's knobs.
        variant: A variant with the kernel sizes of the base.

    Yields:
        Variants that build and run; the base itself gives variants of the strategy ``custom``.
    """
    groups = [knobs.groups[n] for n in knobs.axes[KERNEL_SIZE].arguments if n in knobs.groups]
    if not groups or _are_turned(knobs, variant, groups):
        return
    old = [int(value) for group in groups for value in group.values]
    for factor in _FACTORS:
        new = {g.name: [odd_size(int(value), factor) for value in g.values] for g in groups}
        sizes = [size for values in new.values() for size in values]
        if sizes == old:
            continue
        changed = call_of(variant.recipe).override(*turn(knobs.arguments, knobs.groups, new))
        cost = build_and_count(changed, variant.cost.inputs, knobs.dtype)
        if cost is not None:
            yield _variant(knobs, variant, changed, cost, (factor, _mean_ratio(sizes, old)))


def _are_turned(knobs: Knobs, variant: Variant, groups: Sequence[Group]) -> bool:
    """Tell whether an argument that holds kernel sizes also holds what the variant changed."""
    changed = variant.recipe.arguments
    tops = {str(path[0]) for group in groups for path in group.paths}
    return any(changed.get(top) != knobs.call.arguments.get(top) for top in tops)


def _variant(
    knobs: Knobs, near: Variant, call: ConstructorCall, cost: Cost, factors: tuple[float, float]
) -> Variant:
    imports, text = render(call)
    recipe = msgspec.structs.replace(
        near.recipe,
        strategy="custom" if near.id == "base" else near.recipe.strategy,
        nominal={**near.recipe.nominal, KERNEL_SIZE: factors[0]},
        achieved={**near.recipe.achieved, KERNEL_SIZE: factors[1]},
        achieved_multiplier=cost.macs / knobs.cost.macs if knobs.cost.macs else None,
        arguments=call.arguments,
        callables=call.callables,
        imports=imports,
        call=text,
    )
    return Variant(id=variant_id(call, cost.inputs), recipe=recipe, cost=cost)


def _mean_ratio(new: Sequence[int], old: Sequence[int]) -> float:
    """Geometric mean of the factors of all sizes that can change."""
    logs = [math.log(a / b) for a, b in zip(new, old, strict=True) if b >= _SMALLEST]
    return math.exp(sum(logs) / len(logs))
