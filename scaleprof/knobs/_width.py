"""The groups that together turn a model's width: each channel axis once, none twice."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from ..records import Axis
from ._effects import Effect
from ._groups import Group
from ._names import is_dependent, may_be_width
from ._probe import Built, Prober, scaled_by
from ._shares import share_on_target

Size = tuple[str, int]

# FLOPs of a width knob grow with at least this power of the factor: well under the 1.85 that models
# show, well over what moves a corner of a model only
_MIN_EXPONENT = 1.0
# share of the sizes that move at all which a further argument must add to be turned along: a head's
# own width is three or four of some hundred sizes
_MIN_NEW_SHARE = 0.005
# with this share of all channel sizes moved, other choices are not looked for
ENOUGH = 0.9
# a size pushed above the factor costs more than one left behind: it squares, and hides an alias
_OVERSHOOT_PENALTY = 2.0
# models round their channels themselves
_TOLERANCE = 0.1
# channel counts that fail alone are tried together; smaller numbers are rather something else
_MIN_CHANNELS = 8


def width_axis(
    probe: Prober, effects: Sequence[Effect], why: str | None, *, outputs: int | None
) -> tuple[Axis, float]:
    """Choose the width knob, and check that it builds and runs.

    Args:
        probe: Of the base.
        effects: What single groups do.
        why: Why arguments cannot be set at all, if so.
        outputs: Size of the model's output.

    Returns:
        The axis, and the share of the channel counts that it moves by the factor.
    """
    widths = [effect for effect in effects if effect.axis == "width"]
    fixed = (probe.inputs[0].shape[1] if probe.inputs else None, outputs)
    best, most = None, 0.0
    for chosen in _choices(probe, widths):
        if not chosen or (found := _checked(probe, chosen, fixed)) is None:
            continue
        if best is None or found[1] > most:
            best, most = found
        if most >= ENOUGH:
            break
    return best or Axis(status="none", reason=why or _reason(probe, widths)), most


def _choices(probe: Prober, widths: Sequence[Effect]) -> Iterable[list[Group]]:
    # ratios and sizes of groups alone are no width, unless nothing else is
    alone = _has_channels(widths)
    if not alone:
        yield _together(probe)
    if widths:
        yield _cover(widths)
        yield _cover(widths, runs=lambda groups: _double(probe, groups) is not None)
    if alone:
        yield _together(probe)


def _has_channels(widths: Sequence[Effect]) -> bool:
    return any(not is_dependent(effect.group.name) for effect in widths)


def _checked(
    probe: Prober, chosen: Sequence[Group], fixed: Collection[int | None]
) -> tuple[Axis, float] | None:
    """The axis of these groups, and the share of channel counts that they move by the factor."""
    factor = 2.0
    built = _double(probe, chosen)
    if built is None:
        factor = 0.5
        built = _double(probe, chosen, factor)
    if built is None or probe.exponent(built, factor) < _MIN_EXPONENT:
        return None
    axis = Axis(
        status="ok",
        arguments=tuple(group.name for group in chosen),
        base={group.name: group.base for group in chosen},
        how="effect of doubling",
        flops_exponent=probe.exponent(built, factor),
    )
    return axis, share_on_target(probe.base.shapes, built.shapes, factor, fixed=fixed)


def _double(probe: Prober, groups: Sequence[Group], factor: float = 2.0) -> Built | None:
    return probe.build({group.name: scaled_by(group, factor) for group in groups})


def _cover(
    effects: Sequence[Effect], runs: Callable[[list[Group]], bool] = lambda _: True
) -> list[Group]:
    """Greedily turn what brings most sizes nearer to the factor, and none beyond it."""
    chosen: list[Effect] = []
    total = len({size for effect in effects for size in effect.elasticity})
    left = list(effects)
    while left:
        reached = _reached(chosen)
        best = max(left, key=lambda e: _rank(e, reached))
        left.remove(best)
        if _gain(best.elasticity, reached) <= (_MIN_NEW_SHARE * total if chosen else 0):
            continue
        if runs([effect.group for effect in [*chosen, best]]):
            chosen.append(best)
    return [effect.group for effect in _pruned(chosen)]


def _pruned(chosen: Sequence[Effect]) -> list[Effect]:
    """Leave out what later choices made superfluous."""
    kept = list(chosen)
    for effect in chosen:
        rest = [other for other in kept if other is not effect]
        if rest and _gain(effect.elasticity, _reached(rest)) <= 0:
            kept = rest
    return kept


def _reached(chosen: Iterable[Effect]) -> dict[Size, float]:
    """Powers of the factor by which sizes grow when all of these are turned."""
    reached: dict[Size, float] = {}
    for effect in chosen:
        for size, elasticity in effect.elasticity.items():
            reached[size] = reached.get(size, 0.0) + elasticity
    return reached


def _rank(effect: Effect, reached: Mapping[Size, float]) -> tuple[bool, float, bool]:
    """Channels before ratios of them; whole numbers before multipliers, which the model rounds."""
    gain = _gain(effect.elasticity, reached)
    return gain > 0 and not is_dependent(effect.group.name), gain, _whole(effect.group)


def _gain(elasticity: Mapping[Size, float], reached: Mapping[Size, float]) -> float:
    return sum(
        _distance(reached.get(size, 0.0)) - _distance(reached.get(size, 0.0) + e)
        for size, e in elasticity.items()
    )


def _distance(reached: float) -> float:
    return 1.0 - reached if reached < 1.0 else _OVERSHOOT_PENALTY * (reached - 1.0)


def _whole(group: Group) -> bool:
    return all(isinstance(value, int) for value in group.values)


def _together(probe: Prober) -> list[Group]:
    """Groups that only build when they are turned together, such as inputs and outputs of blocks.

    All that could be channels are turned; then each is left out that nothing needs.
    """
    groups = [group for group in probe.groups.values() if _could_be_channels(group)]
    best = _on_target(probe, groups)
    if len(groups) < 2 or not best:
        return []
    for group in list(groups):
        rest = [other for other in groups if other is not group]
        if rest and _on_target(probe, rest) >= best:
            groups = rest
    for group in probe.groups.values():
        if _is_size_of_groups(group) and (more := _on_target(probe, [*groups, group])) > best:
            groups, best = [*groups, group], more
    return groups


def _on_target(probe: Prober, groups: Sequence[Group]) -> int:
    """Number of sizes that about double when all of these groups do; 0 if that does not run."""
    built = _double(probe, groups)
    if built is None:
        return 0
    return sum(
        abs(b - 2 * a) <= _TOLERANCE * 2 * a
        for name, shape in probe.base.shapes.items()
        if len(built.shapes.get(name, ())) == len(shape)
        for a, b in zip(shape[:2], built.shapes[name][:2], strict=True)
    )


def _is_size_of_groups(group: Group) -> bool:
    return group.kind == "values" and is_dependent(group.name) and min(group.values) > 1


def _could_be_channels(group: Group) -> bool:
    return (
        group.kind == "values" and min(group.values) >= _MIN_CHANNELS and may_be_width(group.name)
    )


def _reason(probe: Prober, widths: Sequence[Effect]) -> str:
    if widths:
        names = ", ".join(effect.group.name for effect in widths[:4])
        return f"turning {names} does not scale the whole model"
    failed = [f"{name} ({why})" for name, why in probe.reasons.items() if may_be_width(name)]
    if failed:
        return f"no argument moves the sizes of its weights; refused: {'; '.join(failed[:3])}"[:300]
    return "no argument moves the sizes of its weights"
