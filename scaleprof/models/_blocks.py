"""Repeat or remove blocks of a module that has them in a row."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from ..scaling import scale_depths
from ._copies import copy_of

# a block may be a layer, its norm and its activation, side by side in one row
_MAX_PERIOD = 3

Run = tuple[int, int, int]
"""A run of equal blocks among the children of a container: start, modules per block, blocks."""


def row_lengths(module: nn.Module) -> list[int]:
    """Numbers of blocks in the rows of equals of a module."""
    return [blocks for container in _containers(module) for _, _, blocks in _runs(container)]


def repeat_blocks(module: nn.Module, depth: float) -> None:
    """Scale the number of blocks that stand in rows of equals, in place.

    Equal blocks are of one class and have weights of equal shapes. The last of a row is copied, or
    the last ones are removed: the first may change sizes in space.
    """
    rows = [(container, run) for container in _containers(module) for run in _runs(container)]
    lengths = [blocks for _, (_, _, blocks) in rows]
    new = dict(zip(map(_key, rows), scale_depths(lengths, depth), strict=True))
    for container in {id(container): container for container, _ in rows}.values():
        # from the end, so that the starts of earlier runs stay where they are
        for run in reversed(_runs(container)):
            _resize(container, run, new[_key((container, run))])


def _key(row: tuple[nn.Module, Run]) -> tuple[int, Run]:
    return id(row[0]), row[1]


def _containers(module: nn.Module) -> list[nn.Module]:
    """Outermost containers with rows: blocks inside repeated blocks are left alone."""
    if isinstance(module, nn.Sequential | nn.ModuleList) and _runs(module):
        runs = _runs(module)
        repeated = {i for start, size, n in runs for i in range(start, start + size * n)}
        rest = [child for i, child in enumerate(module.children()) if i not in repeated]
        return [module, *(inner for child in rest for inner in _containers(child))]
    return [inner for child in module.children() for inner in _containers(child)]


def _runs(container: nn.Module) -> list[Run]:
    kinds = [kind_of(child) for child in container._modules.values() if child is not None]
    runs, start = [], 0
    while start < len(kinds):
        run = _run_at(kinds, start)
        if run is not None:
            runs.append(run)
        start += run[1] * run[2] if run else 1
    return runs


def _run_at(kinds: Sequence[Any], start: int) -> Run | None:
    for size in range(1, _MAX_PERIOD + 1):
        block = kinds[start : start + size]
        blocks = 1
        while kinds[start + blocks * size : start + (blocks + 1) * size] == block:
            blocks += 1
        if blocks > 1 and len(block) == size and any(shapes for _, shapes in block):
            return start, size, blocks
    return None


def kind_of(module: nn.Module) -> tuple[type, tuple[tuple[int, ...], ...]]:
    """What equal blocks have in common: their class and the shapes of their weights."""
    return type(module), tuple(tuple(p.shape) for p in module.parameters())


def _resize(container: nn.Module, run: Run, blocks: int) -> None:
    start, size, old = run
    children = list(container._modules.values())
    last = children[start + (old - 1) * size : start + old * size]
    added = [copy_of(child) for _ in range(blocks - old) for child in last]
    kept = children[start : start + min(blocks, old) * size]
    children[start : start + old * size] = [*kept, *added]
    container._modules = {str(i): child for i, child in enumerate(children)}
