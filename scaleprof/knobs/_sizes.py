"""Patch size and kernel size: found and reported, not scaled by any strategy."""

import math
import re
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from ..records import Axis
from ._effects import Effect
from ._groups import Group
from ._padding import padding_of, resized
from ._probe import Built, Prober, Shapes

# `patch_size`, `patches`, `embed.patch`; what is measured in patches is something else
_PATCH = re.compile(r"(^|[._])patch(_size|es|_sizes)?(?=$|[\[#])", re.IGNORECASE)
# a window of modulation is one of a convolution; one of attention moves no kernel
_KERNEL = re.compile(r"kernel|conv_size|focal_window|(^|[._])k(s|_size)?(?=$|[\[#])", re.IGNORECASE)
# patches that are embedded by other layers change these alone: of all weights, so many at most
_MAX_EMBEDDING = 0.2
# FLOPs fall with the square of a patch's side where there are fewer positions, after the stem at
# least; with this power or less, positions stay
_FEWER_POSITIONS = -0.5
# axes of a convolution's weight from here on are those in space
_SPACE = 2
_Change = Callable[[int], int]
_HOW = "effect of a change; strategies do not scale it"
_POSITIONS_STAY = "other patches leave nearly as many positions: their sizes are not searched"


def patch_axis(probe: Prober) -> Axis:
    """Find arguments that set the size of patches: twice as large, there are fewer tokens."""
    groups = [group for group in probe.groups.values() if _is_size(group, _PATCH)]
    if not groups:
        return Axis(status="none", reason="no argument is named like a patch size")
    for change in (_doubled, _halved):
        found = [[group] for group in groups if _moves_patches(probe, group, change)]
        if (axis := _axis(probe, found, change)) is not None:
            return axis if changes_positions(axis) else replace(axis, reason=_POSITIONS_STAY)
    return Axis(status="none", reason=_refusal(probe, groups))


def changes_positions(axis: Axis) -> bool:
    """Tell whether larger patches are fewer positions for all that comes behind them."""
    return (axis.flops_exponent or 0.0) < _FEWER_POSITIONS


def kernel_axis(probe: Prober, effects: Sequence[Effect] = ()) -> Axis:
    """Find arguments that set the size of kernels: two larger, weights are wider in space.

    Args:
        probe: Of the base.
        effects: What arguments do by any name: columns of tables have none that tells kernels.
    """
    in_space = {effect.group.name for effect in effects if _only_in_space(effect)}
    named = [group for group in probe.groups.values() if _is_size(group, _KERNEL)]
    others = [g for g in probe.groups.values() if g.name in in_space and _is_whole(g)]
    groups = [*named, *(group for group in others if group not in named)]
    found = [turned for group in groups if (turned := _kernels_with_padding(probe, group))]
    if (axis := _axis(probe, found, _two_larger)) is not None:
        return axis
    reason = _refusal(probe, named) if named else "no argument is named like a kernel size"
    return Axis(status="none", reason=reason)


def _only_in_space(effect: Effect) -> bool:
    moved = {dimension for _, dimension in effect.elasticity}
    return effect.axis == "width" and min(moved) >= _SPACE


def _kernels_with_padding(probe: Prober, group: Group) -> list[Group]:
    """The kernels, with their padding where they need it; none if they move nothing."""
    padding = padding_of(group, probe.groups)
    for turned in ([group], [group, padding]) if padding else ([group],):
        built = probe.build(resized(turned, _two_larger))
        if built is not None and _in_space(probe, built):
            return turned
    return []


def _doubled(size: int) -> int:
    return size * 2


def _halved(size: int) -> int:
    return size // 2 or size


def _two_larger(size: int) -> int:
    # a kernel of one has no neighbours to look at, and would be another layer with them
    return size + 2 if size > 1 else size


def _is_size(group: Group, pattern: re.Pattern[str]) -> bool:
    return _is_whole(group) and bool(pattern.search(group.name))


def _is_whole(group: Group) -> bool:
    # zero stands for no layer in lists of kernels
    whole = all(isinstance(value, int) and value >= 0 for value in group.values)
    return group.kind == "values" and whole and max(group.values) > 1


def _axis(probe: Prober, found: Sequence[Sequence[Group]], change: _Change) -> Axis | None:
    """Return the axis of groups that were found one by one; None if they do not build at once."""
    groups = [group for turned in found for group in turned]
    built = probe.build(resized(groups, change)) if groups else None
    if built is None:
        return None
    value = max(int(v) for sizes, *_ in found for v in sizes.values)
    return Axis(
        status="ok",
        arguments=tuple(group.name for group in groups),
        base={group.name: group.base for group in groups},
        how=_HOW,
        flops_exponent=probe.exponent(built, change(value) / value),
    )


def _moves_patches(probe: Prober, group: Group, change: _Change) -> bool:
    built = probe.build(resized([group], change))
    if built is None:
        return False
    larger = change(max(map(int, group.values))) > max(group.values)
    fewer = built.cost.macs < probe.base.cost.macs
    return _in_space(probe, built) or (larger == fewer and _beside_embedding(probe, built))


def _in_space(probe: Prober, built: Built) -> bool:
    """Tell whether weights of the same channels are wider in space, and do other work."""
    macs = (probe.base.cost.macs, built.cost.macs)
    return _spatial(probe.base.shapes, built.shapes) and not math.isclose(*macs)


def _beside_embedding(probe: Prober, built: Built) -> bool:
    """Tell whether other work is done with the same weights, but for those of an embedding."""
    macs = (probe.base.cost.macs, built.cost.macs)
    old, new = probe.base.shapes, built.shapes
    changed = {name for name, _ in old.items() ^ new.items()}
    return len(changed) <= _MAX_EMBEDDING * len(old) and not math.isclose(*macs)


def _spatial(old: Shapes, new: Shapes) -> bool:
    """Tell whether weights of the same channels have other sizes in space, or other inputs."""
    common = [(shape, new[name]) for name, shape in old.items() if name in new]
    return any(a != b for a, b in common) and all(a[:1] == b[:1] for a, b in common if len(a) > 3)


def _refusal(probe: Prober, groups: Sequence[Group]) -> str:
    names = [group.name for group in groups]
    why = next((probe.reasons[name] for name in names if name in probe.reasons), None)
    return f"changing {', '.join(names[:4])} {f'fails: {why}' if why else 'moves nothing'}"[:300]
