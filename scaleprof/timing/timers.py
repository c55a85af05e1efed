"""Timers of a torch module: on the CPU, and on any accelerator torch has a device for."""

import time
from collections.abc import Callable
from typing import Any

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

    What is timed includes the launches, as a caller sees them. Beside it the device's own time is
    kept, between events around the calls, and the time until the host had launched them: where
    that is most of it, the host is what is slow. The events are made once, outside of what is
    timed.

    Args:
        function: One forward pass.
        device: The accelerator.
        between: Called after every timed block, while nothing is timed.

    Attributes:
        device_s: Time per call between events, one for each `time`; empty where the device has no
            events that tell time.
        enqueue_s: Time per call until the host had launched it, one for each `time`.
        no_events: Why `device_s` is empty; None where it is not.
    """

    def __init__(
        self,
        function: Callable[[], object],
        device: torch.device,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self._function = function
        self._device = device
        self._between = between
        self._began = time.perf_counter()
        self.device_s: list[float] = []
        self.enqueue_s: list[float] = []
        self.no_events: str | None = None
        self._events = self._start_and_end()

    def time(self, calls: int) -> float:
        """Run the calls and return their total time in seconds."""
        torch.accelerator.synchronize(self._device)
        began = time.perf_counter_ns()
        for event in self._events[:1]:
            event.record()
        for _ in range(calls):
            self._function()
        for event in self._events[1:]:
            event.record()
        launched = time.perf_counter_ns()
        torch.accelerator.synchronize(self._device)
        ended = time.perf_counter_ns()
        self.enqueue_s.append((launched - began) * 1e-9 / calls)
        if self._events:
            start, end = self._events
            # events tell milliseconds
            self.device_s.append(float(start.elapsed_time(end)) * 1e-3 / calls)
        self._between()
        return (ended - began) * 1e-9

    def elapsed(self) -> float:
        """Return the seconds since the timer was made."""
        return time.perf_counter() - self._began

    def _start_and_end(self) -> tuple[Any, ...]:
        """Make two events that tell time; none, and say why, where the device has none."""
        try:
            events = tuple(torch.Event(self._device, enable_timing=True) for _ in range(2))
            # the device's part of an event is made when it is first recorded
            for event in events:
                event.record()
        except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
            self.no_events = str(error).splitlines()[0] if str(error) else type(error).__name__
            return ()
        return events
