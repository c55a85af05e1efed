"""Ways to round channel counts at a factor: the friendliest to hardware first, coarser ones after.

Each way is a function of the factor; what it returns for a range of factors is the list of widths
that a model can have between them.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import partial

from ..scaling import round_to_step
from ._groups import Group, Number
from ._knobs import Knobs
from ._names import may_divide
from ._numbers import MAX_MULTIPLIER, Rounding, scale_widths, whole_if_it_is

Values = Mapping[str, Sequence[Number]]
Way = Callable[[float], Values]

# multiples of channels: 8 suits vector units; the others are what heads and groups divide
WIDTH_STEPS = (8, 16, 24, 32, 48, 64, 96, 128)
# steps of the unit that counts have in common
_UNITS = (8, 4, 2)
# denominators of one factor for all sizes, which keeps every ratio between them
_UNIFORM_DENOMINATORS = (32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
# a fraction further from the factor than this, as a log, is another variant and no rounding
_MAX_ROUNDING = 0.25
# channels that do not divide by a number divide by a half or a quarter of it, more often
_FINER = (2, 4)
# widths are looked for at factors so far apart, as a log: no two roundings of channels are nearer
_FINENESS = 0.004


def ways_to_round(knobs: Knobs) -> Iterator[Way]:
    """Iterate over the ways to round a model's widths, each a function of the factor.

    Each count is rounded to multiples of a step by itself; then counts or sizes of heads are scaled
    along; then counts stay multiples of what they have in common; then all are scaled by one
    fraction, so that ratios between them stay what they were.
    """
    groups = [g for name, g in knobs.groups.items() if name in knobs.axes["width"].arguments]
    step = knobs.axes["width"].step
    if all(group.kind == "layers" for group in groups):
        # one factor of all counts in the code of a model: only fractions of them fit together
        yield from (partial(_uniform, groups, d, []) for d in _UNIFORM_DENOMINATORS)
        return
    heads = [g for g in knobs.groups.values() if _is_heads(g) and g not in groups]
    by_itself = [partial(stepped_widths, groups, s) for s in _steps(step or WIDTH_STEPS[0])]
    together = [partial(_in_units, groups, along, s) for along in _along(heads) for s in _UNITS]
    # without a step that suits, counts of stages or heads depend on each other
    if step is not None:
        yield by_itself[0]
    for group in heads:
        yield partial(_with_heads, groups, group)
    if step is None:
        yield from together
        yield from by_itself
        if heads:
            kept = (partial(_in_units, groups, [], _UNITS[0]), by_itself[0])
            yield from (partial(_with_finer, way, heads, n) for n in _FINER for way in kept)
    else:
        yield from by_itself[1:]
        yield from together
    # some generate their channels from two or three numbers, and take them rounded one way only
    for rounding in ("down", "up"):
        yield partial(stepped_widths, groups, step or WIDTH_STEPS[0], rounding=rounding)
    for along in _along(heads):
        for denominator in _UNIFORM_DENOMINATORS:
            yield partial(_uniform, groups, denominator, along)


def _steps(step: int) -> Iterator[int]:
    """The step and those that are coarser, the others of 8 included where it is 8."""
    yield step
    for coarser in WIDTH_STEPS:
        if (coarser > step and coarser % step == 0) or step == WIDTH_STEPS[0] < coarser:
            yield coarser


def _along(heads: Sequence[Group]) -> list[list[Group]]:
    return [[], *([group] for group in heads)]


def widths_between(way: Way, lowest: float, highest: float) -> list[Values]:
    """Return the different widths that a way gives for factors in a range, in their order."""
    steps = math.ceil(math.log(highest / lowest) / _FINENESS)
    found: list[Values] = []
    for i in range(steps + 1):
        widths = way(lowest * (highest / lowest) ** (i / max(steps, 1)))
        if widths and (not found or widths != found[-1]):
            found.append(widths)
    return found


def stepped_widths(
    groups: Sequence[Group], step: int, factor: float, *, rounding: Rounding = "nearest"
) -> Values:
    """Return channel counts times a factor, each rounded to multiples of a step by itself."""
    return {g.name: list(scale_widths(g.values, factor, step, rounding)) for g in groups}


def is_channels(group: Group) -> bool:
    """Tell channel counts from multipliers of them, which the model rounds itself."""
    return any(isinstance(value, int) and value > MAX_MULTIPLIER for value in group.values)


def _with_heads(groups: Sequence[Group], heads: Group, factor: float) -> Values:
    along = _heads_times(heads, factor)
    return {**stepped_widths(groups, WIDTH_STEPS[0], factor), heads.name: along}


def _heads_times(heads: Group, factor: float | Fraction) -> list[Number]:
    """Heads or groups times a factor; where there is one only, nothing is divided and it stays."""
    return [max(round(value * factor), 1) if value > 1 else value for value in heads.values]


def _with_finer(way: Way, heads: Sequence[Group], finer: int, factor: float) -> Values:
    """Channels rounded in a way, and a fraction of what divides them, whatever the factor."""
    if any(value % finer for group in heads for value in group.values if value > 1):
        return {}
    share = Fraction(1, finer)
    return {**way(factor), **{group.name: _heads_times(group, share) for group in heads}}


def _in_units(groups: Sequence[Group], heads: Sequence[Group], step: int, factor: float) -> Values:
    """Counts of a group stay the multiples that they were of the largest unit they have in common.

    Stages that double go on doubling, and widths that are multiples of a group's stay so.
    """
    along = {group.name: _heads_in_units(group, factor) for group in heads}
    return {**{group.name: _in_units_of(group.values, step, factor) for group in groups}, **along}


def _heads_in_units(heads: Group, factor: float) -> list[Number]:
    several = math.gcd(*(int(value) for value in heads.values if value > 1))
    new = max(round(several * factor), 1)
    return [value // several * new if value > 1 else value for value in heads.values]


def _in_units_of(values: Sequence[Number], step: int, factor: float) -> list[Number]:
    whole = [value for value in values if isinstance(value, int) and value > 0]
    unit = math.gcd(*whole)
    if len(whole) < len(values) or unit <= MAX_MULTIPLIER:
        return list(scale_widths(values, factor, step))
    new = round_to_step(unit * factor, min(step, unit))
    return [value // unit * new for value in whole]


def _uniform(
    groups: Sequence[Group], denominator: int, heads: Sequence[Group], factor: float
) -> Values:
    share = Fraction(max(round(factor * denominator), 1), denominator)
    if abs(math.log(share / factor)) > _MAX_ROUNDING:
        return {}
    widths = {group.name: _group_times(group, share) for group in groups}
    return {**widths, **{group.name: _heads_times(group, share) for group in heads}}


def _group_times(group: Group, share: Fraction) -> list[Number]:
    """Whole numbers stay whole, but for a single small one, which is a multiplier."""
    if len(group.values) == 1 and 0 < group.values[0] <= MAX_MULTIPLIER:
        return [whole_if_it_is(float(group.values[0] * share))]
    return [_times(value, share) for value in group.values]


def _is_heads(group: Group) -> bool:
    """Tell counts and sizes of heads and groups: they may have to be scaled to stay legal."""
    whole = all(isinstance(value, int) and value > 0 for value in group.values)
    several = whole and max(group.values) > 1
    return group.kind == "values" and several and may_divide(group.name)


def _times(value: Number, share: Fraction) -> Number:
    if isinstance(value, float) or value <= 0:
        # zero says that there is none
        return float(value * share) if value > 0 else value
    return max(round(value * share), 1)
