"""What an NVIDIA GPU says of itself through NVML: clocks, throttling, power, energy, neighbours.

The CUDA-only part of measuring. Without NVML, or without permission for one of its counters, what
it would say is None, with the reason.
"""

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

import pynvml

from ..records import GpuConditions
from ._state import GpuState

# a block at less than this share of the clock that the GPU promises is not what it can do (nvbench)
THROTTLED = 0.75
# counter and integrated power must agree within this share for an energy to be believed
_PLAUSIBLE = 0.3
_SECONDS_BETWEEN = 0.05
# NVML_FI_DEV_POWER_INSTANT, whose name came with drivers of 2023
_POWER_NOW = 186

_REASONS = {
    "SwPowerCap": "its power limit",
    "HwSlowdown": "a hardware slowdown (heat or power)",
    "SwThermalSlowdown": "heat",
    "HwThermalSlowdown": "heat",
    "HwPowerBrakeSlowdown": "the power supply",
    "SyncBoost": "the clocks of other GPUs",
    "ApplicationsClocksSetting": "a limit set on its clocks",
}


class Gpu:
    """One GPU by NVML.

    Args:
        uuid: Its identifier, as torch gives it, with or without ``GPU-``; it does not depend on
            ``CUDA_VISIBLE_DEVICES``. Make this before the process computes on the GPU: where it
            goes by another number there, as in a container, the one that appears after is it.

    Raises:
        pynvml.NVMLError: If NVML or the GPU cannot be reached.
    """

    def __init__(self, uuid: str) -> None:
        pynvml.nvmlInit()
        name = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
        self._handle: Any = pynvml.nvmlDeviceGetHandleByUUID(name)
        self._before = self._processes() or frozenset()

    def state(self) -> GpuState:
        """Return what it is like now."""
        maximum = self._ask(pynvml.nvmlDeviceGetMaxClockInfo, pynvml.NVML_CLOCK_SM)
        default = self._ask(pynvml.nvmlDeviceGetDefaultApplicationsClock, pynvml.NVML_CLOCK_SM)
        limit = self._ask(pynvml.nvmlDeviceGetEnforcedPowerLimit)
        persistence = self._ask(pynvml.nvmlDeviceGetPersistenceMode)
        return GpuState(
            sm_mhz=self._ask(pynvml.nvmlDeviceGetClockInfo, pynvml.NVML_CLOCK_SM),
            reference_mhz=default or maximum,
            max_mhz=maximum,
            temperature_c=self._ask(pynvml.nvmlDeviceGetTemperature, pynvml.NVML_TEMPERATURE_GPU),
            power_w=self._power_w(),
            power_limit_w=None if limit is None else limit / 1000,
            throttle_reasons=self._throttle_reasons(),
            foreign_processes=self._foreign_processes(),
            persistence=None if persistence is None else bool(persistence),
        )

    def energy_j(self) -> float | None:
        """Return the energy it has used since its driver was loaded; None if it does not say."""
        used = self._ask(pynvml.nvmlDeviceGetTotalEnergyConsumption)
        return None if used is None else used / 1000

    def _power_w(self) -> float | None:
        """Power now, where that is told; else as it is usually told, a mean over a second."""
        for value in self._ask(pynvml.nvmlDeviceGetFieldValues, [_POWER_NOW]) or ():
            if value.nvmlReturn == pynvml.NVML_SUCCESS and value.value.uiVal:
                return float(value.value.uiVal) / 1000
        power = self._ask(pynvml.nvmlDeviceGetPowerUsage)
        return None if power is None else float(power) / 1000

    def _throttle_reasons(self) -> tuple[str, ...]:
        mask = self._ask(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons) or 0
        found = [
            words
            for name, words in _REASONS.items()
            if mask & getattr(pynvml, f"nvmlClocksThrottleReason{name}", 0)
        ]
        return tuple(dict.fromkeys(found))

    def _foreign_processes(self) -> int | None:
        running = self._processes()
        if running is None:
            return None
        own = running & {os.getpid(), os.getppid()}
        # where our number is not known, one that was not there before is ours
        return len(running) - (len(own) or min(len(running - self._before), 1))

    def _processes(self) -> frozenset[int] | None:
        """Numbers of the processes that compute on the GPU."""
        running = self._ask(pynvml.nvmlDeviceGetComputeRunningProcesses)
        return None if running is None else frozenset(process.pid for process in running)

    def _ask(self, question: Callable[..., Any], *details: Any) -> Any:
        """What a GPU does not support, or a user may not ask, is None."""
        with contextlib.suppress(pynvml.NVMLError):
            return question(self._handle, *details)
        return None


class GpuWatch:
    """Look at a GPU now and then while it computes.

    Args:
        gpu: The GPU.
        clock: Seconds, for the time between looks.
    """

    def __init__(self, gpu: Gpu, clock: Callable[[], float] = time.perf_counter) -> None:
        self._gpu = gpu
        self._clock = clock
        self._states: list[tuple[float, GpuState]] = []

    def look(self) -> None:
        """Look, if the last look is long enough ago to cost nothing."""
        now = self._clock()
        if not self._states or now - self._states[-1][0] >= _SECONDS_BETWEEN:
            self._states.append((now, self._gpu.state()))

    def conditions(self) -> GpuConditions:
        """Return what was seen."""
        self.look()
        states = [state for _, state in self._states]
        clocks = [state.sm_mhz for state in states if state.sm_mhz is not None]
        temperatures = [s.temperature_c for s in states if s.temperature_c is not None]
        powers = [state.power_w for state in states if state.power_w is not None]
        foreign = [s.foreign_processes for s in states if s.foreign_processes is not None]
        clock = sorted(clocks)[len(clocks) // 2] if clocks else None
        reference = states[0].reference_mhz
        return GpuConditions(
            sm_mhz=clock,
            reference_mhz=reference,
            temperature_c=max(temperatures, default=None),
            power_w=sum(powers) / len(powers) if powers else None,
            throttle_reasons=tuple(dict.fromkeys(r for s in states for r in s.throttle_reasons)),
            foreign_processes=max(foreign, default=None),
            throttled=bool(clock and reference and clock < THROTTLED * reference),
        )


def plausible_energy(
    counted_j: float | None, power_w: float | None, seconds: float
) -> tuple[float | None, str | None]:
    """Return a counter's energy if integrated power agrees with it, else None and why.

    Args:
        counted_j: What the counter grew by.
        power_w: Mean power over the same time.
        seconds: That time.
    """
    if counted_j is None:
        return None, "the GPU has no energy counter that may be read"
    if power_w is None:
        return None, "the energy counter could not be held against the power draw"
    integrated = power_w * seconds
    if integrated <= 0 or abs(counted_j / integrated - 1) > _PLAUSIBLE:
        return None, f"counter ({counted_j:.3g} J) and power ({integrated:.3g} J) disagree"
    return counted_j, None
