"""Depths and sizes of the input at a factor, the nearest first, coarser ones after."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from ..records import InputSpec
from ..scaling import scale_depths
from ._effects import repeated
from ._groups import Group, Number
from ._knobs import Knobs
from ._resolution import (
    axis_dims,
    following_sizes,
    input_sizes,
    resolution_step,
    scale_input,
    size_factor,
)

# shares of the base's size that coarser grids go by, where 32 pixels are no legal step
_RESOLUTION_SHARES = (8, 4, 2, 1)


class DepthValues(msgspec.Struct, frozen=True, kw_only=True):
    """Repeats, and the factor of their sum."""

    new: Mapping[str, Sequence[Number]]
    factor: float


class InputValues(msgspec.Struct, frozen=True, kw_only=True):
    """Inputs of another size, the arguments that follow, and the factor of the size."""

    new: Mapping[str, Sequence[Number]]
    inputs: tuple[InputSpec, ...]
    factor: float


def depth_values(knobs: Knobs, factor: float) -> Iterator[DepthValues]:
    """Repeats times a factor: the sum kept as near as it can be, else each rounded, else up."""
    groups = _axis_groups(knobs, "depth")
    if not groups or factor == 1.0:
        yield DepthValues(new={}, factor=1.0)
        return
    if (rows := knobs.axes["depth"].base.get("rows")) is not None:
        achieved = sum(scale_depths(rows, factor)) / sum(rows)
        own: dict[str, list[Number]] = {group.name: [factor] for group in groups}
        yield DepthValues(new=own if achieved != 1.0 else {}, factor=achieved)
        return
    for new in _repeats_at(groups, factor):
        same = all(tuple(new[g.name]) == g.values for g in groups)
        old_sum, new_sum = (sum(map(sum, vs)) for vs in ([g.values for g in groups], new.values()))
        yield DepthValues(new={} if same else new, factor=1.0 if same else new_sum / old_sum)


def _repeats_at(groups: Sequence[Group], factor: float) -> Iterator[Mapping[str, Sequence[Number]]]:
    """Repeats times a factor, by one way to round them after another."""
    seen: list[Mapping[str, Sequence[Number]]] = []
    for spread in (_by_sum, _nearest, _upwards):
        new = {group.name: _repeats(group, factor, spread) for group in groups}
        if new not in seen:
            seen.append(new)
            yield new


def _repeats(group: Group, factor: float, spread: "_Spread") -> list[Number]:
    if any(isinstance(value, float) for value in group.values):
        return [value * factor for value in group.values]
    kept = repeated(group, [0] * len(group.values))
    free = [i for i, kept_value in enumerate(kept) if not kept_value]
    fixed, total = sum(kept), sum(group.values)
    if total == fixed:
        return list(group.values)
    # what single blocks cannot take up is left to the others
    share = max((total * factor - fixed) / (total - fixed), 1 / total)
    new: list[Number] = list(group.values)
    for i, value in zip(free, spread([int(group.values[i]) for i in free], share), strict=True):
        new[i] = value
    return new


def _by_sum(values: Sequence[int], factor: float) -> list[int]:
    return scale_depths(values, factor)


def _nearest(values: Sequence[int], factor: float) -> list[int]:
    return [max(round(value * factor), 1) if value else 0 for value in values]


def _upwards(values: Sequence[int], factor: float) -> list[int]:
    return [math.ceil(value * factor) for value in values]


_Spread = Callable[[Sequence[int], float], list[int]]


def input_values(knobs: Knobs, factor: float) -> Iterator[InputValues]:
    """Sizes of the input times a factor, on the finest grid first."""
    same = InputValues(new={}, inputs=knobs.inputs, factor=1.0)
    axis = knobs.axes["resolution"]
    if axis.status == "none" or factor == 1.0:
        yield same
        return
    dims = axis_dims(axis)
    old = input_sizes(knobs.inputs, dims)
    groups = _axis_groups(knobs, "resolution")
    finest = axis.step or resolution_step(old)
    seen: list[tuple[InputSpec, ...]] = []
    for step in (finest, *(old[-1] // share for share in _RESOLUTION_SHARES)):
        inputs = scale_input(knobs.inputs, factor, max(step, finest), dims)
        if inputs in seen:
            continue
        seen.append(inputs)
        new = input_sizes(inputs, dims)
        if new == old:
            yield same
            continue
        turned = {group.name: following_sizes(group, old, new) for group in groups}
        yield InputValues(new=turned, inputs=inputs, factor=size_factor(old, new))


def _axis_groups(knobs: Knobs, axis: str) -> list[Group]:
    groups = knobs.groups
    return [groups[name] for name in knobs.axes[axis].arguments if name in groups]
