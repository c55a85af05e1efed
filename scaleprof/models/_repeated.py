"""Repeat or remove named blocks that keep the shape of what passes through them."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from torch import nn

from ..scaling import scale_depths
from ._blocks import kind_of
from ._copies import copy_of

BETWEEN = ".."
"""Between the first and the last child of a container that form one block: ``features.8..9``."""


class Repeated(nn.Module):
    """Blocks in a row; none is the identity.

    Args:
        blocks: Modules that return a tensor of the shape of their first argument. Further arguments
            are passed to each of them.
    """

    def __init__(self, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Pass the first argument through all blocks."""
        for block in self.blocks:
            # a block may add to a list that it is given
            own = [list(arg) if isinstance(arg, list) else arg for arg in args]
            x = block(x, *own, **kwargs)
        return x


def repeat_named_blocks(module: nn.Module, names: Sequence[str], depth: float) -> None:
    """Scale the number of blocks in each row of equals among those named, in place.

    Neighbours of one class, with weights of equal shapes, are a row. Copies stand before its last
    block; the last blocks are removed.

    Args:
        module: What has the blocks.
        names: Paths of modules, or of neighbours in a container as ``features.8..9``, in the order
            in which they run.
        depth: Factor of the number of blocks.

    Examples:
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8), nn.ReLU())
        >>> repeat_named_blocks(net, ["1..2"], 3.0)
        >>> sum(isinstance(m, nn.Linear) for m in net.modules())
        4
    """
    rows = rows_of(module, names)
    for row, blocks in zip(rows, scale_depths([len(row) for row in rows], depth), strict=True):
        if blocks > len(row):
            _add(module, row[-1], blocks - len(row))
        for name in row[blocks:]:
            for path in members(module, name):
                module.set_submodule(path, Repeated([]))


def rows_of(module: nn.Module, names: Sequence[str]) -> list[list[str]]:
    """Split named blocks into rows of equals."""
    return [list(row) for _, row in groupby(names, key=lambda name: _kind(module, name))]


def _kind(module: nn.Module, name: str) -> tuple[object, ...]:
    return tuple(kind_of(module.get_submodule(path)) for path in members(module, name))


def _add(module: nn.Module, name: str, copies: int) -> None:
    paths = members(module, name)
    parts = [module.get_submodule(path) for path in paths]
    block = parts[0] if len(parts) == 1 else nn.Sequential(*parts)
    added = [copy_of(block) for _ in range(copies)]
    module.set_submodule(paths[0], Repeated([*added, parts[0]]))


def members(module: nn.Module, name: str) -> list[str]:
    """Paths of the modules that one block consists of."""
    first, spans, last = name.partition(BETWEEN)
    if not spans:
        return [name]
    parent, _, start = first.rpartition(".")
    children = [child for child, _ in module.get_submodule(parent).named_children()]
    inside = children[children.index(start) : children.index(last) + 1]
    return [f"{parent}.{child}" if parent else child for child in inside]
