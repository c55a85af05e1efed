"""Width and resolution through numbers in the code of constructors, where arguments do not do it.

Such numbers join the arguments under one name, ``constants.Class.number``, and are probed like all
others. They are looked for only in models that lack an axis or move a part of their channels.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from msgspec.structs import replace
from torch import nn

from ..models import CONSTANTS, build_module, import_target
from ..models.scaled import find_constants
from ..records import Axis
from ._effects import Effect, find_effects
from ._groups import Arguments, Group, find_groups
from ._layers import LAYERS, outputs_of
from ._moved import MovedChannels
from ._names import is_dependent
from ._probe import Prober, scaled_by
from ._resolution import grid_axis
from ._width import ENOUGH, width_axis

# a call that anyone can paste is given up only for so much more
_MIN_RISE = 0.05
_HOW = (
    "numbers in the code of its constructors are knobs too: the recipe sets them through "
    "scaleprof's own builder"
)

Axes = dict[str, Axis]


def with_constants(
    probe: Prober, module: nn.Module, effects: Sequence[Effect], axes: Axes
) -> tuple[Prober, Axes]:
    """Look for what axes lack in the code of constructors, if they lack anything.

    Args:
        probe: Of the base.
        module: The base.
        effects: What single groups of arguments do.
        axes: What arguments turn.

    Returns:
        The probe with the numbers in the code that are turned, and the axes.
    """
    width, resolution = axes["width"], axes["resolution"]
    moved = MovedChannels(probe, module)
    share = _share(moved, probe, effects, width)
    if 0 < share < ENOUGH:
        # this takes longer, and mostly shows that nothing is amiss
        moved.leave_out_positions(resolution)
        share = _share(moved, probe, effects, width)
    if share >= ENOUGH and resolution.status == "ok":
        return probe, axes
    wider = _with_numbers_in_code(probe)
    if wider is None:
        return probe, axes
    found: Axes = {}
    outputs = outputs_of(module)
    if share < ENOUGH and (better := _wider(moved, wider, effects, share, outputs)) is not None:
        found["width"] = better
    if resolution.status != "ok":
        besides = found.get("width", width).arguments
        if (grid := grid_axis(wider, besides=besides)) is not None:
            found["resolution"] = replace(grid, how=f"{grid.how}; {_HOW}")
    return _with_those_turned(probe, wider, found), {**axes, **found}


def _with_numbers_in_code(probe: Prober) -> Prober | None:
    """The probe with what is in the code among its arguments; None if there is nothing."""
    if CONSTANTS in probe.arguments.values:
        # an argument of that name is something else
        return None
    try:
        builder = import_target(probe.call.target)
        found = find_constants(builder, lambda: build_module(probe.call, meta=True))
    except Exception:  # a constructor may refuse to be watched
        return None
    return _joined(probe, found) if found else None


def _joined(probe: Prober, constants: Mapping[str, Mapping[str, object]]) -> Prober:
    values = {**probe.arguments.values, CONSTANTS: constants}
    arguments = Arguments(values, probe.arguments.callables)
    return dataclasses.replace(probe, arguments=arguments, groups=find_groups(values), reasons={})


def _with_those_turned(probe: Prober, wider: Prober, found: Axes) -> Prober:
    """The probe with those numbers of the code that an axis turns, and no others."""
    names = [name for axis in found.values() for name in axis.arguments if name in wider.groups]
    paths = [
        path[1:3] for name in names for path in wider.groups[name].paths if path[0] == CONSTANTS
    ]
    constants = wider.arguments.values[CONSTANTS]
    kept: dict[str, dict[str, object]] = {}
    for owner, key in paths:
        kept.setdefault(str(owner), {})[str(key)] = constants[owner][key]
    return _joined(probe, kept) if kept else probe


def _wider(
    moved: MovedChannels,
    probe: Prober,
    effects: Sequence[Effect],
    share: float,
    outputs: int | None,
) -> Axis | None:
    """The width with numbers in the code; None if they do not move a larger part of channels."""
    coded = {n: group for n, group in probe.groups.items() if group.paths[0][0] == CONSTANTS}
    added = find_effects(dataclasses.replace(probe, groups=coded), of_depth=False)
    # kernels and grids are in the code too, and have no name that tells
    added = [e for e in added if e.axis == "width" and all(i < 2 for _, i in e.elasticity)]
    if not added:
        return None
    axis, _ = width_axis(probe, [*effects, *added], None, outputs=outputs)
    if not any(name in coded for name in axis.arguments):
        return None
    groups = _completed(moved, probe, [probe.groups[n] for n in axis.arguments], [*effects, *added])
    groups += [group for group in coded.values() if _is_of_their_size(group, groups)]
    built = probe.build({group.name: scaled_by(group, 2.0) for group in groups})
    if built is None or moved.share(built.shapes) < share + _MIN_RISE:
        return None
    return replace(
        axis,
        arguments=tuple(group.name for group in groups),
        base={group.name: group.base for group in groups},
        how=f"{axis.how}; {_HOW}",
        flops_exponent=probe.exponent(built, 2.0),
    )


def _completed(
    moved: MovedChannels, probe: Prober, groups: Sequence[Group], effects: Sequence[Effect]
) -> list[Group]:
    """Turn along what moves more channels by the factor, as building shows.

    Where counts are sums, as with dense connections, effects of single groups do not say it.
    """
    kept, best = list(groups), moved.doubling(probe, groups)
    for effect in effects:
        if effect.axis == "width" and effect.group not in kept:
            more = moved.doubling(probe, [*kept, effect.group])
            if more > best:
                kept, best = [*kept, effect.group], more
    return kept


def _is_of_their_size(group: Group, turned: Sequence[Group]) -> bool:
    """Tell a number that is that of heads or groups which are turned: it stands for the same."""
    sizes = {g.values for g in turned if is_dependent(g.name)}
    return group.kind == "values" and group not in turned and group.values in sizes


def _share(moved: MovedChannels, probe: Prober, effects: Sequence[Effect], width: Axis) -> float:
    """Share of the channels of layers that a width moves by the factor."""
    if width.status == "none":
        return 0.0
    if LAYERS in width.base:
        return 1.0
    turned = [e for e in effects if e.group.name in width.arguments]
    if len(turned) == len(width.arguments):
        return moved.expected(turned)
    # what builds at half the width only was found by that
    return moved.doubling(probe, [probe.groups[name] for name in width.arguments]) or 1.0
