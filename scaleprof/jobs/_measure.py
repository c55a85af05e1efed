"""Jobs that touch a device: describe it, and measure one variant on it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..devices import DeviceState
from ..devices.describe import describe_device
from ..models import build_module
from ..records import InputSpec
from ..timing import Samples, Timer, measure
from ..timing.contention import Load, LoadWatch
from ..timing.memory import accelerator_peak, process_peak, reset_process_peak
from ..timing.timers import AcceleratorTimer, CpuTimer
from ._requests import DeviceRequest, MeasureReply, MeasureRequest


def describe(request: DeviceRequest) -> DeviceState:
    """Describe a device."""
    return describe_device(request.name, libraries=request.libraries)


def measure_variant(request: MeasureRequest) -> MeasureReply:
    """Build a variant, run it until its latency is known, and read its memory."""
    torch.manual_seed(request.seed)
    if request.device == "cpu":
        return _measure_on_cpu(request)
    return _measure_on_accelerator(request)


def _measure_on_cpu(request: MeasureRequest) -> MeasureReply:
    # denormal numbers, which random weights can lead to, slow a CPU down tenfold
    torch.set_flush_denormal(True)
    before = reset_process_peak()
    with torch.inference_mode():
        timer = CpuTimer(_forward(request))
        samples, load = _watched(timer, request)
    after = process_peak()
    grown = after - before if after is not None and before is not None else None
    return MeasureReply(
        samples=samples,
        foreign_cores=load.foreign_cores,
        contended=load.contended,
        allocated=None,
        reserved=None,
        process=grown,
    )


def _watched(timer: Timer, request: MeasureRequest) -> tuple[Samples, Load]:
    """Measure, and watch the cores while samples are taken: compilers at the start are ours."""
    watches: list[LoadWatch] = []
    samples = measure(timer, request.rule, on_sampling=lambda: watches.append(LoadWatch()))
    return samples, watches[0].load()


def _measure_on_accelerator(request: MeasureRequest) -> MeasureReply:
    device = torch.device(request.device)
    with torch.inference_mode():
        forward = _forward(request)
        samples, load = _watched(AcceleratorTimer(forward, device), request)
        allocated, reserved = accelerator_peak(forward, device)
    return MeasureReply(
        samples=samples,
        foreign_cores=load.foreign_cores,
        # the model runs elsewhere: a busy host shows in the samples' spread, if at all
        contended=False,
        allocated=allocated,
        reserved=reserved,
        process=None,
    )


def _forward(request: MeasureRequest) -> Callable[[], Any]:
    """Build the model and its inputs on the device and return one forward pass."""
    device = torch.device(request.device)
    module = build_module(request.call).eval().to(device, getattr(torch, request.dtype))
    args, kwargs = _random_inputs(request.inputs, device, request.seed)
    if request.channels_last:
        module = module.to(memory_format=torch.channels_last)
        args = tuple(_channels_last(tensor) for tensor in args)
    run: Any = torch.compile(module) if request.compiled else module
    return lambda: run(*args, **kwargs)


def _random_inputs(
    inputs: Sequence[InputSpec], device: torch.device, seed: int
) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Random inputs: zeros would let hardware skip work and save power."""
    generator = torch.Generator().manual_seed(seed)

    def tensor(spec: InputSpec) -> Tensor:
        dtype = getattr(torch, spec.dtype)
        if spec.high is not None:
            return torch.randint(spec.high, spec.shape, generator=generator, dtype=dtype).to(device)
        return torch.randn(spec.shape, generator=generator).to(device, dtype)

    args = tuple(tensor(spec) for spec in inputs if spec.name is None)
    return args, {spec.name: tensor(spec) for spec in inputs if spec.name is not None}


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
