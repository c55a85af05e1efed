"""Which part of a forward pass some of its modules take."""

import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import nn

# passes that are timed, of which the median counts; the first one warms up
_PASSES = 3
Namer = Callable[..., str]
# name of a module, and the moments of entering and of leaving it
_Span = tuple[str, Any, Any]


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

    Args:
        function: One forward pass.
        modules: Modules of the model, none inside another.
        device: Where it runs: a CPU or a CUDA device.
    """
    named = (("", module) for module in modules)
    return shares_of_time(function, named, device).get("", 0.0)


def shares_of_time(
    function: Callable[[], object],
    modules: Iterable[tuple[str, nn.Module]],
    device: torch.device,
    *,
    passes: int = _PASSES,
) -> dict[str, float]:
    """Return the share of a forward pass's time that passes inside modules, by name.

    The time of a module is that of all its calls, with what runs inside it; on a GPU it is the
    device's time from reaching a module to leaving it. Reading the clock takes microseconds a
    call, which count as time of the modules around it.

    Args:
        function: One forward pass.
        modules: Modules of the model by name; the times of one name add up.
        device: Where it runs: a CPU or a CUDA device.
        passes: Passes of which the median counts, after one that warms up.

    Returns:
        Shares of the modules that were called.
    """
    clock = _cuda_event if device.type == "cuda" else time.perf_counter
    running: list[tuple[str, Any]] = []
    spans: list[_Span] = []

    def enter(name: str, *_: Any) -> None:
        running.append((name, clock()))

    def leave(*_: Any) -> None:
        ended = clock()
        spans.append((*running.pop(), ended))

    shares = []
    with ExitStack() as hooks:
        for name, module in modules:
            hooks.callback(module.register_forward_pre_hook(partial(enter, name)).remove)
            # also where a model catches what one of its modules raised
            hooks.callback(module.register_forward_hook(leave, always_call=True).remove)
        for _ in range(passes + 1):
            spans.clear()
            began = clock()
            function()
            shares.append(_shares(spans, began, clock()))
    names = dict.fromkeys(name for found in shares for name in found)
    return {name: statistics.median(s.get(name, 0.0) for s in shares[1:]) for name in names}


def _cuda_event() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event


def _shares(spans: Iterable[_Span], began: Any, ended: Any) -> dict[str, float]:
    """Share by name of the time between two moments."""
    if isinstance(ended, torch.cuda.Event):
        ended.synchronize()
    inside: defaultdict[str, float] = defaultdict(float)
    for name, entered, left in spans:
        inside[name] += _between(entered, left)
    whole = _between(began, ended)
    return {name: taken / whole for name, taken in inside.items()}


def _between(began: Any, ended: Any) -> float:
    """Time between two moments: milliseconds between events, else seconds."""
    if isinstance(began, torch.cuda.Event):
        return float(began.elapsed_time(ended))
    return float(ended - began)
