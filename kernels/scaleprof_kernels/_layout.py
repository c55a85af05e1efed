"""Where the filters and the outputs of a convolution lie in memory: dense, or some of a whole."""

import math
from dataclasses import dataclass

from torch import Tensor

from ._problem import Problem
from ._window import WIDEST_LOAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Elements between neighbours in memory.

    Attributes:
        weight: Between filters, rows and columns of taps.
        output: Between images, channels, rows and columns of outputs.
    """

    weight: tuple[int, int, int]
    output: tuple[int, int, int, int]

    @property
    def align(self) -> int:
        """Elements that are stored at once, at most: rows of outputs start at multiples of it."""
        _, channel, row, column = self.output
        return math.gcd(channel, row, WIDEST_LOAD) if column == 1 else 1


def layout_of(weight: Tensor, y: Tensor) -> Layout:
    """Return the layout of filters, [channels, 1, rows, columns], and outputs."""
    by_filter, _, row, column = weight.stride()
    images, channels, rows, columns = y.stride()
    return Layout(weight=(by_filter, row, column), output=(images, channels, rows, columns))


def dense(problem: Problem) -> Layout:
    """Return the layout of filters and outputs that have memory of their own."""
    (out_h, out_w), (taps_h, taps_w) = problem.out_size, problem.kernel
    channels = problem.channels
    image = channels * out_h * out_w
    if problem.channels_last:
        return Layout(
            weight=(1, taps_w * channels, channels), output=(image, 1, out_w * channels, channels)
        )
    return Layout(weight=(taps_h * taps_w, taps_w, 1), output=(image, out_h * out_w, out_w, 1))
