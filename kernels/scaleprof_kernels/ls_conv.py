"""LS convolution, "see large, focus small": Wang et al. (2025), https://arxiv.org/abs/2503.23135.

A depthwise convolution with a large kernel looks around; from what it sees, the weights of a small
filter are made for every position; the small filters aggregate the input.

Parameters and their names are those of the published weights.
"""

import torch
from torch import Tensor, nn

from ._arguments import autocast
from .ls_conv_tail import ls_conv_tail, runs_fused_convolution
from .ls_tail import ls_tail, runs_fused
from .reparam import fold_norm
from .small_kernel_aggregation import (
    Border,
    runs_here,
    small_kernel_aggregation,
    small_kernel_aggregation_reference,
)


class ConvNorm(nn.Sequential):
    """A convolution without bias, and the batch norm that follows it."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        scale: float = 1.0,
    ) -> None:
        """Build both; padding is half the kernel, and `scale` what the norm starts with."""
        super().__init__()
        self.c = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2,
            groups=groups, bias=False,
        )  # fmt: skip
        self.bn = nn.BatchNorm2d(out_channels)
        nn.init.constant_(self.bn.weight, scale)

    def merged(self) -> nn.Conv2d:
        """Return one convolution that is equal in evaluation, to rounding."""
        return fold_norm(self.c, self.bn)


class SmallKernelAggregation(nn.Module):
    """`small_kernel_aggregation` as a module, so that it can be seen and swapped in a model.

    Args:
        border: "zeros" or "clamped".

    Attributes:
        by_torch: Whether torch's operators do it, rather than the kernel where there is one.
    """

    def __init__(self, border: Border = "zeros") -> None:
        super().__init__()
        self.border: Border = border
        self.by_torch = False

    operator = "small_kernel_aggregation"

    def kernel_of(self, x: Tensor, weight: Tensor) -> str:
        """Return what runs it on such tensors: "triton" or "torch"."""
        clamped = self.border == "clamped"
        ours = not self.by_torch and x.is_cuda and runs_here(x, weight, clamped)
        return "triton" if ours else "torch"

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Aggregate; see `small_kernel_aggregation`."""
        if self.by_torch:
            return small_kernel_aggregation_reference(x, weight, self.border == "clamped")
        return small_kernel_aggregation(x, weight, border=self.border)


class Tail(nn.Module):
    """What follows the filters in inference, fused, as a module that can be seen in a model.

    It has no parameters, and is given those of the norms.

    Attributes:
        by_torch: Whether the parts run one after the other instead.
    """

    operator = "ls_tail"

    def __init__(self) -> None:
        super().__init__()
        self.by_torch = False

    def kernel_of(self, x: Tensor, weight: Tensor) -> str:
        """Return what runs it on such tensors: "triton" or "torch"."""
        return "triton" if not self.by_torch and runs_fused(x, weight) else "torch"

    def forward(self, x: Tensor, weight: Tensor, norm: nn.GroupNorm, bn: nn.BatchNorm2d) -> Tensor:
        """Compute the tail; see `scaleprof_kernels.ls_tail`."""
        group_norm = [norm.weight, norm.bias]
        y: Tensor = ls_tail(x, weight, group_norm, _of_batch_norm(bn), norm.eps, bn.eps)
        return y


class ConvTail(nn.Module):
    """What follows the hidden image in inference, fused, as a module that can be seen in a model.

    It has no parameters, and is given those of the convolution and the norms.

    Attributes:
        by_torch: Whether the parts run one after the other instead.
    """

    operator = "ls_conv_tail"

    def __init__(self) -> None:
        super().__init__()
        self.by_torch = False

    def kernel_of(self, x: Tensor, hidden: Tensor, filters: Tensor) -> str:
        """Return what runs it on such tensors: "triton" or "torch"."""
        ours = not self.by_torch and runs_fused_convolution(x, hidden, filters)
        return "triton" if ours else "torch"

    def forward(
        self, x: Tensor, hidden: Tensor, filters: Tensor, bias: Tensor,
        norm: nn.GroupNorm, bn: nn.BatchNorm2d,
    ) -> Tensor:  # fmt: skip
        """Compute the tail; see `scaleprof_kernels.ls_conv_tail`."""
        y: Tensor = ls_conv_tail(
            x, hidden, [filters, bias], [norm.weight, norm.bias], _of_batch_norm(bn),
            norm.eps, bn.eps,
        )  # fmt: skip
        return y


def _of_batch_norm(bn: nn.BatchNorm2d) -> list[Tensor]:
    """Return scale, shift and running statistics."""
    assert bn.running_mean is not None
    assert bn.running_var is not None
    return [bn.weight, bn.bias, bn.running_mean, bn.running_var]


class LargeKernelPerception(nn.Module):
    """Make the weights of small filters from what a large kernel sees.

    Args:
        dim: Channels of the input.
        kernel_size: Taps along a side of the depthwise convolution, odd.
        small_kernel_size: Taps along a side of the small filters, odd.
        groups: Channels that share a small filter.
    """

    def __init__(self, dim: int, *, kernel_size: int, small_kernel_size: int, groups: int) -> None:
        super().__init__()
        half, filters = dim // 2, dim // groups
        self.cv1 = ConvNorm(dim, half)
        self.act = nn.ReLU()
        self.cv2 = ConvNorm(half, half, kernel_size, groups=half)
        self.cv3 = ConvNorm(half, half)
        self.cv4 = nn.Conv2d(half, small_kernel_size**2 * filters, 1)
        # the taps of a filter are normalised together
        self.norm = nn.GroupNorm(filters, small_kernel_size**2 * filters)

    def forward(self, x: Tensor) -> Tensor:
        """Return weights, [batch, dim / groups, taps, height, width]."""
        return self._by_filter(self.norm(self.raw(self.hidden(x)).flatten(1, 2)))

    def hidden(self, x: Tensor) -> Tensor:
        """Return what the weights are made from, [batch, dim / 2, height, width]."""
        hidden: Tensor = self.act(self.cv3(self.cv2(self.act(self.cv1(x)))))
        return hidden

    def raw(self, hidden: Tensor) -> Tensor:
        """Return weights before their norm, [batch, dim / groups, taps, height, width]."""
        return self._by_filter(self.cv4(hidden))

    def _by_filter(self, weights: Tensor) -> Tensor:
        batch, _, height, width = weights.shape
        return weights.view(batch, self.norm.num_groups, -1, height, width)


class LSConv(nn.Module):
    """LS convolution with its batch norm and residual, on [batch, dim, height, width].

    Args:
        dim: Channels, a multiple of `groups` and of two.
        kernel_size: Taps along a side of the large kernel, odd.
        small_kernel_size: Taps along a side of the small filters, odd.
        groups: Channels that share a small filter.

    Raises:
        ValueError: If a kernel size is even, or the channels do not divide.

    Examples:
        >>> import torch
        >>> LSConv(16)(torch.ones(1, 16, 7, 7)).shape
        torch.Size([1, 16, 7, 7])
    """

    def __init__(
        self, dim: int, *, kernel_size: int = 7, small_kernel_size: int = 3, groups: int = 8
    ) -> None:
        super().__init__()
        for name, value in (("kernel_size", kernel_size), ("small_kernel_size", small_kernel_size)):
            if value < 1 or value % 2 == 0:
                raise ValueError(f"`{name}` must be odd and positive, got {value}")
        if dim < 1 or dim % groups or dim % 2:
            raise ValueError(f"`dim` must be a multiple of {groups} groups and of 2, got {dim}")
        self.lkp = LargeKernelPerception(
            dim, kernel_size=kernel_size, small_kernel_size=small_kernel_size, groups=groups
        )
        self.ska = SmallKernelAggregation()
        self.tail = Tail()
        self.conv_tail = ConvTail()
        self.bn = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Aggregate with filters that are made for each position, and add the input."""
        if not self.training and not torch.is_grad_enabled() and x.is_cuda:
            return self._inferred(x)
        y: Tensor = self.bn(self.ska(x, self.lkp(x))) + x
        return y

    def _inferred(self, x: Tensor) -> Tensor:
        """The same in inference on a GPU, fused where the kernel for that is there."""
        hidden = self.lkp.hidden(x)
        filters, bias = (autocast(own.detach(), x) for own in self.lkp.cv4.parameters())
        filters = filters.view(self.lkp.norm.num_groups, -1, hidden.shape[1])
        if self.conv_tail.kernel_of(x, hidden, filters) == "triton":
            whole: Tensor = self.conv_tail(x, hidden, filters, bias, self.lkp.norm, self.bn)
            return whole
        raw = self.lkp.raw(hidden)
        if self.tail.kernel_of(x, raw) == "triton":
            fused: Tensor = self.tail(x, raw, self.lkp.norm, self.bn)
            return fused
        weights = self.lkp.norm(raw.flatten(1, 2)).view_as(raw)
        unfused: Tensor = self.bn(self.ska(x, weights)) + x
        return unfused
