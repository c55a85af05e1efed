"""Arguments that are numbers, or sequences of numbers, and what scaling does to them."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

from ..scaling import round_to_step, scale_depths

# whole numbers up to this are multipliers of channels rather than channels
MAX_MULTIPLIER = 3

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


def double(value: Numbers) -> Numbers:
    """Double every number."""
    return map_numbers(lambda number: number * 2, value)


def scale_widths(
    value: Numbers, factor: float, step: int, rounding: Rounding = "nearest"
) -> Numbers:
    """Scale channel counts, integers rounded to multiples of a step.

    Counts smaller than the step keep a finer one: a third of a small layer is no rounding error.
    """

    def scaled(number: Number) -> Number:
        if isinstance(number, float) or number <= 0:
            return number * factor if number > 0 else number
        if number <= MAX_MULTIPLIER:
            return _whole_if_it_is(number * factor)
        finer = min(step, _power_of_two_below(number))
        # a value on the grid stays there, whichever way the others go
        aside = {"nearest": 0.0, "down": -0.5, "up": 0.5}[rounding] * (number * factor % finer != 0)
        return round_to_step(number * factor + aside * finer, finer)

    return map_numbers(scaled, value)


def _whole_if_it_is(number: float) -> Number:
    return int(number) if number.is_integer() else number


def _power_of_two_below(number: int) -> int:
    return 1 << max(number // 4, 1).bit_length() - 1 if number > 0 else 1


def scale_repeats(value: Numbers, factor: float) -> Numbers:
    """Scale repeat counts; the sum of a sequence is kept as near to the factor as it can be."""
    numbers = list(leaves(value))
    if any(isinstance(number, float) for number in numbers):
        return map_numbers(lambda number: number * factor, value)
    scaled = iter(scale_depths([int(number) for number in numbers], factor))
    return map_numbers(lambda _: next(scaled), value)


def mean_ratio(new: Numbers, old: Numbers) -> float:
    """Geometric mean of the ratios of corresponding numbers."""
    pairs = [(a, b) for a, b in zip(leaves(new), leaves(old), strict=True) if a > 0 and b > 0]
    return math.exp(sum(math.log(a / b) for a, b in pairs) / len(pairs)) if pairs else 1.0
