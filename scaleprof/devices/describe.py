"""The device that is there, the software that drives it, and the settings that change its speed.

Runs in a worker process: it asks torch, and asking an accelerator starts it.
"""

import contextlib
import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

import psutil
import torch

from ..errors import DeviceError
from ..records import Device
from ._state import DeviceState, Flags
from .allocator import keep_freed_memory


def describe_device(name: str, *, libraries: Sequence[str] = ()) -> DeviceState:
    """Describe a device.

    Args:
        name: A torch device string, or ``auto`` for the accelerator if there is one, else the CPU.
        libraries: Distributions whose versions matter beside torch's.

    Raises:
        DeviceError: If there is no such device.
    """
    device = torch.device(_automatic() if name == "auto" else _checked(name))
    load = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else None
    return DeviceState(
        name=str(device),
        device=_cpu() if device.type == "cpu" else _accelerator(device),
        versions=_versions(("torch", "triton", "numpy", "scaleprof", *libraries)),
        platform=f"{platform.system()} {platform.machine()}",
        flags=_flags(device),
        load=load,
    )


def _automatic() -> str:
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return "cpu" if accelerator is None else f"{accelerator.type}:0"


def _checked(name: str) -> str:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(
            f"`{name}` is not a device", hint="use cpu, cuda:0 or another torch device string"
        ) from None
    if device.type == "cpu":
        return "cpu"
    found = torch.accelerator.current_accelerator(check_available=True)
    count = torch.accelerator.device_count() if found is not None else 0
    if found is None or found.type != device.type or (device.index or 0) >= count:
        there = [f"{found.type}:{i}" for i in range(count)] if found is not None else []
        raise DeviceError(
            f"there is no device `{name}` here", hint=f"use {' or '.join(['cpu', *there])}"
        )
    return f"{device.type}:{device.index or 0}"


def _versions(names: Sequence[str]) -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in dict.fromkeys(names):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions | {"torch": str(torch.__version__)}


def _cpu() -> Device:
    return Device(
        type="cpu",
        index=None,
        name=_cpu_name(),
        memory_bytes=_memory_limit(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        driver=None,
    )


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
        if match:
            return match[1].strip()
    return platform.processor() or platform.machine()


def _memory_limit() -> int:
    total = int(psutil.virtual_memory().total)
    with contextlib.suppress(OSError, ValueError):
        return min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total


def _accelerator(device: torch.device) -> Device:
    index = device.index or 0
    backend = torch.get_device_module(device)
    name, memory = device.type, None
    if hasattr(backend, "get_device_properties"):
        properties = backend.get_device_properties(index)
        name = getattr(properties, "name", name)
        memory = getattr(properties, "total_memory", None)
    driver = _nvidia_driver() if device.type == "cuda" else None
    return Device(
        type=device.type, index=index, name=name, memory_bytes=memory, cores=None, driver=driver
    )


def _nvidia_driver() -> str | None:
    import pynvml

    try:
        pynvml.nvmlInit()
        driver = pynvml.nvmlSystemGetDriverVersion()
    except pynvml.NVMLError:
        return None
    return driver.decode() if isinstance(driver, bytes) else str(driver)


def _flags(device: torch.device) -> Flags:
    flags: Flags = {"threads": torch.get_num_threads()}
    if device.type == "cpu":
        return flags | {
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "freed_memory_kept": keep_freed_memory(),
        }
    return flags | {
        "matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_allow_tf32": torch.backends.cudnn.allow_tf32,
    }
