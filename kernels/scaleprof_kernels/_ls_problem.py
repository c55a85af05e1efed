"""Shapes of the tail of an LS convolution, and what follows from them."""

from dataclasses import dataclass

import torch


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
    """

    batch: int
    channels: int
    groups: int
    size: tuple[int, int]
    kernel_size: int = 3
    epsilon: float = 1e-5
    batch_epsilon: float = 1e-5
    dtype: torch.dtype = torch.float16

    @property
    def pixels(self) -> int:
        """Positions of a map."""
        return self.size[0] * self.size[1]

    @property
    def weight_channels(self) -> int:
        """Number of filters of a position."""
        return self.channels // self.groups

    @property
    def unfused_bytes(self) -> int:
        """Fewest bytes of group norm, aggregation, batch norm and residual, one after the other."""
        weights = self.weight_channels * self.kernel_size**2
        return self.batch * self.pixels * (3 * weights + 7 * self.channels) * self.dtype.itemsize

    @property
    def bytes(self) -> int:
        """Fewest bytes: weights before the norm, the input and the output, each once."""
        weights = self.weight_channels * self.kernel_size**2
        return self.batch * self.pixels * (weights + 2 * self.channels) * self.dtype.itemsize
