r"""One convolution in place of the branches of a re-parameterised block.

In training, blocks of RepLKNet (Ding et al., 2022, https://arxiv.org/abs/2203.06717) and of
UniRepLKNet (Ding et al., 2023, https://arxiv.org/abs/2311.15599) add up parallel depthwise
convolutions, some of them dilated, each followed by a batch norm. With the norms' running
statistics every branch is linear, so

.. math::
    w = \sum_k \frac{\gamma_k}{\sqrt{\sigma_k^2 + \varepsilon}} \, w_k, \qquad
    b = \sum_k \beta_k + (b_k - \mu_k) \frac{\gamma_k}{\sqrt{\sigma_k^2 + \varepsilon}},

where the taps of a dilated branch are spread out, and each branch is shifted so that its padding
meets the longest one. Merging is exact in evaluation, and meaningless in training, where the
norms use the statistics of each branch's output.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from .modules import DepthwiseConv2d

Norm = nn.modules.batchnorm._BatchNorm
Branch = tuple[nn.Conv2d, Norm | None]


def merge_branches(branches: Sequence[Branch]) -> DepthwiseConv2d:
    """Merge parallel depthwise convolutions, whose outputs are added, into one.

    Args:
        branches: Convolutions, each with the batch norm that follows it, or None.

    Returns:
        A convolution with a bias, equal to the sum of the branches in evaluation to rounding.

    Raises:
        ValueError: If there is no branch, if one is not depthwise with zero padding and running
            statistics, or if their outputs differ in size.
    """
    for conv, norm in branches:
        _check_branch(conv, norm)
    sizes = {(conv.in_channels, conv.stride, *map(_shrinkage, _axes(conv))) for conv, _ in branches}
    if len(sizes) != 1:
        raise ValueError(f"`branches` must give outputs of one size, got {len(sizes)} sizes")
    first = branches[0][0]
    ahead = [max(_axes(conv)[axis][1] for conv, _ in branches) for axis in (0, 1)]
    behind = [
        max(d * (k - 1) - p for k, p, d in (_axes(conv)[axis] for conv, _ in branches))
        for axis in (0, 1)
    ]
    kernel = (ahead[0] + behind[0] + 1, ahead[1] + behind[1] + 1)
    weight = torch.zeros(
        (first.in_channels, 1, *kernel), dtype=torch.float64, device=first.weight.device
    )
    bias = weight.new_zeros(first.in_channels)
    for conv, norm in branches:
        scale, shift = _affine(conv, norm)
        _taps(weight, conv, ahead).add_(conv.weight.detach().double() * scale[:, None, None, None])
        bias += shift
    return _build(first, weight, bias, padding=(ahead[0], ahead[1]))


def _build(
    like: nn.Conv2d, weight: Tensor, bias: Tensor, padding: tuple[int, int]
) -> DepthwiseConv2d:
    channels = like.in_channels
    merged = DepthwiseConv2d(
        channels,
        channels,
        (weight.shape[2], weight.shape[3]),
        stride=(like.stride[0], like.stride[1]),
        padding=padding,
        groups=channels,
        device=weight.device,
        dtype=like.weight.dtype,
    )
    with torch.no_grad():
        merged.weight.copy_(weight)
        assert merged.bias is not None
        merged.bias.copy_(bias)
    return merged.train(like.training)


def _check_branch(conv: nn.Conv2d, norm: Norm | None) -> None:
    channels = conv.in_channels
    if conv.groups != channels or conv.out_channels != channels or conv.padding_mode != "zeros":
        raise ValueError(f"`branches` must be depthwise with zero padding, got {conv}")
    if norm is not None and (norm.running_mean is None or norm.running_var is None):
        raise ValueError(f"`branches` must have norms with running statistics, got {norm}")


def _axes(conv: nn.Conv2d) -> list[tuple[int, int, int]]:
    """Taps, padding and dilation of each axis."""
    padding = conv.padding
    if padding == "valid":
        padding = (0, 0)
    if isinstance(padding, str):
        # "same" pads the smaller half first, and by the reach less it behind
        padding = tuple(
            d * (k - 1) // 2 for d, k in zip(conv.dilation, conv.kernel_size, strict=True)
        )
    return list(zip(conv.kernel_size, padding, conv.dilation, strict=True))


def _shrinkage(axis: tuple[int, int, int]) -> int:
    taps, padding, dilation = axis
    return dilation * (taps - 1) - 2 * padding


def fold_norm(conv: nn.Conv2d, norm: Norm) -> nn.Conv2d:
    """Fold the batch norm that follows a convolution into it.

    Args:
        conv: Any convolution.
        norm: A batch norm with running statistics.

    Returns:
        A convolution with a bias, equal to both in evaluation to rounding.
    """
    scale, shift = _affine(conv, norm)
    folded = copy.deepcopy(conv)
    weight = conv.weight.detach().double() * scale[:, None, None, None]
    folded.weight = nn.Parameter(weight.to(conv.weight.dtype))
    folded.bias = nn.Parameter(shift.to(conv.weight.dtype))
    return folded


def _affine(conv: nn.Conv2d, norm: Norm | None) -> tuple[Tensor, Tensor]:
    """Scale and shift, per channel, of the branch's convolution without its bias."""
    zeros = conv.weight.new_zeros(conv.out_channels, dtype=torch.float64)
    bias = zeros if conv.bias is None else conv.bias.detach().double()
    if norm is None:
        return zeros + 1, bias
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    shift = zeros
    if norm.affine:
        scale, shift = scale * norm.weight.detach().double(), norm.bias.detach().double()
    return scale, shift + (bias - norm.running_mean.double()) * scale


def _taps(weight: Tensor, conv: nn.Conv2d, ahead: Sequence[int]) -> Tensor:
    """The taps of the merged filters where those of a branch lie."""
    rows, columns = (
        slice(before - p, before - p + d * (k - 1) + 1, d)
        for (k, p, d), before in zip(_axes(conv), ahead, strict=True)
    )
    return weight[:, :, rows, columns]


def merge_reparam(block: nn.Module) -> DepthwiseConv2d:
    """Merge a block of RepLKNet (`ReparamLargeKernelConv`) or UniRepLKNet (`DilatedReparamBlock`).

    Blocks are known by the names of their layers, so copies of the official code work too. For
    others, name the branches: `merge_branches`.

    Args:
        block: The block, in evaluation or about to be.

    Returns:
        A convolution equal to the block in evaluation to rounding.

    Raises:
        ValueError: If the layers are not those of such a block.
    """
    branches = list(_branches_of(block))
    if not branches:
        raise ValueError(
            "`block` must have the layers of RepLKNet (`lkb_origin`) or UniRepLKNet (`lk_origin`), "
            f"got {type(block).__name__} with {', '.join(dict(block.named_children())) or 'none'}"
        )
    return merge_branches(branches)


def merge_reparam_(model: nn.Module) -> tuple[str, ...]:
    """Merge every block of a model that `merge_reparam` knows, in place.

    Args:
        model: The model to change.

    Returns:
        The paths of the merged blocks.
    """
    found = [path for path, module in model.named_modules() if path and any(_branches_of(module))]
    for path in found:
        model.set_submodule(path, merge_reparam(model.get_submodule(path)))
    return tuple(found)


def _branches_of(block: nn.Module) -> Iterator[Branch]:
    layers = dict(block.named_children())
    if isinstance(layers.get("lk_origin"), nn.Conv2d):
        yield from _unireplknet(layers)
    for name in ("lkb_origin", "small_conv") if "lkb_origin" in layers else ():
        if isinstance(pair := layers.get(name), nn.Sequential):
            yield _as_branch(pair.children())


def _unireplknet(layers: dict[str, nn.Module]) -> Iterator[Branch]:
    if "origin_bn" not in layers:
        # merged already
        return
    yield _as_branch((layers["lk_origin"], layers["origin_bn"]))
    for name, layer in layers.items():
        if name.startswith("dil_conv_"):
            yield _as_branch((layer, layers[name.replace("dil_conv_", "dil_bn_")]))


def _as_branch(layers: Iterable[nn.Module]) -> Branch:
    conv, norm = layers
    if not isinstance(conv, nn.Conv2d) or not isinstance(norm, Norm):
        raise ValueError(f"`block` must pair convolutions with batch norms, got {conv} and {norm}")
    return conv, norm
