"""Depthwise convolution as a module, and how to swap it into a model."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from .depthwise_conv2d import depthwise_conv2d, kernel_for

# torch unrolls filters of up to 5 taps a side, and the table of choices leaves them to it
_FEWEST_TAPS = 6


class DepthwiseConv2d(nn.Conv2d):
    """A drop-in for `torch.nn.Conv2d` with as many groups as channels.

    Arguments, parameters and state dict are those of `torch.nn.Conv2d`.

    Examples:
        >>> layer = DepthwiseConv2d(8, 8, 13, padding=6, groups=8)
        >>> layer.load_state_dict(nn.Conv2d(8, 8, 13, padding=6, groups=8).state_dict())
        <All keys matched successfully>
    """

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        # torch allows no text but "same" and "valid" here
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            edges = self._reversed_padding_repeated_twice
            x, padding = functional.pad(x, edges, mode=self.padding_mode), 0
        return depthwise_conv2d(
            x, weight, bias, stride=self.stride, padding=padding, dilation=self.dilation
        )

    def kernel_of(self, x: Tensor) -> str:
        """Return what runs it on such a tensor: "toeplitz", "direct" or "torch"."""
        if not x.is_cuda:
            return "torch"
        padding: Any = self.padding if self.padding_mode == "zeros" else 0
        return kernel_for(x, self.weight, self.stride, padding, self.dilation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacements:
    """What became of the convolutions of a model.

    Attributes:
        swapped: Paths of those that run here now.
        left: Paths of the others, each with the reason.
    """

    swapped: tuple[str, ...]
    left: dict[str, str]


def replace_depthwise_(model: nn.Module, *, fewest_taps: int = _FEWEST_TAPS) -> Replacements:
    """Let the large-kernel depthwise convolutions of a model run here, in place.

    A layer stays the object it is, with its parameters, hooks and name; only its class changes, so
    optimisers, state dicts and shared layers are unaffected.

    Args:
        model: The model to change.
        fewest_taps: Leave filters alone whose longer side has fewer taps.

    Returns:
        What was swapped, and what was left and why.

    Examples:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 7, padding=3, groups=8))
        >>> replace_depthwise_(model)
        Replacements(swapped=('1',), left={'0': '1 group of 3 channels'})
    """
    swapped, left = [], {}
    for path, module in model.named_modules():
        if not isinstance(module, nn.Conv2d) or isinstance(module, DepthwiseConv2d):
            continue
        reason = _reason_to_leave(module, fewest_taps)
        if reason:
            left[path] = reason
        else:
            module.__class__ = DepthwiseConv2d
            swapped.append(path)
    return Replacements(swapped=tuple(swapped), left=left)


def restore_depthwise_(model: nn.Module) -> tuple[str, ...]:
    """Let torch run the depthwise convolutions of a model again, in place.

    Args:
        model: The model to change, or one convolution.

    Returns:
        The paths of those that ran here before.
    """
    ours = {path: m for path, m in model.named_modules() if type(m) is DepthwiseConv2d}
    for module in ours.values():
        object.__setattr__(module, "__class__", nn.Conv2d)
    return tuple(ours)


def _reason_to_leave(conv: nn.Conv2d, fewest_taps: int) -> str | None:
    if type(conv) is not nn.Conv2d:
        return f"a {type(conv).__name__}, which may compute something else"
    if conv.groups != conv.in_channels:
        groups = "1 group" if conv.groups == 1 else f"{conv.groups} groups"
        return f"{groups} of {conv.in_channels} channels"
    if conv.out_channels != conv.in_channels:
        return f"{conv.out_channels // conv.in_channels} filters per channel"
    if max(conv.kernel_size) < fewest_taps:
        return f"{'×'.join(map(str, conv.kernel_size))} taps, which torch does well"
    return None
