"""UniRepLKNet: Ding et al. (2023), https://arxiv.org/abs/2311.15599.

Four stages at strides 4 to 32 of blocks with large depthwise kernels, squeeze and excitation, and a
feed-forward network with global response normalisation. In training, a large kernel has dilated
convolutions beside it; `reparameterize` merges them into it.

Parameters and their names are those of the published weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from scaleprof_kernels import fold_norm, merge_reparam, restore_depthwise_

from ._own import register_if_imported

# from this size on, a kernel has dilated ones beside it in training
_LARGE = 7
# taps and dilation of those, by size of the kernel: section 3.2 and appendix of the paper
_BRANCHES: Mapping[int, tuple[tuple[int, int], ...]] = {
    7: ((5, 1), (3, 2), (3, 3)),
    9: ((5, 1), (5, 2), (3, 3), (3, 4)),
    11: ((5, 1), (5, 2), (3, 3), (3, 4), (3, 5)),
    13: ((5, 1), (7, 2), (3, 3), (3, 4), (3, 5)),
    15: ((5, 1), (7, 2), (3, 3), (3, 5), (3, 7)),
    17: ((5, 1), (9, 2), (3, 4), (3, 5), (3, 7)),
}
# kernels between large ones, where not every block has one
_SMALL = 3
_STAGES = 4
_EPSILON = 1e-6


class UniRepLKNet(nn.Module):
    """The network, in its form for training; `reparameterize` makes it that for inference.

    Args:
        dims: Channels of the four stages.
        depths: Blocks of the four stages.
        kernel_sizes: Taps along a side of the kernels of each stage, odd.
        kernel_periods: Of so many blocks of a stage, the first has that kernel; others have 3×3.
        drop_path_rate: Share of samples for which the last block is left out in training; it grows
            linearly from zero at the first.
        layer_scale: What the scale of each block's output starts with.
        num_classes: Outputs.
        in_chans: Channels of the input.
        deploy: Whether to build the form for inference at once.

    Raises:
        ValueError: If the arguments do not have four stages each, or a kernel size is even.
    """

    def __init__(
        self,
        *,
        dims: Sequence[int] = (80, 160, 320, 640),
        depths: Sequence[int] = (3, 3, 18, 3),
        kernel_sizes: Sequence[int] = (3, 13, 13, 13),
        kernel_periods: Sequence[int] = (1, 1, 2, 1),
        drop_path_rate: float = 0.0,
        layer_scale: float = 1e-6,
        num_classes: int = 1000,
        in_chans: int = 3,
        deploy: bool = False,
    ) -> None:
        super().__init__()
        stages = (dims, depths, kernel_sizes, kernel_periods)
        if any(len(values) != _STAGES for values in stages):
            raise ValueError(f"each of 4 stages needs its values, got {[len(v) for v in stages]}")
        if any(size < 1 or size % 2 == 0 for size in kernel_sizes):
            raise ValueError(f"`kernel_sizes` must be odd and positive, got {tuple(kernel_sizes)}")
        self.downsample_layers = nn.ModuleList([_stem(in_chans, dims[0])])
        for before, after in pairwise(dims):
            self.downsample_layers.append(nn.Sequential(*_downsampling(before, after)))
        rates = _rising(drop_path_rate, sum(depths))
        self.stages = nn.ModuleList()
        for dim, depth, size, period in zip(*stages, strict=True):
            kernels = (_SMALL if i % period else size for i in range(depth))
            blocks = (
                Block(dim, kernel, drop_path=next(rates), layer_scale=layer_scale)
                for kernel in kernels
            )
            self.stages.append(nn.Sequential(*blocks))
        self.norm = nn.LayerNorm(dims[-1], eps=_EPSILON)
        self.head = nn.Linear(dims[-1], num_classes)
        self.apply(_initialise)
        if deploy:
            self.reparameterize()

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, [batch, classes]."""
        for downsample, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(downsample(x))
        logits: Tensor = self.head(self.norm(x.mean((2, 3))))
        return logits

    def reparameterize(self) -> "UniRepLKNet":
        """Merge what is linear in evaluation, in place, and return the network.

        Each block's parallel kernels, norms, scale, and the shift of its response normalisation go
        into the layers beside them. The result equals the network in evaluation to rounding. It is
        for inference: training it would be training another network.
        """
        self.eval()
        for module in list(self.modules()):
            if isinstance(module, Block):
                module.merge()
        return self


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _rising(last: float, count: int) -> Iterator[float]:
    return (last * i / max(count - 1, 1) for i in range(count))


def _stem(in_chans: int, dim: int) -> nn.Sequential:
    return nn.Sequential(
        *_downsampling(in_chans, dim // 2), nn.GELU(), *_downsampling(dim // 2, dim)
    )


def _downsampling(before: int, after: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(before, after, 3, stride=2, padding=1), ChannelNorm(after)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of [batch, channels, height, width]."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each position."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """Depthwise kernel, squeeze and excitation, feed-forward network, and the input added.

    Args:
        dim: Channels.
        kernel_size: Taps along a side of the kernel.
        drop_path: Share of samples for which the block is left out in training.
        layer_scale: What the scale of its output starts with.
    """

    def __init__(self, dim: int, kernel_size: int, *, drop_path: float, layer_scale: float) -> None:
        super().__init__()
        large = kernel_size >= _LARGE
        self.dwconv: nn.Module = (
            DilatedReparam(dim, kernel_size) if large else _depthwise(dim, kernel_size)
        )
        self.norm: nn.Module = nn.BatchNorm2d(dim)
        self.se = SqueezeExcite(dim)
        # positions are rows of the linear layers: [batch, height, width, channels]
        self.pwconv1 = nn.Sequential(ToChannelsLast(), nn.Linear(dim, 4 * dim))
        self.act = nn.Sequential(nn.GELU(), ResponseNorm(4 * dim))
        self.pwconv2 = nn.Sequential(
            nn.Linear(4 * dim, dim, bias=False), ToChannelsFirst(), nn.BatchNorm2d(dim)
        )
        self.gamma: Tensor | None = nn.Parameter(torch.full((dim,), layer_scale))
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        """Add what the block computes to its input."""
        y: Tensor = self.se(self.norm(self.dwconv(x)))
        y = self.pwconv2(self.act(self.pwconv1(y)))
        if self.gamma is not None:
            y = y * self.gamma[:, None, None]
        return x + _dropped(y, self.drop_path if self.training else 0.0)

    def merge(self) -> None:
        """Merge what is linear in evaluation; a second time does nothing."""
        if self.gamma is None:
            return
        merged = isinstance(self.dwconv, DilatedReparam)
        conv = merge_reparam(self.dwconv) if merged else self.dwconv
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(self.norm, nn.BatchNorm2d)
        conv = fold_norm(conv, self.norm)
        restore_depthwise_(conv)
        if isinstance(self.dwconv, DilatedReparam):
            self.dwconv.replace(conv)
        else:
            self.dwconv = conv
        self.norm = nn.Identity()
        self.pwconv2 = nn.Sequential(self._merged_output(), ToChannelsFirst())
        self.gamma = None

    def _merged_output(self) -> nn.Linear:
        """The last linear layer with what comes before and after it: shift, norm and scale."""
        linear, norm, response = self.pwconv2[0], self.pwconv2[2], self.act[1]
        assert isinstance(linear, nn.Linear)
        assert isinstance(norm, nn.BatchNorm2d)
        assert isinstance(response, ResponseNorm)
        assert self.gamma is not None
        # a linear layer is a convolution of one tap, which the norm and the scale fold into
        where: dict[str, Any] = {"device": linear.weight.device, "dtype": linear.weight.dtype}
        conv = nn.Conv2d(linear.in_features, linear.out_features, 1, **where)
        output = nn.Linear(linear.in_features, linear.out_features, **where)
        with torch.no_grad():
            assert conv.bias is not None
            conv.weight.copy_(linear.weight[:, :, None, None])
            conv.bias.copy_(linear.weight.double() @ response.shift().double())
            folded = fold_norm(conv, norm)
            assert folded.bias is not None
            output.weight.copy_(folded.weight[:, :, 0, 0] * self.gamma[:, None])
            output.bias.copy_(folded.bias * self.gamma)
        return output


def _depthwise(dim: int, kernel_size: int, *, dilation: int = 1) -> nn.Conv2d:
    padding = dilation * (kernel_size - 1) // 2
    return nn.Conv2d(
        dim, dim, kernel_size, padding=padding, dilation=dilation, groups=dim, bias=False
    )


def _dropped(y: Tensor, rate: float) -> Tensor:
    """Leave samples out, and make the others larger by as much: Huang et al. (2016)."""
    if rate == 0.0:
        return y
    kept = torch.rand(y.shape[0], 1, 1, 1, device=y.device) >= rate
    return y * (kept / (1 - rate)).to(y.dtype)


class DilatedReparam(nn.Module):
    """A large depthwise kernel, and in training smaller dilated ones beside it.

    Args:
        dim: Channels.
        kernel_size: Taps along a side of the large kernel, odd, at least 7.
    """

    def __init__(self, dim: int, kernel_size: int) -> None:
        super().__init__()
        self.lk_origin = _depthwise(dim, kernel_size)
        self.origin_bn = nn.BatchNorm2d(dim)
        # beyond the sizes of the paper, the branches of its largest
        branches = _BRANCHES[min(kernel_size, max(_BRANCHES))]
        self.branches = tuple(f"k{k}_{d}" for k, d in branches)
        for k, d in branches:
            self.add_module(f"dil_conv_k{k}_{d}", _depthwise(dim, k, dilation=d))
            self.add_module(f"dil_bn_k{k}_{d}", nn.BatchNorm2d(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Add up the branches that there are."""
        y: Tensor = self.lk_origin(x)
        if not self.branches:
            return y
        y = self.origin_bn(y)
        for name in self.branches:
            conv, norm = (self.get_submodule(f"dil_{kind}_{name}") for kind in ("conv", "bn"))
            y = y + norm(conv(x))
        return y

    def replace(self, conv: nn.Conv2d) -> None:
        """Let one convolution stand for all."""
        self.lk_origin = conv
        del self.origin_bn
        for name in self.branches:
            delattr(self, f"dil_conv_{name}")
            delattr(self, f"dil_bn_{name}")
        self.branches = ()


class SqueezeExcite(nn.Module):
    """Weigh channels by their means: Hu et al. (2018), https://arxiv.org/abs/1709.01507."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(dim, dim // 4, 1)
        self.up = nn.Conv2d(dim // 4, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply each channel by its weight."""
        means = x.mean((2, 3), keepdim=True)
        gates: Tensor = self.up(functional.relu(self.down(means))).sigmoid()
        return x * gates


class ResponseNorm(nn.Module):
    """Global response normalisation of [batch, height, width, channels].

    Woo et al. (2023), https://arxiv.org/abs/2301.00808.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, dim))
        self.beta: Tensor | None = nn.Parameter(torch.zeros(1, 1, 1, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Scale channels by their norm over the image, relative to that of the others."""
        norms = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
        scale = self.gamma * (norms / (norms.mean(-1, keepdim=True) + _EPSILON)) + 1
        return x * scale if self.beta is None else torch.addcmul(self.beta, x, scale)

    def shift(self) -> Tensor:
        """Return what is added to each channel, and add it no more."""
        assert self.beta is not None
        beta = self.beta.detach().flatten()
        self.beta = None
        return beta


class ToChannelsLast(nn.Module):
    """[batch, channels, height, width] to [batch, height, width, channels]."""

    def forward(self, x: Tensor) -> Tensor:
        """Permute."""
        return x.permute(0, 2, 3, 1)


class ToChannelsFirst(nn.Module):
    """[batch, height, width, channels] to [batch, channels, height, width]."""

    def forward(self, x: Tensor) -> Tensor:
        """Permute."""
        return x.permute(0, 3, 1, 2)


# periods of kernels: in the smaller networks every block has a large one
_EVERY, _EVERY_SECOND, _EVERY_THIRD = (1, 1, 1, 1), (1, 1, 2, 1), (1, 1, 3, 1)


def _build(
    width: int, depths: tuple[int, ...], periods: tuple[int, ...], arguments: dict[str, Any]
) -> UniRepLKNet:
    """Build a network whose stages are `width` channels wide, then twice as wide each."""
    dims = tuple(width * 2**stage for stage in range(_STAGES))
    return UniRepLKNet(**{"dims": dims, "depths": depths, "kernel_periods": periods, **arguments})


def unireplknet_a(**arguments: Any) -> UniRepLKNet:
    """Build UniRepLKNet-A; arguments are those of `UniRepLKNet`."""
    return _build(40, (2, 2, 6, 2), _EVERY, arguments)


def unireplknet_f(**arguments: Any) -> UniRepLKNet:
    """Build UniRepLKNet-F; arguments are those of `UniRepLKNet`."""
    return _build(48, (2, 2, 6, 2), _EVERY, arguments)


def unireplknet_p(**arguments: Any) -> UniRepLKNet:
    """Build UniRepLKNet-P; arguments are those of `UniRepLKNet`."""
    return _build(64, (2, 2, 6, 2), _EVERY, arguments)


def unireplknet_n(**arguments: Any) -> UniRepLKNet:
    """Build UniRepLKNet-N; arguments are those of `UniRepLKNet`."""
    return _build(80, (2, 2, 8, 2), _EVERY, arguments)


def unireplknet_t(**arguments: Any) -> UniRepLKNet:
    """Build UniRepLKNet-T; arguments are those of `UniRepLKNet`."""
    return _build(80, (3, 3, 18, 3), _EVERY_SECOND, arguments)


def unireplknet_s(**arguments: Any) -> UniRepLKNet:
    """Build UniRepLKNet-S; arguments are those of `UniRepLKNet`."""
    return _build(96, (3, 3, 27, 3), _EVERY_THIRD, arguments)


def unireplknet_b(**arguments: Any) -> UniRepLKNet:
    """Build UniRepLKNet-B; arguments are those of `UniRepLKNet`."""
    return _build(128, (3, 3, 27, 3), _EVERY_THIRD, arguments)


def unireplknet_l(**arguments: Any) -> UniRepLKNet:
    """Build UniRepLKNet-L; arguments are those of `UniRepLKNet`."""
    return _build(192, (3, 3, 27, 3), _EVERY_THIRD, arguments)


def unireplknet_xl(**arguments: Any) -> UniRepLKNet:
    """Build UniRepLKNet-XL; arguments are those of `UniRepLKNet`."""
    return _build(256, (3, 3, 27, 3), _EVERY_THIRD, arguments)


register_if_imported()
