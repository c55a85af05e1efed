"""Shapes of one depthwise convolution, and what follows from them: output size, FLOPs, bytes."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

Operation = Literal["forward", "input_grad", "weight_grad"]


def output_length(
    length: int, *, taps: int, before: int, after: int, stride: int, dilation: int
) -> int:
    """Return the number of outputs along one axis."""
    return (length + before + after - dilation * (taps - 1) - 1) // stride + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is convolved, seen from the input of the forward pass.

    Attributes:
        batch: Number of images.
        channels: Number of channels, each with one filter.
        size: Height and width of the input.
        kernel: Height and width of a filter, in taps.
        stride: Vertical and horizontal step between outputs.
        padding: Rows and columns of zeros: top, bottom, left, right. May be negative, which crops.
        dilation: Vertical and horizontal step between taps.
        dtype: Of input, weight and output.
        channels_last: Whether memory runs over channels first.
        tf32: Whether factors of float32 may be rounded to the 10 bits of TF32.
    """

    batch: int
    channels: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    dtype: torch.dtype = torch.float32
    channels_last: bool = False
    tf32: bool = False

    @property
    def out_size(self) -> tuple[int, int]:
        """Height and width of the output."""
        top, bottom, left, right = self.padding
        return (
            self._length(0, before=top, after=bottom),
            self._length(1, before=left, after=right),
        )

    def _length(self, axis: int, *, before: int, after: int) -> int:
        return output_length(
            self.size[axis],
            taps=self.kernel[axis],
            before=before,
            after=after,
            stride=self.stride[axis],
            dilation=self.dilation[axis],
        )

    @property
    def outputs(self) -> int:
        """Number of output elements."""
        return self.batch * self.channels * self.out_size[0] * self.out_size[1]

    @property
    def flops(self) -> int:
        """FLOPs of one pass, two per tap and output, taps over the border included."""
        return 2 * self.outputs * self.kernel[0] * self.kernel[1]

    @property
    def bytes(self) -> int:
        """Fewest bytes one pass moves: each of its three tensors once."""
        inputs = self.batch * self.channels * self.size[0] * self.size[1]
        weights = self.channels * self.kernel[0] * self.kernel[1]
        return self.dtype.itemsize * (inputs + weights + self.outputs)

    @property
    def is_plain(self) -> bool:
        """Whether stride and dilation are one."""
        return self.stride == (1, 1) and self.dilation == (1, 1)

    @property
    def memory_format(self) -> torch.memory_format:
        """The order of memory, in torch's terms."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def transposed(self) -> "Problem":
        """Return the convolution of output gradients that gives input gradients, at stride one.

        Its filters are ours turned by half a turn.
        """
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True)]
        top, bottom, left, right = self.padding
        padding = (reach[0] - top, reach[0] - bottom, reach[1] - left, reach[1] - right)
        return replace(self, size=self.out_size, padding=padding)


def is_channels_last(x: Tensor) -> bool:
    """Return whether memory runs over channels first; where both orders hold, it does not."""
    return not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)


def memory_format(x: Tensor) -> torch.memory_format:
    """Return the order of memory that the output for `x` has."""
    return torch.channels_last if is_channels_last(x) else torch.contiguous_format
