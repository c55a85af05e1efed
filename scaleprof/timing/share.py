"""Which part of a forward pass some of its modules take."""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

# passes that are timed, of which the median counts; the first one warms up
_PASSES = 3
Namer = Callable[..., str]


def count_calls(
    function: Callable[[], object], modules: Iterable[nn.Module], name: Namer
) -> Counter[str]:
    """Count calls of modules in one forward pass, by the name of each call.

    Args:
        function: One forward pass.
        modules: Modules of the model.
        name: Called with a module and its inputs.
    """
    calls: Counter[str] = Counter()

    def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        calls[name(module, *inputs)] += 1

    with ExitStack() as hooks:
        for module in modules:
            hooks.callback(module.register_forward_pre_hook(note).remove)
        function()
    return calls


def share_of_time(
    function: Callable[[], object], modules: Iterable[nn.Module], device: torch.device
) -> float:
    """Return the share of a forward pass's time that passes inside modules, between 0 and 1.

    On a GPU it is the device's time from reaching a module to leaving it.

    Args:
        function: One forward pass.
        modules: Modules of the model, none inside another.
        device: Where it runs: a CPU or a CUDA device.
    """
    clock = _cuda_event if device.type == "cuda" else time.perf_counter
    marks: list[Any] = []

    def mark(*_: Any) -> None:
        marks.append(clock())

    with ExitStack() as hooks:
        for module in modules:
            hooks.callback(module.register_forward_pre_hook(mark).remove)
            hooks.callback(module.register_forward_hook(mark).remove)
        shares = []
        for _ in range(_PASSES + 1):
            marks.clear()
            mark()
            function()
            mark()
            shares.append(_share(marks))
    return statistics.median(shares[1:])


def _cuda_event() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event


def _share(marks: list[Any]) -> float:
    """Share of the time between the first and the last mark that is inside pairs of the others."""
    first, *inner, last = marks
    if isinstance(first, torch.cuda.Event):
        last.synchronize()
        inside = sum(a.elapsed_time(b) for a, b in zip(inner[::2], inner[1::2], strict=True))
        return float(inside / first.elapsed_time(last))
    return float(sum(b - a for a, b in zip(inner[::2], inner[1::2], strict=True)) / (last - first))
