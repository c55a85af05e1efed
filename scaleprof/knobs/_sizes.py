"""Patch size and kernel size: found and reported, not scaled by any strategy."""

import math
import re
from collections.abc import Callable, Sequence

from ..records import Axis
from ._groups import Group
from ._probe import Prober, Shapes

# `patch_size`, `patches`, `embed.patch`; what is measured in patches is something else
_PATCH = re.compile(r"(^|[._])patch(_size|es|_sizes)?(?=$|[\[#])", re.IGNORECASE)
_KERNEL = re.compile(r"kernel|(^|[._])k(s|_size)?(?=$|[\[#])", re.IGNORECASE)
_Change = Callable[[int], int]
_HOW = "effect of a change; strategies do not scale it"


def patch_axis(probe: Prober) -> Axis:
    """Find arguments that set the size of patches: twice as large, there are fewer tokens."""
    groups = [group for group in probe.groups.values() if _is_size(group, _PATCH)]
    if not groups:
        return Axis(status="none", reason="no argument is named like a patch size")
    for change in (_doubled, _halved):
        if (axis := _changed(probe, groups, change)) is not None:
            return axis
    return Axis(status="none", reason=_refusal(probe, groups))


def kernel_axis(probe: Prober) -> Axis:
    """Find arguments that set the size of kernels: two larger, weights are wider in space."""
    groups = [group for group in probe.groups.values() if _is_size(group, _KERNEL)]
    if not groups:
        return Axis(status="none", reason="no argument is named like a kernel size")
    axis = _changed(probe, groups, _two_larger)
    return axis or Axis(status="none", reason=_refusal(probe, groups))


def _doubled(size: int) -> int:
    return size * 2


def _halved(size: int) -> int:
    return max(size // 2, 1)


def _two_larger(size: int) -> int:
    # a kernel of one has no neighbours to look at, and would be another layer with them
    return size + 2 if size > 1 else size


def _is_size(group: Group, pattern: re.Pattern[str]) -> bool:
    return (
        group.kind == "values"
        and all(isinstance(value, int) and value > 0 for value in group.values)
        and max(group.values) > 1
        and bool(pattern.search(group.name))
    )


def _changed(probe: Prober, groups: Sequence[Group], change: _Change) -> Axis | None:
    """Return the axis of those groups whose change moves sizes in space; None if none does."""
    found = [group for group in groups if _moves(probe, group, change)]
    built = probe.build({g.name: [change(int(v)) for v in g.values] for g in found})
    if not found or built is None:
        return None
    value = max(int(v) for g in found for v in g.values)
    return Axis(
        status="ok",
        arguments=tuple(group.name for group in found),
        base={group.name: group.base for group in found},
        how=_HOW,
        flops_exponent=probe.exponent(built, change(value) / value),
    )


def _moves(probe: Prober, group: Group, change: _Change) -> bool:
    built = probe.build({group.name: [change(int(value)) for value in group.values]})
    if built is None:
        return False
    macs = (probe.base.cost.macs, built.cost.macs)
    return _spatial(probe.base.shapes, built.shapes) and not math.isclose(*macs)


def _spatial(old: Shapes, new: Shapes) -> bool:
    """Tell whether weights of the same channels have other sizes in space, or other inputs."""
    common = [(shape, new[name]) for name, shape in old.items() if name in new]
    return any(a != b for a, b in common) and all(a[:1] == b[:1] for a, b in common if len(a) > 3)


def _refusal(probe: Prober, groups: Sequence[Group]) -> str:
    names = [group.name for group in groups]
    why = next((probe.reasons[name] for name in names if name in probe.reasons), None)
    return f"changing {', '.join(names[:4])} {f'fails: {why}' if why else 'moves nothing'}"[:300]
