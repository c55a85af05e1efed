"""What doubling a group of numbers does to a model's weights: more blocks, or wider ones."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ._groups import Group
from ._names import may_be_depth, may_be_width
from ._probe import Prober, Shapes, scaled_by, without_digits

# wider stages may need new projection shortcuts, or no longer fuse two layers; more new weights are
# another architecture
_MAX_NEW_NAMES = 0.2
# factors that are tried until one builds: some counts must stay divisible, some cannot double
_FACTORS = (2.0, 3.0, 0.5)
# repeats are few; what changes sizes of weights at larger values are channels
_MAX_REPEATS = 200
# images have fewer channels than this, layers of a model rarely
_MIN_OWN_CHANNELS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What turning one group does.

    Attributes:
        group: What was turned.
        axis: What it turns.
        factor: By how much it was turned.
        elasticity: For each size of a weight that moved, log of its ratio over log of the factor.
        exact: For depth: weights that were there kept their shapes.
    """

    group: Group
    axis: Literal["width", "depth"]
    factor: float
    elasticity: Mapping[tuple[str, int], float]
    exact: bool = True


def find_effects(probe: Prober, *, of_depth: bool = True) -> list[Effect]:
    """Turn every group that its name does not rule out, and keep those that do something.

    Args:
        probe: Of the base, with the groups.
        of_depth: Whether groups may be repeats.
    """
    effects = (_effect(probe, group, of_depth=of_depth) for group in probe.groups.values())
    return [effect for effect in effects if effect is not None]


def _effect(probe: Prober, group: Group, *, of_depth: bool) -> Effect | None:
    repeats = of_depth and may_be_depth(group.name) and _could_be_repeats(group)
    channels = may_be_width(group.name) and _could_be_channels(probe, group)
    if not any(group.values) or not (repeats or channels):
        return None
    for factor in _FACTORS:
        values = scaled_by(group, factor)
        shapes = probe.shapes({group.name: repeated(group, values)})
        if shapes is not None:
            return _classify(probe, group, factor, shapes, repeats=repeats, channels=channels)
    return None


def repeated(group: Group, values: Iterable[float]) -> list[float]:
    """Values for a group of repeats: a stage of one listed block keeps it.

    That block is the one that changes sizes between stages; a copy would change them twice.
    """
    values = list(values)
    if group.kind != "len" or max(group.values) == 1:
        return values
    return [1 if old == 1 else new for old, new in zip(group.values, values, strict=True)]


def _could_be_repeats(group: Group) -> bool:
    numbers = group.values
    # a multiplier of depths is a float; so are counts that were computed
    return all(0 <= n <= _MAX_REPEATS for n in numbers)


def _could_be_channels(probe: Prober, group: Group) -> bool:
    data = probe.inputs[0].shape[1] if probe.inputs and len(probe.inputs[0].shape) > 1 else 0
    # groups of one channel are depthwise, and stay so; a small number may be the input's channels
    ones = all(value == 1 and isinstance(value, int) for value in group.values)
    depthwise = ones and ("group" in group.name or len(group.values) > 1)
    of_the_data = group.values == (data,) and data < _MIN_OWN_CHANNELS
    return group.kind == "values" and not depthwise and not of_the_data


def _classify(
    probe: Prober, group: Group, factor: float, new: Shapes, *, repeats: bool, channels: bool
) -> Effect | None:
    old = probe.base.shapes
    if repeats and (blocks := _added_blocks(old, new, more=factor > 1)) is not None:
        return Effect(group=group, axis="depth", factor=factor, elasticity={}, exact=blocks)
    if channels and (elasticity := _moved_sizes(old, new, factor)):
        return Effect(group=group, axis="width", factor=factor, elasticity=elasticity)
    return None


def _added_blocks(old: Shapes, new: Shapes, *, more: bool) -> bool | None:
    """Tell whether blocks like those that were there were added (or removed).

    Returns:
        None if not; else whether the weights that were there kept their shapes.
    """
    if not more:
        old, new = new, old
    names, kinds = Counter(map(without_digits, new)), Counter(map(without_digits, old))
    if len(new) <= len(old) or names.keys() - kinds.keys():
        return None
    added = Counter(new.values()) - Counter(old.values())
    kept = not Counter(old.values()) - Counter(new.values())
    known = set(old.values())
    return kept and all(shape in known for shape in added)


def _moved_sizes(old: Shapes, new: Shapes, factor: float) -> dict[tuple[str, int], float]:
    if len(old.keys() ^ new.keys()) > _MAX_NEW_NAMES * len(old):
        return {}
    return {
        (name, i): math.log(b / a) / math.log(factor)
        for name, shape in old.items()
        if len(new.get(name, ())) == len(shape)
        for i, (a, b) in enumerate(zip(shape, new[name], strict=True))
        if a != b and a and b
    }
