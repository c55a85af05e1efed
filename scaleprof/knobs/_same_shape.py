"""Blocks that could be repeated wherever they stand: what passes through them keeps its shape."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..costs import count_module
from ..models.scaled import SPAN
from ..records import InputSpec

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Passed:
    """Shapes of the first tensor into a module and of the tensor out of it; None if it has none."""

    came: Shape | None
    went: Shape | None


def blocks_of_same_shape(module: nn.Module, inputs: Sequence[InputSpec]) -> list[str]:
    """Name the outermost blocks that keep the shape, in the order in which they run.

    A block is a module of several layers, or a layer with what follows it in a row up to the next
    layer. It has weights, and runs once.
    """
    return list(_blocks(module, "", _watched(module, inputs)))


def _watched(module: nn.Module, inputs: Sequence[InputSpec]) -> dict[str, _Passed]:
    """Shapes before and after every module that runs exactly once, in running order."""
    calls: dict[str, list[_Passed]] = {}
    handles = []
    for name, part in module.named_modules():

        def note(_: nn.Module, args: tuple[Any, ...], result: Any, name: str = name) -> None:
            calls.setdefault(name, []).append(
                _Passed(_shape(args[0] if args else None), _shape(result))
            )

        handles.append(part.register_forward_hook(note))
    try:
        count_module(module, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return {name: found[0] for name, found in calls.items() if len(found) == 1}


def _shape(value: Any) -> Shape | None:
    return tuple(value.shape) if isinstance(value, Tensor) else None


def _blocks(module: nn.Module, path: str, passed: dict[str, _Passed]) -> Iterator[str]:
    """Blocks inside a module; not inside one that stands beside others like it that are blocks."""
    children = {f"{path}.{name}" if path else name: c for name, c in module.named_children()}
    # in running order; what runs never or twice comes last
    order = {name: i for i, name in enumerate(passed)}
    kinds = {type(c) for name, c in children.items() if _is_block(c) and _keeps(passed.get(name))}
    for name in sorted(children, key=lambda name: order.get(name, len(order))):
        child = children[name]
        if isinstance(child, nn.Sequential) and name in passed and any(map(_is_layer, child)):
            yield from _rows(child, name, passed)
        elif _is_block(child) and _keeps(passed.get(name)):
            yield name
        elif type(child) not in kinds:
            yield from _blocks(child, name, passed)


def _rows(row: nn.Sequential, path: str, passed: dict[str, _Passed]) -> Iterator[str]:
    """Blocks of a flat row: each layer with the norms and activations after it."""
    names = [f"{path}.{name}" for name, _ in row.named_children()]
    parts = list(row)
    for i, part in enumerate(parts):
        if not _is_layer(part):
            if _is_block(part) and _keeps(passed.get(names[i])):
                yield names[i]
            else:
                yield from _blocks(part, names[i], passed)
            continue
        if not _keeps(passed.get(names[i])):
            continue
        last = i
        while last + 1 < len(parts) and _follows(parts[last + 1], passed.get(names[last + 1])):
            last += 1
        if last > i:
            yield names[i] + SPAN + names[last].rpartition(".")[2]


def _follows(part: nn.Module, passed: _Passed | None) -> bool:
    return not _has_weights(part) and _keeps(passed)


def _keeps(passed: _Passed | None) -> bool:
    return passed is not None and passed.came is not None and passed.came == passed.went


def _is_layer(module: nn.Module) -> bool:
    """Tell a single layer: without modules inside."""
    return _has_weights(module) and not any(True for _ in module.children())


def _is_block(module: nn.Module) -> bool:
    """Tell a module of several layers: one layer with its norm is a part of a block."""
    container = isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)
    return not container and sum(map(_is_layer, module.modules())) > 1


def _has_weights(module: nn.Module) -> bool:
    return any(parameter.dim() > 1 for parameter in module.parameters())
