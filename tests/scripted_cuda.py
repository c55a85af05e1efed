"""An accelerator that is not there: tensors stay on the CPU, and the rest follows a script."""

import contextlib
import importlib
import itertools
import os
from types import SimpleNamespace

import pynvml
import torch
from torch.overrides import TorchFunctionMode

GIB = 2**30
# apart in time that two events tell, in milliseconds
EVENT_MS = 6.0


def scripted_nvml(monkeypatch):
    """Let NVML say what the returned dictionary holds; a missing key is not supported."""
    said = {
        "ClockInfo": 1980,
        "MaxClockInfo": 1980,
        "DefaultApplicationsClock": 1755,
        "PowerUsage": 250_000,
        "FieldValues": [field_value(260_000)],
        "EnforcedPowerLimit": 700_000,
        "PersistenceMode": 1,
        "Temperature": 60,
        "CurrentClocksThrottleReasons": 0,
        "TotalEnergyConsumption": 5_000,
        "ComputeRunningProcesses": [SimpleNamespace(pid=os.getpid())],
    }

    def asking(name):
        def ask(handle, *details):
            assert handle == "GPU-1234"
            if name not in said:
                raise pynvml.NVMLError_NotSupported
            answer = said[name]
            return answer() if callable(answer) else answer

        return ask

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda name: name)
    monkeypatch.setattr(pynvml, "nvmlSystemGetDriverVersion", lambda: "580.1")
    for name in list(said):
        monkeypatch.setattr(pynvml, f"nvmlDeviceGet{name}", asking(name))
    return said


def field_value(milliwatts, status=pynvml.NVML_SUCCESS):
    return SimpleNamespace(nvmlReturn=status, value=SimpleNamespace(uiVal=milliwatts))


def scripted_accelerator(monkeypatch, kind="cuda"):
    """Put an accelerator into torch, and return what is asked of it."""
    # it derives classes from those that are replaced here
    importlib.import_module("torch._dynamo.device_interface")
    cuda = ScriptedAccelerator(kind)
    # optimizers that a graph can hold ask for a device that has graphs
    capturable = "_get_capturable_supported_devices"
    for module in ("optimizer", "adam", "adamw"):
        there = importlib.import_module(f"torch.optim.{module}")
        monkeypatch.setattr(there, capturable, lambda *_, **__: ["cpu"], raising=False)
    monkeypatch.setattr(torch, "accelerator", cuda)
    monkeypatch.setattr(torch, "Event", lambda device, *, enable_timing: Event(cuda))
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device=None: Stream(cuda))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: Stream(cuda))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: Graph(cuda))
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, *, stream=None: graph.captured())
    monkeypatch.setattr(torch.cuda, "synchronize", cuda.synchronize)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: PROPERTIES)
    generator = torch.Generator
    monkeypatch.setattr(torch, "Generator", lambda device="cpu": generator())
    return cuda


PROPERTIES = SimpleNamespace(
    uuid="1234", name="NVIDIA H100 80GB HBM3", total_memory=80 * GIB, L2_cache_size=50 * 2**20
)


class ScriptedAccelerator:
    """Stands for ``torch.accelerator``: notes what is asked of it, and knows peaks of memory."""

    def __init__(self, kind):
        self.kind = kind
        self.log = []
        self.memory = self

    def set_device_index(self, index):
        self.log.append(f"device {index}")

    def current_accelerator(self, check_available=False):
        return torch.device(self.kind)

    def device_count(self):
        return 1

    def current_stream(self):
        return Stream(self)

    def synchronize(self, device=None):
        self.log.append("synchronize")

    def reset_peak_memory_stats(self, device):
        self.log.append("reset")

    def max_memory_allocated(self, device):
        return 100

    def max_memory_reserved(self, device):
        return 200


class Event:
    """Two that follow each other are always `EVENT_MS` apart."""

    _ticks = itertools.count()

    def __init__(self, cuda=None, *, enable_timing=True):
        assert enable_timing
        self.at = None

    def record(self):
        self.at = next(self._ticks)

    def synchronize(self):
        pass

    def elapsed_time(self, other):
        return EVENT_MS * (other.at - self.at)


class Stream:
    def __init__(self, cuda):
        self._cuda = cuda

    def wait_stream(self, other):
        self._cuda.log.append("wait")

    def is_capturing(self):
        return self._cuda.log[-1] == "capture"


class Graph:
    def __init__(self, cuda):
        self._cuda = cuda

    @contextlib.contextmanager
    def captured(self):
        self._cuda.log.append("capture")
        yield
        self._cuda.log.append("captured")

    def replay(self):
        self._cuda.log.append("replay")


class OnCpu(TorchFunctionMode):
    """Whatever torch is asked to put on an accelerator stays on the CPU."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = {name: _here(value) for name, value in (kwargs or {}).items()}
        if kwargs.get("device") == "cuda":
            kwargs["device"] = "cpu"
        return function(*map(_here, args), **kwargs)


def _here(value):
    if isinstance(value, torch.device) and value.type in {"cuda", "xpu"}:
        return torch.device("cpu")
    return value
