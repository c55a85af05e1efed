"""Sizes around a variant that no strategy scales: of kernels and of patches.

Where they may be searched, each variant of a strategy is joined by a small grid: the next smaller
and the next larger kernels, the next smaller and the next larger patches, and both together; what
these do to the latency is then measured like anything else.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from ..models import ConstructorCall, call_of, render, variant_id
from ..records import Cost, InputSpec, Variant
from ._attempt import build_and_count
from ._groups import Group, turn
from ._knobs import Knobs
from ._padding import is_padding, resized
from ._sizes import changes_positions

KERNEL_SIZE, PATCH_SIZE = "kernel_size", "patch_size"
# half and twice the taps of a kernel, before rounding
_FACTORS = (math.sqrt(0.5), math.sqrt(2.0))
# kernels of one tap have no neighbours to look at, and stay; others keep some
_SMALLEST = 3
# a patch of another model: four times the tokens or a quarter of them, and more
_FARTHEST_PATCH = 2.0

_Resize = Callable[[int], int]
# a factor that is wanted, and the ways to new sizes near it: the first that builds is taken
_Change = tuple[float, Sequence[_Resize]]


class _Step(NamedTuple):
    """One axis, turned.

    Attributes:
        axis: Its name.
        sizes: New sizes by argument.
        nominal: Factor that was wanted.
        achieved: Geometric mean of the factors of all sizes that can change.
    """

    axis: str
    sizes: Mapping[str, list[int]]
    nominal: float
    achieved: float


def odd_size(size: int, factor: float) -> int:
    """Return the odd size nearest to a size times a factor; a size of one stays.

    Examples:
        >>> [odd_size(7, factor) for factor in (0.71, 1.41)], odd_size(3, 0.71), odd_size(1, 2.0)
        ([5, 9], 3, 1)
    """
    if size < _SMALLEST:
        return size
    return max(2 * round((size * factor - 1) / 2) + 1, _SMALLEST)


def next_patch(size: int, sides: Sequence[int], *, larger: bool) -> int:
    """Return the next patch that tiles an input, at most twice or half as large, or the same.

    Args:
        size: Side of a patch.
        sides: Height and width of the input.
        larger: Whether to look for a larger one.

    Examples:
        >>> [next_patch(16, (224, 224), larger=larger) for larger in (False, True)]
        [14, 28]
        >>> next_patch(4, (30, 30), larger=True), next_patch(7, (49, 49), larger=True)
        (5, 7)
    """
    if larger:
        between = range(size + 1, int(size * _FARTHEST_PATCH) + 1)
    else:
        between = range(size - 1, max(math.ceil(size / _FARTHEST_PATCH), 1) - 1, -1)
    return next((p for p in between if all(side % p == 0 for side in sides)), size)


def with_other_sizes(knobs: Knobs, variant: Variant, axes: Sequence[str]) -> Iterator[Variant]:
    """Build and count a variant with the sizes around its own.

    Args:
        knobs: The model's knobs.
        variant: A variant with the kernels and patches of the base.
        axes: Axes that may be turned; of them, those that are searched.

    Yields:
        Variants that build and run; the base itself gives variants of the strategy ``custom``.
    """
    changes: Mapping[str, Callable[[], list[_Change]]] = {
        KERNEL_SIZE: _kernels,
        PATCH_SIZE: lambda: _patches(variant.cost.inputs),
    }
    searched = [
        [(), *_steps(knobs, variant, axis, change())]
        for axis, change in changes.items()
        if axis in axes
    ]
    for choice in itertools.product(*searched):
        turned = [steps for steps in choice if steps]
        built = (_built(knobs, variant, steps) for steps in itertools.product(*turned))
        if turned and (found := next(filter(None, built), None)) is not None:
            yield found


def _kernels() -> list[_Change]:
    return [(factor, [lambda size, f=factor: odd_size(size, f)]) for factor in _FACTORS]  # type: ignore[misc]


def _patches(inputs: Sequence[InputSpec]) -> list[_Change]:
    sides = next((spec.shape[-2:] for spec in inputs if len(spec.shape) >= 4), None)
    if sides is None:
        return []
    # a stem of strided convolutions takes no other sizes than their powers of two
    return [
        (
            factor,
            [
                lambda size, up=factor > 1: next_patch(size, sides, larger=up),  # type: ignore[misc]
                lambda size, f=factor: _farthest_patch(size, sides, f),  # type: ignore[misc]
            ],
        )
        for factor in (1 / _FARTHEST_PATCH, _FARTHEST_PATCH)
    ]


def _farthest_patch(size: int, sides: Sequence[int], factor: float) -> int:
    """Half or twice a patch if that tiles an input, else the same."""
    far = size * factor
    return int(far) if far.is_integer() and all(side % far == 0 for side in sides) else size


def _steps(
    knobs: Knobs, variant: Variant, axis: str, changes: Sequence[_Change]
) -> Iterator[list[_Step]]:
    """For each change, the steps that may be taken, the first that builds."""
    groups = [knobs.groups[n] for n in knobs.axes[axis].arguments if n in knobs.groups]
    if not groups or _are_turned(knobs, variant, groups):
        return
    # accuracy is predicted by positions: where patches leave them, it would not be that
    if axis == PATCH_SIZE and not changes_positions(knobs.axes[axis]):
        return
    for factor, resizes in changes:
        steps = [_step(axis, groups, factor, resize) for resize in resizes]
        if different := {str(step.sizes): step for step in steps if step}:
            yield list(different.values())


def _step(axis: str, groups: Sequence[Group], factor: float, resize: _Resize) -> _Step | None:
    scaled = [group for group in groups if not is_padding(group)]
    new = resized(groups, resize)
    sizes = [size for group in scaled for size in new[group.name]]
    old = [int(value) for group in scaled for value in group.values]
    return None if sizes == old else _Step(axis, new, factor, _mean_ratio(axis, sizes, old))


def _are_turned(knobs: Knobs, variant: Variant, groups: Sequence[Group]) -> bool:
    """Tell whether an argument that holds sizes also holds what the variant changed."""
    changed = variant.recipe.arguments
    tops = {str(path[0]) for group in groups for path in group.paths}
    return any(changed.get(top) != knobs.call.arguments.get(top) for top in tops)


def _built(knobs: Knobs, near: Variant, steps: Sequence[_Step]) -> Variant | None:
    new = {name: sizes for step in steps for name, sizes in step.sizes.items()}
    changed = call_of(near.recipe).override(*turn(knobs.arguments, knobs.groups, new))
    cost = build_and_count(changed, near.cost.inputs, knobs.dtype)
    return None if cost is None else _variant(knobs, near, changed, cost, steps)


def _variant(
    knobs: Knobs, near: Variant, call: ConstructorCall, cost: Cost, steps: Sequence[_Step]
) -> Variant:
    imports, text = render(call)
    recipe = msgspec.structs.replace(
        near.recipe,
        strategy="custom" if near.id == "base" else near.recipe.strategy,
        nominal={**near.recipe.nominal, **{step.axis: step.nominal for step in steps}},
        achieved={**near.recipe.achieved, **{step.axis: step.achieved for step in steps}},
        achieved_multiplier=cost.macs / knobs.cost.macs if knobs.cost.macs else None,
        arguments=call.arguments,
        callables=call.callables,
        imports=imports,
        call=text,
    )
    return Variant(id=variant_id(call, cost.inputs), recipe=recipe, cost=cost)


def _mean_ratio(axis: str, new: Sequence[int], old: Sequence[int]) -> float:
    """Geometric mean of the factors of all sizes that can change."""
    least = _SMALLEST if axis == KERNEL_SIZE else 1
    logs = [math.log(a / b) for a, b in zip(new, old, strict=True) if b >= least]
    return math.exp(sum(logs) / len(logs))
