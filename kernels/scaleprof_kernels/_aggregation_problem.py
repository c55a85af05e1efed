"""Shapes of one small-kernel aggregation, and what follows from them: FLOPs and bytes."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """What is aggregated.

    Attributes:
        batch: Number of images.
        channels: Number of channels.
        groups: Channels that share the weights of a position.
        size: Height and width.
        kernel_size: Taps along each side of a window, odd.
        clamped: Whether windows are moved into the image, rather than padded with zeros.
        dtype: Of input and output.
        weight_dtype: Of the weights; None for that of the input.
        channels_last: Whether memory of input and output runs over channels first.
    """

    batch: int
    channels: int
    groups: int
    size: tuple[int, int]
    kernel_size: int = 3
    clamped: bool = False
    dtype: torch.dtype = torch.float32
    weight_dtype: torch.dtype | None = None
    channels_last: bool = False

    @property
    def taps(self) -> int:
        """Taps of a window."""
        return self.kernel_size**2

    @property
    def weight_channels(self) -> int:
        """Number of channels of the weights."""
        return self.channels // self.groups

    @property
    def outputs(self) -> int:
        """Number of output elements."""
        return self.batch * self.channels * self.size[0] * self.size[1]

    @property
    def weights(self) -> int:
        """Number of weights."""
        return self.outputs // self.groups * self.taps

    @property
    def own_weight_dtype(self) -> torch.dtype:
        """Type of the weights."""
        return self.weight_dtype or self.dtype

    @property
    def memory_format(self) -> torch.memory_format:
        """The order of memory of input and output, in torch's terms."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    @property
    def bytes(self) -> int:
        """Fewest bytes of the forward pass: input, weights and output, each once."""
        values = 2 * self.outputs * self.dtype.itemsize
        return values + self.weights * self.own_weight_dtype.itemsize

    @property
    def backward_bytes(self) -> int:
        """Fewest bytes of both gradients: two tensors and weights in, one and weights out."""
        values = 3 * self.outputs * self.dtype.itemsize
        return values + 2 * self.weights * self.own_weight_dtype.itemsize
