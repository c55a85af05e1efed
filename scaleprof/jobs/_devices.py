"""Jobs that look at the devices of a machine."""

import time
from typing import NamedTuple

import msgspec
import pynvml
import torch

from ..devices import DeviceState
from ..devices.conditions import State, cpu_advice, cpu_state, gpu_advice
from ..devices.describe import describe_device
from ..devices.nvml import Gpu
from ..devices.rapl import UNREADABLE, package_energies_j
from ..records import FoundDevice
from ..timing.ceilings import measure_ceilings
from ..timing.contention import LoadWatch
from ..timing.timers import AcceleratorTimer
from ._forward import present_device
from ._requests import DeviceNames, DeviceRequest, Inspection, NamesRequest

_LOOK_SECONDS = 0.5


def device_names(request: NamesRequest) -> DeviceNames:  # noqa: ARG001 - jobs take one
    """List the devices that torch can use."""
    found = torch.accelerator.current_accelerator(check_available=True)
    count = torch.accelerator.device_count() if found is not None else 0
    others = [f"{found.type}:{i}" for i in range(count)] if found is not None else []
    return DeviceNames(names=("cpu", *others))


def inspect_device(request: DeviceRequest) -> Inspection:
    """Measure what a device does at most, and see how it is set and used."""
    state = describe_device(request.name)
    # at rest first: what it says of itself while it is measured is about us
    seen = _cpu(state) if state.name == "cpu" else _accelerator(state.name)
    found = FoundDevice(
        name=state.name,
        device=state.device,
        ceilings=measure_ceilings(torch.device(state.name)),
        settings=state.flags,
        state=seen.state,
        lacks=seen.lacks,
        advice=tuple(seen.advice),
    )
    return Inspection(found=found, state=state)


class _Seen(NamedTuple):
    """How a device is now, what cannot be measured on it, and what to do."""

    state: State
    lacks: dict[str, str]
    advice: list[str]


def _cpu(device: DeviceState) -> _Seen:
    watch = LoadWatch()
    time.sleep(_LOOK_SECONDS)
    state = cpu_state() | {"foreign_cores": round(watch.load().foreign_cores, 2)}
    lacks = {
        "memory.allocated": "torch does not track allocations on a CPU; memory is the static plan",
        "clocks": "a CPU has one clock per core, which changes faster than it can be read",
    }
    if package_energies_j() is None:
        lacks["energy"] = UNREADABLE
    threads = int(device.flags["threads"])
    cores = device.device.cores or threads
    return _Seen(state, lacks, cpu_advice(state, threads=threads, cores=cores))


def _accelerator(name: str) -> _Seen:
    # before anything computes there
    gpu = _nvidia(torch.device(name))
    lacks = _lacking(present_device(name))
    if isinstance(gpu, str):
        lacks |= dict.fromkeys(("clocks", "energy", "throttling"), gpu)
        return _Seen({}, lacks, [])
    now = gpu.state()
    state: State = {
        key: ", ".join(value) if isinstance(value, tuple) else value
        for key, value in msgspec.structs.asdict(now).items()
    }
    if gpu.energy_j() is None:
        lacks["energy"] = "the GPU has no energy counter that may be read"
    return _Seen(state, lacks, gpu_advice(now))


def _nvidia(device: torch.device) -> Gpu | str:
    """Return what NVML says of a device, or why it says nothing."""
    if device.type != "cuda":
        return f"no counters of a {device.type} device are known"
    try:
        return Gpu(str(torch.cuda.get_device_properties(device).uuid))
    except pynvml.NVMLError as error:
        return f"NVML: {error}"


def _lacking(device: torch.device) -> dict[str, str]:
    """What torch does not tell of a kind of accelerator."""
    lacks = {"memory.process": "the device has memory of its own"}
    timer = AcceleratorTimer(lambda: None, device)
    timer.time(1)
    if timer.no_events is not None:
        lacks["device_s"] = timer.no_events
    try:
        torch.accelerator.memory.max_memory_allocated(device)
    except (RuntimeError, AttributeError, NotImplementedError, AssertionError) as error:
        lacks["memory.allocated"] = str(error).splitlines()[0] or type(error).__name__
    if device.type != "cuda":
        lacks["mode graph"] = "needs a CUDA device"
    return lacks
