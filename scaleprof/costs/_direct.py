"""Operators whose cost and output follow from shapes alone, without asking torch.

Counting sees operators before torch splits them (``linear``, not transpose and ``addmm``), so that
a handful of them make up most of a model. Each function here takes the operator's arguments on the
meta device and returns its output with its multiply-adds and activations, or None when the
arguments are not the plain case; torch's own, slower, path then does the work. Formulas are those
of `torch.utils.flop_counter`, in MACs, half of its FLOPs.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

aten = torch.ops.aten


class Direct(NamedTuple):
    """What one call of an operator yields: its output, multiply-adds and activations."""

    output: Any
    macs: int
    activations: int


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Direct | None:
    """Multiply by a weight matrix: every output is a dot product over the input features."""
    out_features, in_features = weight.shape
    if x.shape[-1] != in_features:
        return None
    out = _new(x, (*x.shape[:-1], out_features))
    elements = out.numel()
    return Direct(out, elements * in_features, elements)


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: list[int] | int = 1,
    padding: list[int] | int = 0,
    dilation: list[int] | int = 1,
    groups: int = 1,
) -> Direct | None:
    """Convolve: every output is a dot product over one group's channels and the kernel."""
    out_channels, group_channels, *kernel = weight.shape
    sizes = x.shape[2:]
    if x.dim() != weight.dim() or x.shape[1] != group_channels * groups or not sizes:
        return None
    steps = zip(
        sizes,
        kernel,
        _per_axis(stride, sizes),
        _per_axis(padding, sizes),
        _per_axis(dilation, sizes),
        strict=True,
    )
    out_sizes = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in steps]
    if min(out_sizes) < 1:
        return None
    out = _like_layout(x, (x.shape[0], out_channels, *out_sizes))
    elements = out.numel()
    return Direct(out, elements * group_channels * math.prod(kernel), elements)


def _per_axis(value: list[int] | int, sizes: torch.Size) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * len(sizes) if len(values) == 1 else values


def _new(x: Tensor, shape: Sequence[int]) -> Tensor:
    """`Tensor.new_empty`, which takes four times as long on the meta device."""
    return torch.empty(shape, dtype=x.dtype, device=x.device)


def _like_layout(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a dense output, channels last if the input is, as torch's convolutions do."""
    channels_last = (
        x.dim() == 4
        and not x.is_contiguous()
        and x.is_contiguous(memory_format=torch.channels_last)
    )
    if channels_last:
        return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    return _new(x, shape)


def matmul(a: Tensor, b: Tensor) -> Direct | None:
    """Multiply matrices or batches of them; with vectors torch counts nothing, nor do we here."""
    if a.dim() < 2 or b.dim() < 2:
        return None
    out = torch.matmul(a, b)
    elements = out.numel()
    return Direct(out, elements * a.shape[-1], elements)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **_: Any,
) -> Direct | None:
    """Attend: scores (queries x keys) and their product with the values, causal or not.

    Query (..., H, L, D), key (..., H, S, D) and value (..., H, S, V) give (..., H, L, V).
    """
    depth = query.shape[-1]
    keys, value_depth = value.shape[-2:]
    if query.dim() < 2 or key.shape[-1] != depth or key.shape[-2] != keys:
        return None
    scores = (*query.shape[:-1], keys)
    if attn_mask is not None and not _expands(attn_mask.shape, scores):
        return None
    out = _new(query, (*query.shape[:-1], value_depth))
    rows = query.numel() // max(depth, 1)
    return Direct(out, rows * keys * (depth + value_depth), rows * keys + rows * value_depth)


def same_as_input(x: Tensor, *_: Any, **__: Any) -> Direct | None:
    """Return a new tensor of the input's shape and layout (batch norm, activations)."""
    if not x.is_floating_point():
        return None
    return Direct(_empty_like(x), 0, 0)


def _empty_like(x: Tensor) -> Tensor:
    """`torch.empty_like`, which takes many times as long on the meta device."""
    return _new(x, x.shape) if x.is_contiguous() else torch.empty_like(x)


def softmax(x: Tensor, dim: int, dtype: torch.dtype | None = None) -> Direct | None:
    """Return a new tensor of the input's shape, in its type unless told otherwise."""
    return same_as_input(x) if dtype in (None, x.dtype) else None


def concatenation(tensors: Sequence[Tensor], dim: int = 0) -> Direct | None:
    """Put tensors of one type behind each other along one dimension."""
    first = tensors[0]
    at = dim % max(first.dim(), 1)
    before, after = first.shape[:at], first.shape[at + 1 :]
    for x in tensors:
        if x.dtype != first.dtype or not x.is_contiguous():
            return None
        if (x.dim(), x.shape[:at], x.shape[at + 1 :]) != (first.dim(), before, after):
            return None
    along = sum(x.shape[at] for x in tensors)
    return Direct(_new(first, (*before, along, *after)), 0, 0)


def norm(x: Tensor, *_: Any, **__: Any) -> Direct | None:
    """Return a new dense tensor of the input's shape (layer and group norm)."""
    return Direct(_like_layout(x, tuple(x.shape)), 0, 0)


def input_itself(x: Tensor, *_: Any, **__: Any) -> Direct | None:
    """Return the input (in-place operators)."""
    return Direct(x, 0, 0)


def dropout(x: Tensor, p: float, train: bool) -> Direct | None:
    """Return the input, as dropout does in inference."""
    return Direct(_empty_like(x) if train else x, 0, 0)


def binary(x: Tensor, y: Any, *_: Any, **__: Any) -> Direct | None:
    """Combine two tensors of one type, one of the output's shape; or a tensor and a number."""
    if not isinstance(y, Tensor):
        # bool and int, or int and float, give another type than x has
        plain = x.is_floating_point() and isinstance(y, int | float)
        return Direct(_empty_like(x), 0, 0) if plain else None
    if x.dtype != y.dtype:
        return None
    if _expands(y.shape, x.shape):
        return Direct(_empty_like(x), 0, 0)
    return Direct(_empty_like(y), 0, 0) if _expands(x.shape, y.shape) else None


def division(x: Tensor, y: Any) -> Direct | None:
    """Divide floating-point numbers; whole ones become such."""
    return binary(x, y) if x.is_floating_point() else None


def _expands(small: Sequence[int], large: Sequence[int]) -> bool:
    """Tell whether a tensor of one shape is broadcast to another."""
    if small == large:
        return True
    extra = len(large) - len(small)
    return extra >= 0 and all(n in (1, m) for n, m in zip(small, large[extra:], strict=True))


def mean(x: Tensor, dim: list[int] | None, keepdim: bool = False, **kwargs: Any) -> Direct | None:
    """Average over some dimensions."""
    if not dim or kwargs:
        return None
    gone = {d % x.dim() for d in dim}
    sizes = [1 if d in gone else n for d, n in enumerate(x.shape) if keepdim or d not in gone]
    return Direct(_new(x, sizes), 0, 0)


def upsampling(x: Tensor, size: list[int] | None, *rest: Any) -> Direct | None:
    """Resize images to a size, or by factors, which are last; torch takes this far apart."""
    scales = rest[-1]
    if x.dim() != 4 or not x.is_floating_point() or bool(size) == bool(scales):
        return None
    sizes = size or [int(n * scale) for n, scale in zip(x.shape[2:], scales, strict=True)]
    # with a size of one, dense images may be in several orders at once
    if min(*x.shape[1:], *sizes) < 2 or (order := _order(x)) is None:
        return None
    shape = (*x.shape[:2], *sizes)
    out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=order)
    return Direct(out, 0, 0)


def _order(x: Tensor) -> torch.memory_format | None:
    """The order of dense images that torch would keep; None if it is not one of the two."""
    _, channels, height, width = x.shape
    image = channels * height * width
    if x.stride() == (image, 1, width * channels, channels):
        return torch.channels_last
    # a single image may be last in channels by its strides but that of the batch
    dense = x.is_contiguous(memory_format=torch.channels_last) and x.stride(0) < image
    return torch.contiguous_format if dense or x.is_contiguous() else None


DIRECT: dict[Any, Callable[..., Direct | None]] = {
    aten.linear.default: linear,
    aten.conv1d.default: convolution,
    aten.conv2d.default: convolution,
    aten.conv3d.default: convolution,
    aten.matmul.default: matmul,
    aten.scaled_dot_product_attention.default: attention,
    aten.dropout.default: dropout,
    aten.layer_norm.default: norm,
    aten.batch_norm.default: same_as_input,
    aten.group_norm.default: norm,
    aten.gelu.default: same_as_input,
    aten.relu.default: same_as_input,
    aten.silu.default: same_as_input,
    aten.sigmoid.default: same_as_input,
    aten.hardswish.default: same_as_input,
    aten.tanh.default: same_as_input,
    aten.hardsigmoid.default: same_as_input,
    aten.neg.default: same_as_input,
    aten.exp.default: same_as_input,
    aten.sqrt.default: same_as_input,
    aten.rsqrt.default: same_as_input,
    aten.pow.Tensor_Scalar: same_as_input,
    aten.clamp_min.default: same_as_input,
    aten.softmax.int: softmax,
    aten.cat.default: concatenation,
    aten.relu_.default: input_itself,
    aten.silu_.default: input_itself,
    aten.sigmoid_.default: input_itself,
    aten.hardswish_.default: input_itself,
    aten.hardtanh_.default: input_itself,
    aten.leaky_relu_.default: input_itself,
    aten.gelu_.default: input_itself,
    aten.add.Tensor: binary,
    aten.mul.Tensor: binary,
    aten.sub.Tensor: binary,
    aten.div.Tensor: division,
    aten.mean.dim: mean,
    aten.upsample_bilinear2d.vec: upsampling,
    aten.upsample_bicubic2d.vec: upsampling,
}
"""Output and cost by operator overload; every name not here takes torch's own path."""

PRODUCTS = frozenset(
    {"linear", "conv1d", "conv2d", "conv3d", "matmul", "scaled_dot_product_attention"}
)
"""Names of the operators above that do multiply-adds."""
