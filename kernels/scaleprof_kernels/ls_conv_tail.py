r"""The tail of an LS convolution from before its 1×1 convolution, in inference, as one operator.

.. math::
    y = \mathrm{BN}(\mathrm{SKA}(x, \mathrm{GN}(F t + b))) + x

with :math:`F` the 1×1 convolution that makes the filters of every position from the hidden image
:math:`t` (Wang et al., 2025, https://arxiv.org/abs/2503.23135).

Per element of `x`, with 9 taps, `g` channels that share a filter, half as many channels of `t` and
`e` bytes per number, beside the weights of the convolution:

    fused      reads t and x, writes y                                       2.5 e bytes
    unfused    the convolution reads t and writes W; then as in `ls_tail`    (7.5 + 36/g) e bytes

by which alone it could be 4.8 times faster at most with LSNet's `g = 8`. The product is 9 FLOPs per
element and channel of `t` over `g`: tensor cores have time for it, and other arithmetic has not, so
that float32 and large maps, whose filters do not fit into registers, are left to `ls_tail`.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import register_flop_formula

from ._ls_problem import Tail, side_of
from .ls_tail import has_kernels, ls_tail_reference


# 1. Eager reference: the definition. Everything below must agree with it.
def ls_conv_tail_reference(
    x: Tensor,
    hidden: Tensor,
    convolution: Sequence[Tensor],
    group_norm: Sequence[Tensor],
    batch_norm: Sequence[Tensor],
    epsilon: float,
    batch_epsilon: float,
) -> Tensor:
    """Compute it with torch.

    Args:
        x: Input, [batch, channels, height, width].
        hidden: What filters are made from, [batch, hidden channels, height, width].
        convolution: Its weights, [filters, taps, hidden channels], and its bias.
        group_norm: Scale and shift of each filter's taps.
        batch_norm: Scale, shift, running mean and running variance of each channel.
        epsilon: What the group norm adds to variances.
        batch_epsilon: What the batch norm adds to variances.
    """
    filters, bias = convolution
    made = functional.conv2d(hidden, filters.flatten(0, 1)[..., None, None], bias)
    weight = made.view(made.shape[0], *filters.shape[:2], *made.shape[2:])
    return ls_tail_reference(x, weight, group_norm, batch_norm, epsilon, batch_epsilon)


# 2. Triton kernel, in the file beside this one.
def _tail_cuda(
    x: Tensor,
    hidden: Tensor,
    convolution: list[Tensor],
    group_norm: list[Tensor],
    batch_norm: list[Tensor],
    epsilon: float,
    batch_epsilon: float,
) -> Tensor:
    if not runs_fused_convolution(x, hidden, convolution[0]):
        return ls_conv_tail_reference(
            x, hidden, convolution, group_norm, batch_norm, epsilon, batch_epsilon
        )
    from ._ls_conv_tail import fused_conv_tail

    problem = conv_problem_of(x, hidden, convolution[0], epsilon, batch_epsilon)
    return fused_conv_tail(problem, x, hidden, convolution, group_norm, batch_norm)


def conv_problem_of(
    x: Tensor, hidden: Tensor, filters: Tensor, epsilon: float, batch_epsilon: float
) -> Tail:
    """Return the shapes of one call."""
    batch, channels, height, width = x.shape
    return Tail(
        batch=batch,
        channels=channels,
        groups=channels // filters.shape[0],
        size=(height, width),
        kernel_size=side_of(filters.shape[1]),
        epsilon=epsilon,
        batch_epsilon=batch_epsilon,
        dtype=x.dtype,
        inner=hidden.shape[1],
    )


def runs_fused_convolution(x: Tensor, hidden: Tensor, filters: Tensor) -> bool:
    """Return whether the kernel runs such tensors: dense, on a GPU, of one type, chosen for it."""
    tensors = (x, hidden, filters)
    dense = all(tensor.is_contiguous() and tensor.dtype == x.dtype for tensor in tensors)
    if not dense or not has_kernels(x):
        return False
    from ._ls_choices import choose_tail

    return choose_tail(conv_problem_of(x, hidden, filters, 0.0, 0.0)).variant == "product"


# 3. Operator: device dispatch, shape inference, FLOP formula.
@torch.library.custom_op("scaleprof::ls_conv_tail", mutates_args=())
def ls_conv_tail(
    x: Tensor,
    hidden: Tensor,
    convolution: Sequence[Tensor],
    group_norm: Sequence[Tensor],
    batch_norm: Sequence[Tensor],
    epsilon: float,
    batch_epsilon: float,
) -> Tensor:
    """Compute the tail; see `ls_conv_tail_reference`."""
    return ls_conv_tail_reference(
        x, hidden, convolution, group_norm, batch_norm, epsilon, batch_epsilon
    )


ls_conv_tail.register_kernel("cuda")(_tail_cuda)


@ls_conv_tail.register_fake
def _(x: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(x)


@register_flop_formula(torch.ops.scaleprof.ls_conv_tail)
def _flops(
    x_shape: Sequence[int],
    hidden_shape: Sequence[int],
    convolution_shapes: Sequence[Sequence[int]],
    *_: Any,
    **__: Any,
) -> int:
    filters, taps, _inner = convolution_shapes[0]
    return 2 * taps * (math.prod(x_shape) + math.prod(hidden_shape) * filters)
