r"""Small-kernel aggregation: every position of an image has a small filter of its own.

.. math::
    y[n, c, h, w] = \sum_{i, j < k} W[n,\; c \bmod C',\; i k + j,\; h, w] \;
        x[n, c,\; h - r + i,\; w - r + j], \qquad r = (k - 1) / 2,

zero outside the image. The weights have :math:`C'` channels, and the channels :math:`c` that are
equal modulo :math:`C'` share them. It is the "focus small" half of LS convolution (Wang et al.,
2025, https://arxiv.org/abs/2503.23135); with one channel of weights per group it is involution (Li
et al., 2021, https://arxiv.org/abs/2103.06255), up to the order of channels. With a *clamped*
border, windows are moved into the image instead, as in neighbourhood attention (Hassani et al.,
2023, https://arxiv.org/abs/2204.07143).

Per output element, with `k²` taps, `g` channels that share weights and `e` bytes per number:

    forward     2 k² FLOPs     reads x and the weights, writes y             (2 + k²/g) e bytes
    backward    4 k² FLOPs     reads x, dy and the weights, writes their
                               gradients                                     (3 + 2 k²/g) e bytes

With LSNet's `k = 3`, `g = 8` in half precision that is 2.9 FLOPs per byte: memory is the floor by
far, and what a kernel must avoid is instructions. Both gradients come from one kernel, which reads
everything once and adds up in a fixed order. The operators are closed under differentiation.
"""

import math
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import register_flop_formula

from ._aggregation_problem import Aggregation
from ._arguments import autocast
from ._launch import capability_of
from ._problem import is_channels_last, memory_format

Border = Literal["zeros", "clamped"]
_BORDERS = ("zeros", "clamped")
_HAS_TRITON = find_spec("triton") is not None and torch.version.hip is None
# the A100: older GPUs lack bfloat16
_OLDEST = 80


# 1. Eager reference: the definition. Everything below must agree with it.
def small_kernel_aggregation_reference(x: Tensor, weight: Tensor, clamped: bool) -> Tensor:
    """Aggregate with torch, tap by tap, in float32 at least."""
    # [images, weight channels, taps, height, width]
    weights = weight.to(_wide(x))
    y: Tensor | None = None
    for tap, window in enumerate(_windows(x.to(_wide(x)), weight, clamped)):
        # [images, channels that share, weight channels, height, width]
        term = _shared(window, weight) * weights[:, None, :, tap]
        y = term if y is None else y.add_(term)
    assert y is not None
    return y.flatten(1, 2).to(x.dtype).contiguous(memory_format=memory_format(x))


def gradients_reference(
    grad: Tensor, x: Tensor, weight: Tensor, clamped: bool
) -> tuple[Tensor, Tensor]:
    """Return the gradients of input and weights with torch."""
    # [images, channels that share, weight channels, height, width]
    grads = _shared(grad.to(_wide(x)), weight)
    weights = weight.to(_wide(x))
    rows, columns = _reads(x, weight) if clamped else ([], [])
    radius = 0 if clamped else _side(weight) // 2
    x_grad = functional.pad(torch.zeros_like(x, dtype=_wide(x)), [radius] * 4)
    weight_grad = torch.empty_like(weights)
    for tap, window in enumerate(_windows(x.to(_wide(x)), weight, clamped)):
        i, j = divmod(tap, _side(weight))
        weight_grad[:, :, tap] = (grads * _shared(window, weight)).sum(1)
        share = (grads * weights[:, None, :, tap]).flatten(1, 2)
        if clamped:
            # one axis after the other, and each in the order of its index
            along = torch.zeros_like(share).index_add_(2, rows[i], share)
            x_grad.index_add_(3, columns[j], along)
        else:
            x_grad[:, :, i : i + x.shape[2], j : j + x.shape[3]] += share
    inside = x_grad[:, :, radius : radius + x.shape[2], radius : radius + x.shape[3]]
    kind = memory_format(x)
    return inside.to(x.dtype).contiguous(memory_format=kind), weight_grad.to(weight.dtype)


def _shared(x: Tensor, weight: Tensor) -> Tensor:
    """Divide channels into those that share weights and those that do not."""
    batch, channels, height, width = x.shape
    return x.reshape(batch, channels // weight.shape[1], weight.shape[1], height, width)


def _wide(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _side(weight: Tensor) -> int:
    """Taps along a side, the next odd number if there is no such one."""
    side = 1
    # a root would not go through torch's compiler, for which sizes are symbols
    while side * side < weight.shape[2]:
        side += 2
    return side


def _windows(x: Tensor, weight: Tensor, clamped: bool) -> list[Tensor]:
    """What each tap reads, in the shape of the output."""
    height, width = x.shape[2:]
    side = _side(weight)
    if clamped:
        rows, columns = _reads(x, weight)
        return [x[:, :, r][:, :, :, c] for r in rows for c in columns]
    padded = functional.pad(x, [side // 2] * 4)
    return [padded[:, :, i : i + height, j : j + width] for i in range(side) for j in range(side)]


def _reads(x: Tensor, weight: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Rows and columns that each tap reads, by output row and column, with a clamped border."""
    side = _side(weight)
    starts = [
        torch.arange(length, device=x.device).sub_(side // 2).clamp_(0, length - side)
        for length in x.shape[2:]
    ]
    rows, columns = ([start + tap for tap in range(side)] for start in starts)
    return rows, columns


# 2. Triton kernels, in the files beside this one.
def _forward_cuda(x: Tensor, weight: Tensor, clamped: bool) -> Tensor:
    if not runs_here(x, weight, clamped):
        return small_kernel_aggregation_reference(x, weight, clamped)
    from ._aggregate import aggregate

    return aggregate(problem_of(x, weight, clamped), x, weight)


def _gradients_cuda(
    grad: Tensor, x: Tensor, weight: Tensor, clamped: bool, wants_x: bool, wants_weight: bool
) -> tuple[Tensor, Tensor]:
    if not runs_here(x, weight, clamped):
        return _gradients_by_torch(grad, x, weight, clamped, wants_x, wants_weight)
    from ._aggregate_backward import aggregate_backward

    wanted = (wants_x, wants_weight)
    return aggregate_backward(problem_of(x, weight, clamped), grad, x, weight, wanted)


def problem_of(x: Tensor, weight: Tensor, clamped: bool) -> Aggregation:
    """Return the shapes of one call."""
    batch, channels, height, width = x.shape
    return Aggregation(
        batch=batch,
        channels=channels,
        groups=channels // weight.shape[1],
        size=(height, width),
        kernel_size=_side(weight),
        clamped=clamped,
        dtype=x.dtype,
        weight_dtype=weight.dtype,
        channels_last=is_channels_last(x),
    )


def runs_here(x: Tensor, weight: Tensor, clamped: bool) -> bool:
    """Return whether our kernels aggregate such tensors of a GPU, and differentiate it."""
    if not _HAS_TRITON or x.numel() == 0 or capability_of(x.device) < _OLDEST:
        return False
    from ._aggregate import can_aggregate

    return can_aggregate(problem_of(x, weight, clamped))


# 3. Operators: device dispatch, shape inference, backward, FLOP formula.
#    Plain `Tensor` annotations: torch infers the operators' schemas from them.
@torch.library.custom_op("scaleprof::small_kernel_aggregation", mutates_args=())
def _aggregate(x: Tensor, weight: Tensor, clamped: bool) -> Tensor:
    return small_kernel_aggregation_reference(x, weight, clamped)


@torch.library.custom_op("scaleprof::small_kernel_aggregation_grads", mutates_args=())
def _gradients(
    grad: Tensor, x: Tensor, weight: Tensor, clamped: bool, wants_x: bool, wants_weight: bool
) -> tuple[Tensor, Tensor]:
    return _gradients_by_torch(grad, x, weight, clamped, wants_x, wants_weight)


def _gradients_by_torch(
    grad: Tensor, x: Tensor, weight: Tensor, clamped: bool, wants_x: bool, wants_weight: bool
) -> tuple[Tensor, Tensor]:
    x_grad, weight_grad = gradients_reference(grad, x, weight, clamped)
    return x_grad if wants_x else x.new_empty(0), weight_grad if wants_weight else x.new_empty(0)


_aggregate.register_kernel("cuda")(_forward_cuda)
_gradients.register_kernel("cuda")(_gradients_cuda)


@_aggregate.register_fake
def _(x: Tensor, weight: Tensor, clamped: bool) -> Tensor:
    return torch.empty_like(x, memory_format=memory_format(x))


@_gradients.register_fake
def _(
    grad: Tensor, x: Tensor, weight: Tensor, clamped: bool, wants_x: bool, wants_weight: bool
) -> tuple[Tensor, Tensor]:
    x_grad = torch.empty_like(x, memory_format=memory_format(x)) if wants_x else x.new_empty(0)
    kind = torch.contiguous_format
    weight_grad = torch.empty_like(weight, memory_format=kind) if wants_weight else x.new_empty(0)
    return x_grad, weight_grad


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, clamped = inputs
    ctx.save_for_backward(x, weight)
    ctx.clamped = clamped


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    wanted = ctx.needs_input_grad[:2]
    gradients = _gradients(grad, x, weight, ctx.clamped, *wanted)
    return (*(g if w else None for g, w in zip(gradients, wanted, strict=True)), None)


def _setup_gradients_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.clamped, *ctx.wanted = inputs[3:]


def _gradients_backward(
    ctx: Any, x_upstream: Tensor, weight_upstream: Tensor
) -> tuple[Tensor | None, ...]:
    """Differentiate both gradients; each is linear in the output gradient and in the other input.

    What was not computed has an upstream gradient of no elements, and adds nothing.
    """
    grad, x, weight = ctx.saved_tensors
    by_x, by_weight = ctx.wanted
    for_grad, for_x, for_weight = (None, None, None)
    if by_x:
        for_grad = _aggregate(x_upstream, weight, ctx.clamped)
        for_weight = _gradients(grad, x_upstream, weight, ctx.clamped, False, True)[1]
    if by_weight:
        more = _aggregate(x, weight_upstream, ctx.clamped)
        for_grad = more if for_grad is None else for_grad + more
        for_x = _gradients(grad, x, weight_upstream, ctx.clamped, True, False)[0]
    return for_grad, for_x, for_weight, None, None, None


_aggregate.register_autograd(_backward, setup_context=_setup_context)
_gradients.register_autograd(_gradients_backward, setup_context=_setup_gradients_context)


@register_flop_formula(torch.ops.scaleprof.small_kernel_aggregation)
def _flops(x_shape: Sequence[int], weight_shape: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * math.prod(x_shape) * weight_shape[2]


@register_flop_formula(torch.ops.scaleprof.small_kernel_aggregation_grads)
def _gradients_flops(
    grad_shape: Sequence[int],
    x_shape: Sequence[int],
    weight_shape: Sequence[int],
    clamped: bool,
    wants_x: bool,
    wants_weight: bool,
    **_: Any,
) -> int:
    return 2 * math.prod(x_shape) * weight_shape[2] * (wants_x + wants_weight)


# 4. Public function: validate, cast under autocast, call
def small_kernel_aggregation(x: Tensor, weight: Tensor, *, border: Border = "zeros") -> Tensor:
    """Aggregate small windows of an image with weights of their own at every position.

    Under autocast `x` is cast as for a convolution; the weights are read in the type they have.
    Sums are in float32 at least, whatever the types.

    Args:
        x: Images, [batch, channels, height, width], in either order of memory, which the output
            follows.
        weight: Weights, [batch, weight channels, taps, height, width]; taps are the rows of a
            window after each other, an odd number squared. Channels of `x` that are equal modulo
            the number of weight channels share them. Its type may differ from that of `x`.
        border: "zeros" around the image, or "clamped": windows are moved into the image.

    Returns:
        The output, of the shape and type of `x`.

    Raises:
        ValueError: If shapes, border or devices do not fit together.
        TypeError: If a tensor is not floating point.

    Examples:
        >>> small_kernel_aggregation(torch.ones(1, 2, 3, 3), torch.ones(1, 1, 9, 3, 3))[0, 1]
        tensor([[4., 6., 4.],
                [6., 9., 6.],
                [4., 6., 4.]])
    """
    x = autocast(x, x)
    _check(x, weight, border)
    y: Tensor = _aggregate(x, weight, border == "clamped")
    return y


def _check(x: Tensor, weight: Tensor, border: str) -> None:
    if border not in _BORDERS:
        raise ValueError(f"`border` must be one of {', '.join(_BORDERS)}, got {border!r}")
    for name, tensor in (("x", x), ("weight", weight)):
        if not tensor.is_floating_point():
            raise TypeError(f"`{name}` must be floating point, got {tensor.dtype}")
    if (x.dtype == torch.float64) != (weight.dtype == torch.float64):
        raise TypeError(f"`weight` must be float64 where `x` is, got {weight.dtype} and {x.dtype}")
    if x.dim() != 4:
        raise ValueError(f"`x` must have 4 dimensions, got {list(x.shape)}")
    batch, channels, height, width = x.shape
    if weight.dim() != 5 or (weight.shape[0], *weight.shape[3:]) != (batch, height, width):
        raise ValueError(
            f"`weight` must be [{batch}, weight channels, taps, {height}, {width}], "
            f"got {list(weight.shape)}"
        )
    if weight.shape[1] == 0 or channels % weight.shape[1]:
        raise ValueError(f"`weight` must divide {channels} channels, got {weight.shape[1]}")
    _check_taps(weight, min(height, width), border)
    if weight.device != x.device:
        raise ValueError(f"`weight` must be on {x.device}, as `x` is, got {weight.device}")


def _check_taps(weight: Tensor, shortest: int, border: str) -> None:
    side, taps = _side(weight), weight.shape[2]
    if side * side != taps:
        raise ValueError(f"`weight` must have an odd number squared of taps, got {taps}")
    if border == "clamped" and side > shortest:
        raise ValueError(f"`x` must be at least {side} pixels high and wide, got {shortest}")
