"""How an image is cut into blocks of columns for the products with a band matrix."""

import math
from dataclasses import dataclass

from ._problem import Problem

# bytes of a load are a power of two up to 16, eight elements of two bytes
WIDEST_LOAD = 8
# a block that spans whole rows needs no columns beside it, so it pays while rows are short
_WHOLE_ROWS = (8, 16, 32)
# above this many taps the columns beside a block outweigh it, and whole rows pay up to 64 columns
_MANY_TAPS = 17
_LONG_ROW = 64
# the smallest product of tensor cores is 16 deep; windows beyond 128 do not fit in shared memory
_SHORTEST, _LONGEST = 16, 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Columns of a block of outputs, and of the window of inputs that it needs.

    Attributes:
        block: Columns of outputs.
        length: Columns of inputs, a power of two.
        first: First column of the window less first column of the block.
        align: Elements to which all windows are aligned.
    """

    block: int
    length: int
    first: int
    align: int


def window_of(problem: Problem) -> Window | None:
    """Return how to cut the rows of a problem, or None where no window is long enough."""
    width, out_width = problem.size[1], problem.out_size[1]
    widest = max(width, out_width)
    whole = [*_WHOLE_ROWS, *([_LONG_ROW] if problem.kernel[1] > _MANY_TAPS else [])]
    align = math.gcd(width, WIDEST_LOAD)
    for block in whole:
        if widest <= block:
            return Window(block=block, length=max(block, _SHORTEST), first=0, align=align)
    block = 16 if problem.kernel[1] <= _MANY_TAPS else 32
    windows = [_beside(block, problem, align >> shift) for shift in range(align.bit_length())]
    # the widest loads among the shortest windows
    best = min(windows, key=lambda window: window.length)
    return best if best.length <= _LONGEST else None


def _beside(block: int, problem: Problem, align: int) -> Window:
    """A window that starts at the multiple of `align` before the first tap."""
    left = problem.padding[2]
    first = -left // align * align
    columns = block + problem.kernel[1] - 1 - left - first
    return Window(block=block, length=power_of_two(columns), first=first, align=align)


def power_of_two(number: int) -> int:
    """Return the smallest power of two that is not smaller."""
    return 1 << max(0, number - 1).bit_length()


def blocks(length: int, block: int) -> int:
    """Return how many blocks cover a length."""
    return -(-length // block)
