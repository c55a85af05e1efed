"""What is timed: a forward pass or a training step of a model, eager, compiled or as a graph."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..costs import mean_square
from ..devices.allocator import keep_freed_memory
from ..errors import DeviceError
from ..models import build_module, kernel_name, use_kernels
from ..records import InputSpec, KernelUse
from ..timing.memory import accelerator_peak
from ..timing.share import count_calls, share_of_time
from ._requests import MeasureRequest
from ._weights import RepeatedDraws

Step = Callable[[], Any]

# calls on a side stream before a CUDA graph is captured, as torch's documentation asks for
_CALLS_BEFORE_CAPTURE = 3


def set_up_cpu() -> None:
    """Set what every process that runs models on a CPU is measured under."""
    # denormal numbers, which random weights can lead to, slow a CPU down tenfold
    torch.set_flush_denormal(True)
    keep_freed_memory()


class Prepared:
    """A variant on its device, with inputs, ready to run.

    It builds and runs in torch's present mode: without gradients, that is `torch.inference_mode`.

    Args:
        request: What is measured.

    Attributes:
        module: The model, as it was built.
        step: Runs what is measured once.
        captured_peak: Allocated and reserved peak in bytes of a step while it was captured as a
            graph, whose replays allocate nothing; None in other modes.

    Raises:
        DeviceError: If the mode needs another device.
        Exception: What the model raises.
    """

    def __init__(self, request: MeasureRequest) -> None:
        device = torch.device(request.device)
        with RepeatedDraws():  # type: ignore[no-untyped-call]
            module = build_module(request.call)
        self._request = request
        self._operators = use_kernels(module, request.kernels)
        module = module.to(device, getattr(torch, request.dtype))
        args, kwargs = _random_inputs(request.inputs, device, request.seed)
        if request.channels_last:
            module = module.to(memory_format=torch.channels_last)
            args = tuple(_channels_last(tensor) for tensor in args)
        module.train(request.step == "training")
        self.module = module
        self._forward: Step = functools.partial(module, *args, **kwargs)
        run: Any = torch.compile(module) if request.mode == "compile" else module
        step: Step = functools.partial(run, *args, **kwargs)
        if module.training:
            step = _training_step(module, step, capturable=request.mode == "graph")
        self.step, self.captured_peak = step, None
        if request.mode == "graph":
            self.step, self.captured_peak = _captured(step, device)

    def kernel_use(self) -> KernelUse | None:
        """Tell what ran the operators that torch and our kernels both have, and how long.

        Returns:
            None if that was not asked for.
        """
        request = self._request
        if not request.attribute:
            return None
        kernels, operators = request.kernels, self._operators.values()
        if not operators:
            return KernelUse(kernels=kernels, calls={}, share=0.0)
        calls = dict(count_calls(self._forward, operators, kernel_name))
        if request.why_opaque is not None:
            return KernelUse(kernels=kernels, calls=calls, reason=request.why_opaque)
        share = share_of_time(self._forward, operators, torch.device(request.device))
        return KernelUse(kernels=kernels, calls=calls, share=round(min(share, 1.0), 4))


def _training_step(module: nn.Module, forward: Step, *, capturable: bool) -> Step:
    """Forward, backward and AdamW: what a step of training costs whatever the loss is.

    Args:
        module: What is trained.
        forward: Its forward pass.
        capturable: Whether a graph is to hold the step, whose counter then lies on the device.
    """
    optimizer = torch.optim.AdamW(module.parameters(), capturable=capturable)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        mean_square(forward()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def present_device(name: str) -> torch.device:
    """Return a device, after making it the one that streams, events and graphs are made on."""
    device = torch.device(name)
    if device.type != "cpu":
        torch.accelerator.set_device_index(device.index or 0)
    return device


def _captured(step: Step, device: torch.device) -> tuple[Step, tuple[int, int]]:
    """Capture a step as a CUDA graph; return its replay, and the peak of memory of the capture."""
    if device.type != "cuda":
        raise DeviceError("mode graph needs a CUDA device", hint="use --mode eager or compile")
    stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(_CALLS_BEFORE_CAPTURE):
            step()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()

    def capture() -> None:
        with torch.cuda.graph(graph, stream=stream):
            step()

    peak = accelerator_peak(capture, device)
    return graph.replay, peak


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
