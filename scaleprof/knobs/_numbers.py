"""Arguments that are numbers, or sequences of numbers, and what scaling does to them."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

from ..scaling import round_to_step

# whole numbers up to this are multipliers of channels rather than channels
MAX_MULTIPLIER = 3
# matrix units work on tiles of 64 channels; that is preferred where it loses at most this share
TILE = 64
_TILE_LOSS = 0.02

Number = int | float
Rounding = Literal["nearest", "down", "up"]
Numbers = Any
"""A number, or nested tuples and lists of numbers."""


def is_numbers(value: Any) -> bool:
    """Tell numbers and sequences of numbers that could be scaled from everything else."""
    if isinstance(value, list | tuple):
        return bool(value) and all(is_numbers(item) for item in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def leaves(value: Numbers) -> Iterator[Number]:
    """Iterate over the numbers in order."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def map_numbers(function: Callable[[Number], Number], value: Numbers) -> Numbers:
    """Apply a function to every number; sequences become tuples."""
    if isinstance(value, list | tuple):
        return tuple(map_numbers(function, item) for item in value)
    return function(value)


def scale_widths(
    value: Numbers, factor: float, step: int, rounding: Rounding = "nearest"
) -> Numbers:
    """Scale channel counts, integers rounded to multiples of a step, or of 64 where that is near.

    Counts smaller than the step keep a finer one: a third of a small layer is no rounding error.
    """

    def scaled(number: Number) -> Number:
        if isinstance(number, float) or number <= 0:
            return number * factor if number > 0 else number
        if number <= MAX_MULTIPLIER:
            return whole_if_it_is(number * factor)
        return _rounded(number * factor, min(step, _power_of_two_below(number)), rounding)

    return map_numbers(scaled, value)


def _rounded(wanted: float, step: int, rounding: Rounding) -> int:
    if rounding == "nearest":
        whole = round_to_step(wanted, TILE)
        near = TILE % step == 0 and abs(whole / wanted - 1) <= _TILE_LOSS
        return whole if near else round_to_step(wanted, step)
    way = math.floor if rounding == "down" else math.ceil
    return max(way(wanted / step), 1) * step


def whole_if_it_is(number: float) -> Number:
    return int(number) if number.is_integer() else number


def _power_of_two_below(number: int) -> int:
    return 1 << max(number // 4, 1).bit_length() - 1 if number > 0 else 1


def mean_ratio(new: Numbers, old: Numbers) -> float:
    """Geometric mean of the ratios of corresponding numbers."""
    pairs = [(a, b) for a, b in zip(leaves(new), leaves(old), strict=True) if a > 0 and b > 0]
    return math.exp(sum(math.log(a / b) for a, b in pairs) / len(pairs)) if pairs else 1.0
