"""What a convolution may be called with, and what is said about the rest."""

from collections.abc import Sequence

import torch
from torch import Tensor

Pair = tuple[int, int]


def autocast(tensor: Tensor, x: Tensor) -> Tensor:
    """Cast as torch casts arguments of its convolutions where autocast is on for `x`'s device.

    It leaves float64 alone.
    """
    device = x.device.type
    eligible = tensor.is_floating_point() and tensor.dtype != torch.float64
    if not eligible:
        return tensor
    # tensors without data are on a device that autocast does not know; the compiler of torch 2.11
    # cannot ask this, and has none of them. TODO: ask always once torch>=2.15
    if not torch.compiler.is_compiling() and not torch.amp.is_autocast_available(device):
        return tensor
    if not torch.is_autocast_enabled(device):
        return tensor
    return tensor.to(torch.get_autocast_dtype(device))


def check_tensors(x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Check that three tensors make a depthwise convolution.

    Raises:
        ValueError: If shapes or devices do not fit together.
        TypeError: If dtypes do not.
    """
    if x.dim() not in {3, 4}:
        raise ValueError(f"`x` must have 4 dimensions, or 3 without a batch, got {_shape(x)}")
    channels = x.shape[-3]
    if weight.dim() != 4 or weight.shape[1] != 1:
        raise ValueError(f"`weight` must be [channels, 1, height, width], got {_shape(weight)}")
    if weight.shape[0] == 0 or channels == 0 or weight.shape[0] % channels:
        raise ValueError(
            f"`weight` must have a filter for each of {channels} channels, got {weight.shape[0]}"
        )
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ValueError(f"`bias` must have shape [{weight.shape[0]}], got {_shape(bias)}")
    if not x.is_floating_point():
        raise TypeError(f"`x` must be floating point, got {x.dtype}")
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.dtype != x.dtype:
            raise TypeError(f"`{name}` must have the dtype of `x`, {x.dtype}, got {tensor.dtype}")
        if tensor is not None and tensor.device != x.device:
            raise ValueError(f"`{name}` must be on {x.device}, as `x` is, got {tensor.device}")


def _shape(tensor: Tensor) -> list[int]:
    return list(tensor.shape)


def as_pair(value: int | Sequence[int], name: str) -> Pair:
    """Read a step that is the same both ways, or one for each.

    Raises:
        ValueError: If it is not one or two positive integers.
    """
    pair = _two(value)
    if pair is None or min(pair) < 1:
        raise ValueError(f"`{name}` must be a positive integer or a pair of them, got {value!r}")
    return pair


def _two(value: object) -> Pair | None:
    if isinstance(value, int):
        return value, value
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        first, second = value
        return (first, second) if isinstance(first, int) and isinstance(second, int) else None
    return None


def as_paddings(
    padding: int | Sequence[int] | str, kernel: Sequence[int], stride: Pair, dilation: Pair
) -> tuple[int, int, int, int]:
    """Read padding as rows and columns of zeros: top, bottom, left, right.

    Raises:
        ValueError: If it is not "same", "valid", or one or two integers of at least zero; or if it
            is "same" and the stride is not one.
    """
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f'`padding` "same" needs stride 1, got stride {stride}')
        spare = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        top, left = spare[0] // 2, spare[1] // 2
        return top, spare[0] - top, left, spare[1] - left
    pair = (0, 0) if padding == "valid" else _two(padding)
    if pair is None or min(pair) < 0:
        raise ValueError(
            f'`padding` must be "same", "valid", an integer from 0 or a pair, got {padding!r}'
        )
    return pair[0], pair[0], pair[1], pair[1]


def check_reach(
    size: Sequence[int], kernel: Sequence[int], paddings: Sequence[int], dilation: Pair
) -> None:
    """Check that a filter finds room in the padded image.

    Raises:
        ValueError: If it does not.
    """
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    room = [size[0] + paddings[0] + paddings[1], size[1] + paddings[2] + paddings[3]]
    if min(kernel) < 1 or reach[0] > room[0] or reach[1] > room[1]:
        raise ValueError(
            f"`x` must be at least as large as the filter's reach of {reach[0]}×{reach[1]}, "
            f"got {room[0]}×{room[1]} with padding"
        )
