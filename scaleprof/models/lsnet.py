"""LSNet: Wang et al. (2025), "See Large, Focus Small", https://arxiv.org/abs/2503.23135.

Four stages at strides 8 to 64. Blocks alternate between a re-parameterised 3×3 depthwise
convolution with squeeze and excitation, and LS convolution; in the last stage attention takes the
place of LS convolution. Every block ends with a feed-forward network of two 1×1 convolutions.

Parameters and their names are those of the published weights.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from scaleprof_kernels import ConvNorm, LSConv, merge_branches, restore_depthwise_

from ._own import register_if_imported

# halvings of the image before attention sees it: three in the stem, one between stages
_HALVINGS = 6
_STAGES = 4


class LSNet(nn.Module):
    """The network, in its form for training; `reparameterize` makes it that for inference.

    Args:
        dims: Channels of the four stages, multiples of 8.
        depths: Blocks of the four stages.
        kernel_sizes: Taps along a side of the large kernels of LS convolution, in the first three
            stages, odd.
        img_size: Height and width of the input in pixels, for the positions of attention.
        num_heads: Heads of attention.
        key_dim: Channels of queries and keys of each head.
        num_classes: Outputs.
        in_chans: Channels of the input.
        distillation: Whether there is a second classifier, for distillation. In evaluation, the
            output is the mean of both.
        deploy: Whether to build the form for inference at once.

    Raises:
        ValueError: If dims, depths and kernel sizes do not fit together.
    """

    def __init__(
        self,
        *,
        dims: Sequence[int] = (64, 128, 256, 384),
        depths: Sequence[int] = (0, 2, 8, 10),
        kernel_sizes: Sequence[int] = (7, 7, 7),
        img_size: int | Sequence[int] = 224,
        num_heads: int = 4,
        key_dim: int = 16,
        num_classes: int = 1000,
        in_chans: int = 3,
        distillation: bool = False,
        deploy: bool = False,
    ) -> None:
        super().__init__()
        lengths = (len(dims), len(depths), len(kernel_sizes))
        if lengths != (_STAGES, _STAGES, _STAGES - 1):
            raise ValueError(f"4 `dims`, 4 `depths` and 3 `kernel_sizes` are needed, got {lengths}")
        self.patch_embed = _stem(in_chans, dims[0])
        size = _last_size(img_size)

        def mixer(stage: int) -> nn.Module:
            dim = dims[stage]
            if stage < _STAGES - 1:
                return LSConv(dim, kernel_size=kernel_sizes[stage])
            return Attention(dim, num_heads=num_heads, key_dim=key_dim, size=size)

        for stage, dim in enumerate(dims):
            blocks = nn.Sequential(*_downsampling(dims[stage - 1], dim) if stage else ())
            for index in range(depths[stage]):
                blocks.append(Block(mixer(stage), dim) if index % 2 else LocalBlock(dim))
            self.add_module(f"blocks{stage + 1}", blocks)
        self.head = NormLinear(dims[-1], num_classes)
        self.head_dist = NormLinear(dims[-1], num_classes) if distillation else None
        if deploy:
            self.reparameterize()

    def forward(self, x: Tensor) -> Any:
        """Return logits, [batch, classes]; of both classifiers when one trains for distillation."""
        x = self.patch_embed(x)
        for stage in range(_STAGES):
            x = self.get_submodule(f"blocks{stage + 1}")(x)
        x = functional.adaptive_avg_pool2d(x, 1).flatten(1)
        if self.head_dist is None:
            return self.head(x)
        logits = self.head(x), self.head_dist(x)
        return logits if self.training else (logits[0] + logits[1]) / 2

    def reparameterize(self) -> "LSNet":
        """Merge what is linear in evaluation, in place, and return the network.

        Norms go into the convolutions and classifiers beside them, parallel convolutions into one,
        and biases of attention into a table by position. The result equals the network in
        evaluation to rounding. It is for inference: training it would be training another network.
        """
        _merge_children(self.eval())
        return self


def _merge_children(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, ConvNorm | NormLinear | ParallelDepthwise):
            setattr(module, name, child.merged())
        else:
            _merge_children(child)
            if isinstance(child, Attention):
                child.freeze()


def _stem(in_chans: int, dim: int) -> nn.Sequential:
    widths = (in_chans, dim // 4, dim // 2, dim)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [ConvNorm(before, after, 3, stride=2), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _downsampling(before: int, after: int) -> tuple[nn.Module, ...]:
    return ConvNorm(before, before, 3, stride=2, groups=before), ConvNorm(before, after)


def _last_size(img_size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width of the last stage: every halving rounds up."""
    height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
    return -(-height // 2**_HALVINGS), -(-width // 2**_HALVINGS)


class Residual(nn.Module):
    """What a module adds to its input."""

    def __init__(self, m: nn.Module) -> None:
        super().__init__()
        self.m = m

    def forward(self, x: Tensor) -> Tensor:
        """Add."""
        y: Tensor = x + self.m(x)
        return y


class FeedForward(nn.Module):
    """Two 1×1 convolutions with twice the channels between them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.pw1 = ConvNorm(dim, 2 * dim)
        self.act = nn.ReLU()
        self.pw2 = ConvNorm(2 * dim, dim, scale=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Widen, and narrow again."""
        y: Tensor = self.pw2(self.act(self.pw1(x)))
        return y


class Block(nn.Module):
    """A mixer of positions that adds its input itself, then a feed-forward network."""

    def __init__(self, mixer: nn.Module, dim: int) -> None:
        super().__init__()
        self.mixer = Residual(mixer) if isinstance(mixer, Attention) else mixer
        self.ffn = Residual(FeedForward(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Mix positions, then channels."""
        y: Tensor = self.ffn(self.mixer(x))
        return y


class LocalBlock(nn.Module):
    """3×3 depthwise convolution, squeeze and excitation, feed-forward network."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mixer = ParallelDepthwise(dim)
        self.se = SqueezeExcite(dim)
        self.ffn = Residual(FeedForward(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Mix neighbours, weigh channels, mix channels."""
        y: Tensor = self.ffn(self.se(self.mixer(x)))
        return y


class ParallelDepthwise(nn.Module):
    """A 3×3 and a 1×1 depthwise convolution and the input itself, added up."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = ConvNorm(dim, dim, 3, groups=dim)
        self.conv1 = ConvNorm(dim, dim, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        """Add up the branches."""
        y: Tensor = self.conv(x) + self.conv1(x) + x
        return y

    def merged(self) -> nn.Conv2d:
        """Return one 3×3 convolution that is equal in evaluation, to rounding."""
        large, point = self.conv, self.conv1
        same = nn.Conv2d(
            large.c.in_channels, large.c.in_channels, 1, groups=large.c.in_channels, bias=False,
            device=large.c.weight.device, dtype=large.c.weight.dtype,
        )  # fmt: skip
        nn.init.ones_(same.weight)
        merged = merge_branches([(large.c, large.bn), (point.c, point.bn), (same, None)])
        restore_depthwise_(merged)
        return merged


class SqueezeExcite(nn.Module):
    """Weigh channels by their means: Hu et al. (2018), https://arxiv.org/abs/1709.01507."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        # a quarter of the channels, to the nearest multiple of 8
        inner = max(8, (dim // 4 + 4) // 8 * 8)
        self.fc1 = nn.Conv2d(dim, inner, 1)
        self.fc2 = nn.Conv2d(inner, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply each channel by its weight."""
        means = x.mean((2, 3), keepdim=True)
        gates: Tensor = self.fc2(functional.relu(self.fc1(means))).sigmoid()
        return x * gates


class Attention(nn.Module):
    """Attention over all positions, with a bias for each distance between two.

    Args:
        dim: Channels.
        num_heads: Heads.
        key_dim: Channels of queries and keys of each head; those of values follow from `dim`.
        size: Height and width of the map.
    """

    def __init__(self, dim: int, *, num_heads: int, key_dim: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.num_heads, self.key_dim = num_heads, key_dim
        keys, values = num_heads * key_dim, dim // num_heads * num_heads
        self.qkv = ConvNorm(dim, 2 * keys + values)
        self.proj = nn.Sequential(nn.ReLU(), ConvNorm(values, dim, scale=0.0))
        self.dw = ConvNorm(keys, keys, 3, groups=keys)
        self.attention_biases: Tensor = nn.Parameter(torch.zeros(num_heads, size[0] * size[1]))
        self.attention_bias_idxs: Tensor
        self.register_buffer("attention_bias_idxs", _distances(size))
        self.frozen = False

    def freeze(self) -> None:
        """Look the biases up once and for all; a second time does nothing."""
        if self.frozen:
            return
        by_position = self._biases().detach()
        del self.attention_biases
        del self.attention_bias_idxs
        self.register_buffer("attention_biases", by_position)
        self.frozen = True

    def _biases(self) -> Tensor:
        """Biases of each head for each pair of positions."""
        table: Tensor = self.attention_biases
        return table if self.frozen else table[:, self.attention_bias_idxs]

    def forward(self, x: Tensor) -> Tensor:
        """Attend to all positions."""
        batch, _, height, width = x.shape
        keys = self.num_heads * self.key_dim
        # [batch, channels, height, width] each
        q, k, v = self.qkv(x).tensor_split((keys, 2 * keys), 1)
        q, k, v = (part.reshape(batch, self.num_heads, -1, height * width)
                   for part in (self.dw(q), k, v))  # fmt: skip
        scores = q.transpose(-2, -1) @ k * self.key_dim**-0.5 + self._biases()
        mixed = v @ scores.softmax(-1).transpose(-2, -1)
        y: Tensor = self.proj(mixed.reshape(batch, -1, height, width))
        return y


def _distances(size: tuple[int, int]) -> Tensor:
    """Number, for each pair of positions, of their distance in rows and columns."""
    rows, columns = ((torch.arange(n)[:, None] - torch.arange(n)).abs() for n in size)
    # [row, column, other row, other column]
    numbers = rows[:, None, :, None] * size[1] + columns[None, :, None, :]
    return numbers.reshape(size[0] * size[1], -1)


class NormLinear(nn.Sequential):
    """A batch norm, and the linear layer that follows it."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(in_features)
        self.l = nn.Linear(in_features, out_features)
        nn.init.trunc_normal_(self.l.weight, std=0.02)
        nn.init.zeros_(self.l.bias)

    def merged(self) -> nn.Linear:
        """Return one linear layer that is equal in evaluation, to rounding."""
        norm, linear = self.bn, self.l
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.double() * (norm.running_var.double() + norm.eps).rsqrt()
        shift = norm.bias.double() - norm.running_mean.double() * scale
        weight = linear.weight.detach().double()
        merged = nn.Linear(
            linear.in_features, linear.out_features,
            device=linear.weight.device, dtype=linear.weight.dtype,
        )  # fmt: skip
        with torch.no_grad():
            merged.weight.copy_(weight * scale)
            merged.bias.copy_(linear.bias.double() + weight @ shift)
        return merged.train(self.training)


def lsnet_t(**arguments: Any) -> LSNet:
    """Build LSNet-T; arguments are those of `LSNet`."""
    return LSNet(**arguments)


def lsnet_s(**arguments: Any) -> LSNet:
    """Build LSNet-S; arguments are those of `LSNet`."""
    return LSNet(**{"dims": (96, 192, 320, 448), "depths": (1, 2, 8, 10), **arguments})


def lsnet_b(**arguments: Any) -> LSNet:
    """Build LSNet-B; arguments are those of `LSNet`."""
    return LSNet(**{"dims": (128, 256, 384, 512), "depths": (4, 6, 8, 10), **arguments})


register_if_imported()
