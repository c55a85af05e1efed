"""Jobs that touch a device: describe it, and measure one variant on it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..devices import DeviceState
from ..devices.describe import describe_device
from ..models import build_module, kernel_name, use_kernels
from ..records import InputSpec, KernelUse
from ..timing import Samples, Timer, measure
from ..timing.contention import Load, LoadWatch
from ..timing.memory import accelerator_peak, process_peak, reset_process_peak
from ..timing.share import count_calls, share_of_time
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
        model = _Model(request)
        samples, load = _watched(CpuTimer(model.run), request)
        after = process_peak()
        kernels = model.kernel_use()
    grown = after - before if after is not None and before is not None else None
    return MeasureReply(
        samples=samples,
        foreign_cores=load.foreign_cores,
        contended=load.contended,
        allocated=None,
        reserved=None,
        process=grown,
        kernels=kernels,
    )


def _watched(timer: Timer, request: MeasureRequest) -> tuple[Samples, Load]:
    """Measure, and watch the cores while samples are taken: compilers at the start are ours."""
    watches: list[LoadWatch] = []
    samples = measure(timer, request.rule, on_sampling=lambda: watches.append(LoadWatch()))
    return samples, watches[0].load()


def _measure_on_accelerator(request: MeasureRequest) -> MeasureReply:
    device = torch.device(request.device)
    with torch.inference_mode():
        model = _Model(request)
        samples, load = _watched(AcceleratorTimer(model.run, device), request)
        allocated, reserved = accelerator_peak(model.run, device)
        kernels = model.kernel_use()
    return MeasureReply(
        samples=samples,
        foreign_cores=load.foreign_cores,
        # the model runs elsewhere: a busy host shows in the samples' spread, if at all
        contended=False,
        allocated=allocated,
        reserved=reserved,
        process=None,
        kernels=kernels,
    )


class _Model:
    """A variant on its device, with inputs, ready to run."""

    def __init__(self, request: MeasureRequest) -> None:
        self._request = request
        self._device = torch.device(request.device)
        module = build_module(request.call).eval()
        self._operators = use_kernels(module, request.kernels)
        module = module.to(self._device, getattr(torch, request.dtype))
        self._args, self._kwargs = _random_inputs(request.inputs, self._device, request.seed)
        if request.channels_last:
            module = module.to(memory_format=torch.channels_last)
            self._args = tuple(_channels_last(tensor) for tensor in self._args)
        self._module: Any = module
        self._compiled: Any = torch.compile(module) if request.compiled else module

    def run(self) -> Any:
        """Run one forward pass."""
        return self._compiled(*self._args, **self._kwargs)

    def _run_in_parts(self) -> Any:
        return self._module(*self._args, **self._kwargs)

    def kernel_use(self) -> KernelUse:
        """Tell what ran the operators that torch and our kernels both have, and how long."""
        kernels, operators = self._request.kernels, self._operators.values()
        if not operators:
            return KernelUse(kernels=kernels, calls={}, share=0.0)
        calls = dict(count_calls(self._run_in_parts, operators, kernel_name))
        reason = _no_share(self._request)
        if reason is not None:
            return KernelUse(kernels=kernels, calls=calls, reason=reason)
        share = share_of_time(self._run_in_parts, operators, self._device)
        return KernelUse(kernels=kernels, calls=calls, share=round(min(share, 1.0), 4))


def _no_share(request: MeasureRequest) -> str | None:
    """Why the time of single operators cannot be read, if so."""
    if request.compiled:
        return "a compiled model runs as a whole"
    if torch.device(request.device).type not in {"cpu", "cuda"}:
        return f"operators are not timed on {request.device}"
    return None


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
