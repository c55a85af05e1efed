"""Timers of a torch module: on the CPU, and on any accelerator torch has a device for."""

import time
from collections.abc import Callable

import torch


class CpuTimer:
    """Time calls on the CPU by the performance counter.

    Args:
        function: One forward pass.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._began = time.perf_counter()

    def time(self, calls: int) -> float:
        """Run the calls and return their total time in seconds."""
        began = time.perf_counter_ns()
        for _ in range(calls):
            self._function()
        return (time.perf_counter_ns() - began) * 1e-9

    def elapsed(self) -> float:
        """Return the seconds since the timer was made."""
        return time.perf_counter() - self._began


class AcceleratorTimer:
    """Time calls on an accelerator by the host's clock, from an idle device to an idle device.

    What is timed includes the launches, as a caller sees them.

    Args:
        function: One forward pass.
        device: The accelerator.
    """

    def __init__(self, function: Callable[[], object], device: torch.device) -> None:
        self._function = function
        self._device = device
        self._began = time.perf_counter()

    def time(self, calls: int) -> float:
        """Run the calls and return their total time in seconds."""
        torch.accelerator.synchronize(self._device)
        began = time.perf_counter_ns()
        for _ in range(calls):
            self._function()
        torch.accelerator.synchronize(self._device)
        return (time.perf_counter_ns() - began) * 1e-9

    def elapsed(self) -> float:
        """Return the seconds since the timer was made."""
        return time.perf_counter() - self._began
