"""Shapes of the tail of an LS convolution, and what follows from them."""

from dataclasses import dataclass

import torch


def side_of(taps: int) -> int:
    """Return the taps along a side of a filter, the next odd number if there is no such one."""
    side = 1
    # a root would not go through torch's compiler, for which sizes are symbols
    while side * side < taps:
        side += 2
    return side


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """What the tail computes on.

    Attributes:
        batch: Number of images.
        channels: Number of channels.
        groups: Channels that share a filter.
        size: Height and width.
        kernel_size: Taps along a side of a filter.
        epsilon: What the group norm adds to variances.
        batch_epsilon: What the batch norm adds to variances.
        dtype: Of all tensors.
        inner: Channels of what a 1×1 convolution makes the filters from; 0 where they are given.
    """

    batch: int
    channels: int
    groups: int
    size: tuple[int, int]
    kernel_size: int = 3
    epsilon: float = 1e-5
    batch_epsilon: float = 1e-5
    dtype: torch.dtype = torch.float16
    inner: int = 0

    @property
    def pixels(self) -> int:
        """Positions of a map."""
        return self.size[0] * self.size[1]

    @property
    def weight_channels(self) -> int:
        """Number of filters of a position."""
        return self.channels // self.groups

    @property
    def filter_elements(self) -> int:
        """Weights of all filters at all positions."""
        return self.batch * self.pixels * self.weight_channels * self.kernel_size**2

    @property
    def elements(self) -> int:
        """Elements of the input, and of the output."""
        return self.batch * self.pixels * self.channels

    @property
    def product_elements(self) -> int:
        """Elements of what the 1×1 convolution reads, its own weights included."""
        own = self.weight_channels * self.kernel_size**2
        return self.inner * (self.batch * self.pixels + own)

    @property
    def unfused_bytes(self) -> int:
        """Fewest bytes of its parts, one after the other: each reads and writes."""
        made = self.product_elements + self.filter_elements if self.inner else 0
        # group norm, aggregation, batch norm, sum
        parts = 3 * self.filter_elements + 7 * self.elements
        return (made + parts) * self.dtype.itemsize

    @property
    def bytes(self) -> int:
        """Fewest bytes: what filters are made from, or filters, input and output, each once."""
        read = self.product_elements if self.inner else self.filter_elements
        return (read + 2 * self.elements) * self.dtype.itemsize
