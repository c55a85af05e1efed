r"""What follows the filters of an LS convolution, in inference, as one operator.

.. math::
    y = \mathrm{BN}(\mathrm{SKA}(x, \mathrm{GN}(W))) + x

with :math:`W` the filters before their group norm, in which the taps of a filter are normalised
together (Wang et al., 2025, https://arxiv.org/abs/2503.23135).

Per element of `x`, with 9 taps, `g` channels that share a filter and `e` bytes per number:

    fused      reads W and x, writes y                          (2 + 9/g) e bytes
    unfused    GN reads and writes W; SKA reads W and x and
               writes; BN reads and writes; the sum reads two
               and writes                                       (7 + 27/g) e bytes

by which alone it could be 3.3 times faster at most with LSNet's `g = 8`. There is no backward pass:
statistics of the batch norm are the running ones.
"""

import math
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import register_flop_formula

from ._launch import capability_of
from ._ls_problem import Tail, side_of
from .small_kernel_aggregation import small_kernel_aggregation_reference

_HAS_TRITON = find_spec("triton") is not None and torch.version.hip is None
# the A100: older GPUs lack bfloat16
_OLDEST = 80


# 1. Eager reference: the definition. Everything below must agree with it.
def ls_tail_reference(
    x: Tensor,
    weight: Tensor,
    group_norm: Sequence[Tensor],
    batch_norm: Sequence[Tensor],
    epsilon: float,
    batch_epsilon: float,
) -> Tensor:
    """Compute the tail with torch.

    Args:
        x: Input, [batch, channels, height, width].
        weight: Filters before the norm, [batch, weight channels, taps, height, width].
        group_norm: Scale and shift of each filter's taps.
        batch_norm: Scale, shift, running mean and running variance of each channel.
        epsilon: What the group norm adds to variances.
        batch_epsilon: What the batch norm adds to variances.
    """
    gamma, beta = group_norm
    gain, offset, mean, variance = batch_norm
    flat = functional.group_norm(weight.flatten(1, 2), weight.shape[1], gamma, beta, epsilon)
    y = small_kernel_aggregation_reference(x, flat.view_as(weight), clamped=False)
    return functional.batch_norm(y, mean, variance, gain, offset, eps=batch_epsilon) + x


# 2. Triton kernel, in the file beside this one.
def _tail_cuda(
    x: Tensor,
    weight: Tensor,
    group_norm: list[Tensor],
    batch_norm: list[Tensor],
    epsilon: float,
    batch_epsilon: float,
) -> Tensor:
    if not runs_fused(x, weight):
        return ls_tail_reference(x, weight, group_norm, batch_norm, epsilon, batch_epsilon)
    from ._ls_tail import fused_tail

    problem = problem_of(x, weight, epsilon, batch_epsilon)
    return fused_tail(problem, x, weight, group_norm, batch_norm)


def problem_of(x: Tensor, weight: Tensor, epsilon: float, batch_epsilon: float) -> Tail:
    """Return the shapes of one call."""
    batch, channels, height, width = x.shape
    return Tail(
        batch=batch,
        channels=channels,
        groups=channels // weight.shape[1],
        size=(height, width),
        kernel_size=side_of(weight.shape[2]),
        epsilon=epsilon,
        batch_epsilon=batch_epsilon,
        dtype=x.dtype,
    )


def has_kernels(x: Tensor) -> bool:
    """Return whether kernels of ours run where a tensor is, and it has elements."""
    return x.is_cuda and _HAS_TRITON and x.numel() > 0 and capability_of(x.device) >= _OLDEST


def runs_fused(x: Tensor, weight: Tensor) -> bool:
    """Return whether the kernel runs such tensors: dense, on a GPU, of one type, chosen for it."""
    dense = x.is_contiguous() and weight.is_contiguous()
    if not dense or x.dtype != weight.dtype or not has_kernels(x):
        return False
    from ._ls_choices import choose_tail

    return choose_tail(problem_of(x, weight, 0.0, 0.0)).variant == "norm"


# 3. Operator: device dispatch, shape inference, FLOP formula.
@torch.library.custom_op("scaleprof::ls_tail", mutates_args=())
def ls_tail(
    x: Tensor,
    weight: Tensor,
    group_norm: Sequence[Tensor],
    batch_norm: Sequence[Tensor],
    epsilon: float,
    batch_epsilon: float,
) -> Tensor:
    """Compute the tail; see `ls_tail_reference`."""
    return ls_tail_reference(x, weight, group_norm, batch_norm, epsilon, batch_epsilon)


ls_tail.register_kernel("cuda")(_tail_cuda)


@ls_tail.register_fake
def _(x: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(x)


@register_flop_formula(torch.ops.scaleprof.ls_tail)
def _flops(x_shape: Sequence[int], weight_shape: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * math.prod(x_shape) * weight_shape[2]
