"""Wider layers and more blocks for networks whose sizes are written into their code.

A constructor without an argument for its width still builds its layers from torch's. While it runs,
their constructors are told other channel counts: every one but those of the model's input and
output, times a factor; or single numbers in the code of constructors are other ones. Blocks that
stand in a row of equals are repeated after it ran. Recipes that scale a network so call
`build_scaled`.
"""

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from ._blocks import repeat_blocks, row_lengths
from ._constants import Constants, find_constants, replaced_constants
from ._constructors import replaced_constructors
from ._repeated import BETWEEN, repeat_named_blocks, rows_of

# classes whose constructors take channel counts, and the names of these
_CHANNELS: Mapping[type[nn.Module], tuple[str, ...]] = {
    _ConvNd: ("in_channels", "out_channels"),
    nn.Linear: ("in_features", "out_features"),
    _NormBase: ("num_features",),
    nn.GroupNorm: ("num_channels",),
    nn.LayerNorm: ("normalized_shape",),
}
__all__ = ["SPAN", "block_rows", "build_scaled", "find_constants"]

SPAN = BETWEEN
"""Between the names of the first and the last module of one block: ``features.8..9``."""

_OUTPUTS = ("out_channels", "out_features")


def build_scaled(
    builder: Callable[..., nn.Module],
    *,
    width: float = 1.0,
    depth: float = 1.0,
    blocks: Sequence[str] | None = None,
    inputs: int | None = None,
    outputs: int | None = None,
    constants: Constants | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Build a network with other widths of layers or numbers of blocks than its constructor says.

    Args:
        builder: Class or function that builds the network.
        width: Factor of all channel counts but those of the input and the output.
        depth: Factor of the number of blocks.
        blocks: Paths of the blocks, which keep the shape of what passes through them; None for all
            that stand in rows of equals in a `torch.nn.Sequential` or `torch.nn.ModuleList`.
        inputs: Channels of the network's input, which layers keep.
        outputs: Size of the network's output, such as its classes, which layers keep.
        constants: Other numbers for the code of constructors, by the name of a class: of defaults
            of its arguments that nobody gives, and of literals by their text in parentheses. Of a
            class that does not stand beside the builder, the name is ``module:Class``.
        arguments: Keyword arguments of the builder.

    Raises:
        ModelError: If a constructor has no such number.
        Exception: What the builder raises; a network that computes with the counts of its code may
            not fit together at other counts.

    Examples:
        >>> from torch import nn
        >>> def two_layers():
        ...     return nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 10, 1))
        >>> wider = build_scaled(two_layers, width=1.5, inputs=3, outputs=10)
        >>> [layer.out_channels for layer in wider]
        [24, 10]
    """

    def scaled(count: int, name: str) -> int:
        kept = outputs if name in _OUTPUTS else inputs
        return count if count == kept else max(round(count * width), 1)

    with (
        replaced_constants(builder, constants or {}),
        _intercepted(scaled) if width != 1.0 else nullcontext(),
    ):
        module = builder(**(arguments or {}))
    if depth != 1.0 and blocks is not None:
        repeat_named_blocks(module, blocks, depth)
    elif depth != 1.0:
        repeat_blocks(module, depth)
    return module


def block_rows(module: nn.Module, blocks: Sequence[str] | None = None) -> list[int]:
    """Return the number of blocks in each row of equals whose blocks `build_scaled` repeats.

    Args:
        module: The network.
        blocks: See `build_scaled`.
    """
    return row_lengths(module) if blocks is None else [len(r) for r in rows_of(module, blocks)]


def _intercepted(scaled: Callable[[int, str], int]) -> AbstractContextManager[None]:
    return replaced_constructors(
        {cls: _wider(cls.__init__, names, scaled) for cls, names in _CHANNELS.items()}
    )


def _wider(
    original: Callable[..., None], names: tuple[str, ...], scaled: Callable[[int, str], int]
) -> Callable[..., None]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def init(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs).arguments
        groups, channels = bound.get("groups", 1), bound.get("in_channels")
        each = bound.get("num_channels") == bound.get("num_groups")
        for name in names:
            bound[name] = _scaled_shape(bound[name], name, scaled)
        if groups > 1:
            bound["groups"] = _groups_alike(channels // groups, groups, bound)
        if "num_groups" in bound:
            count = bound["num_channels"]
            bound["num_groups"] = count if each else _groups_that_fit(bound["num_groups"], count)
        del bound["self"]
        original(self, **bound)

    return init


def _groups_alike(width: int, groups: int, bound: Mapping[str, Any]) -> int:
    """Groups as wide as they were where they are many; as many as they were where they are wide.

    A depthwise convolution has groups of one channel, and stays depthwise; two towers stay two.
    """
    fitting, rest = divmod(bound["in_channels"], width)
    many = groups > width
    return fitting if many and not rest and not bound["out_channels"] % fitting else groups


def _groups_that_fit(groups: int, channels: int) -> int:
    """The number of groups of a norm, or the nearest by ratio that divides its channels."""
    divisors = [n for n in range(1, channels + 1) if channels % n == 0]
    return min(divisors, key=lambda n: abs(math.log(n / groups)))


def _scaled_shape(count: Any, name: str, scaled: Callable[[int, str], int]) -> Any:
    """One count, or the shape of a layer norm, whose last size is the channels if it is alone."""
    if isinstance(count, int):
        return scaled(count, name)
    sizes = tuple(count)
    return (scaled(sizes[0], name),) if len(sizes) == 1 else sizes
