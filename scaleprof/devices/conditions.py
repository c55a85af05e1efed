"""The present state of the machine, and what to do about it before measuring. Without torch."""

import os
from collections.abc import Mapping
from pathlib import Path

import psutil

from ._state import GpuState

State = dict[str, str | int | float | bool | None]

_CPUS = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")
# cores that others keep busy: less is the machine's own housekeeping
_BUSY = 0.15
# rates below this share of the data sheet's hint at something that slows the device down
_FAR_BELOW = 0.6


def cpu_state(root: Path = Path("/")) -> State:
    """Return how the processors are set and used; what the system does not tell is None.

    Args:
        root: Root of the file system, for tests.
    """
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    return {
        "governor": _read(_under(root, _CPUS) / "cpu0/cpufreq/scaling_governor"),
        "mhz": round(frequency.current) if frequency else None,
        "turbo": _turbo(root),
        "cgroup_cores": cgroup_cores(root),
        "load_per_core": round(os.getloadavg()[0] / (os.cpu_count() or 1), 2),
        "steal_percent": getattr(psutil.cpu_times_percent(interval=None), "steal", None),
        "memory_free_bytes": int(psutil.virtual_memory().available),
    }


def cgroup_cores(root: Path = Path("/")) -> float | None:
    """Return the cores that the control group may use on average; None for no limit."""
    text = _read(_under(root, _CGROUP) / "cpu.max")
    if text is None or text.split()[0] == "max":
        return None
    quota, period = map(int, text.split())
    return quota / period


def cpu_advice(state: Mapping[str, object], *, threads: int, cores: int) -> list[str]:
    """Return what to do for measurements on this CPU that can be trusted."""
    advice = []
    governor, quota, foreign = (
        state.get(key) for key in ("governor", "cgroup_cores", "foreign_cores")
    )
    if governor not in (None, "performance"):
        advice.append(
            f"the governor is `{governor}`: clocks follow the load; set it to `performance`"
        )
    if isinstance(quota, float) and quota < threads:
        advice.append(
            f"the control group allows {quota:g} cores for {threads} threads, which are then "
            f"stopped in turn: set OMP_NUM_THREADS={max(int(quota), 1)}"
        )
    if threads > cores:
        advice.append(f"{threads} threads share {cores} cores: set OMP_NUM_THREADS={cores}")
    if isinstance(foreign, float) and foreign > _BUSY:
        advice.append(f"other processes keep {foreign:.1f} cores busy: end them, or wait")
    return advice


def gpu_advice(state: GpuState) -> list[str]:
    """Return what to do for measurements on this GPU that can be trusted."""
    advice = []
    if state.foreign_processes:
        advice.append(f"{state.foreign_processes} other processes compute on it: end them, or wait")
    if state.throttle_reasons:
        advice.append(f"it is slowed down by {', '.join(state.throttle_reasons)}: see to that")
    if state.persistence is False:
        advice.append("its driver is loaded anew by every process: nvidia-smi -pm 1 keeps it")
    return advice


def ceiling_advice(measured: Mapping[str, float | None], sheet: Mapping[str, float]) -> list[str]:
    """Return what is far below the data sheet, by name of the rate."""
    return [
        f"{name} is {rate / sheet[name]:.0%} of the data sheet: something slows the device down"
        for name, rate in measured.items()
        if rate is not None and name in sheet and rate < _FAR_BELOW * sheet[name]
    ]


def _turbo(root: Path) -> bool | None:
    """Whether clocks may rise above the nominal one for a while."""
    no_turbo = _read(_under(root, _CPUS) / "intel_pstate/no_turbo")
    if no_turbo is not None:
        return no_turbo == "0"
    boost = _read(_under(root, _CPUS) / "cpufreq/boost")
    return None if boost is None else boost == "1"


def _under(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except OSError:
        return None
