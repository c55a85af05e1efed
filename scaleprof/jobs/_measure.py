"""Jobs that touch a device: describe it, and measure one variant on it."""

import contextlib
import time
from collections.abc import Callable

import pynvml
import torch

from ..devices import DeviceState
from ..devices.describe import describe_device
from ..devices.nvml import Gpu, GpuWatch, plausible_energy
from ..devices.rapl import UNREADABLE, energy_between, package_energies_j
from ..records import GpuConditions
from ..timing import Samples, measure
from ..timing.contention import LoadWatch
from ..timing.memory import accelerator_peak, process_peak, reset_process_peak
from ..timing.timers import AcceleratorTimer, CpuTimer
from ..timing.yardstick import yardstick
from ._forward import Prepared, present_device, set_up_cpu
from ._requests import DeviceRequest, Energy, MeasureReply, MeasureRequest

# NVML's counter moves in steps of some 100 ms: an energy takes several of them
_ENERGY_SECONDS = 1.0


def describe(request: DeviceRequest) -> DeviceState:
    """Describe a device."""
    return describe_device(request.name, libraries=request.libraries)


def measure_variant(request: MeasureRequest) -> MeasureReply:
    """Build a variant, run it until its latency is known, and read its memory and energy."""
    torch.manual_seed(request.seed)
    with torch.inference_mode(request.step == "inference"):
        if request.device == "cpu":
            return _measure_on_cpu(request)
        return _measure_on_accelerator(request)


def _measure_on_cpu(request: MeasureRequest) -> MeasureReply:
    set_up_cpu()
    before = reset_process_peak()
    model = Prepared(request)
    timer = CpuTimer(model.step)
    watch = _SamplingWatch()
    after: int | None = None

    def beside() -> CpuTimer:
        # the peak is the model's alone, and what the yardstick takes comes later
        nonlocal after
        after = process_peak()
        return yardstick()

    samples = measure(timer, request.rule, on_sampling=watch.begin, yardstick=beside)
    load = watch.load.load()
    busy = timer.elapsed() - samples.beside_s
    return MeasureReply(
        samples=samples,
        foreign_cores=load.foreign_cores,
        contended=load.contended,
        allocated=None,
        reserved=None,
        process=after - before if after is not None and before is not None else None,
        energy=watch.energy(samples, contended=load.contended),
        busy_s=busy,
        kernels=model.kernel_use(),
    )


class _SamplingWatch:
    """Watches the cores while samples are taken: compilers at the start are ours."""

    def begin(self) -> None:
        self.load = LoadWatch()
        self._energies = package_energies_j()

    def energy(self, samples: Samples, *, contended: bool) -> Energy:
        """Energy of all packages by call; what other processes used cannot be told apart.

        The yardstick's part is taken to be its share of the time.
        """
        used = energy_between(self._energies, package_energies_j())
        if used is None:
            return Energy(reason=UNREADABLE)
        if contended:
            return Energy(reason="other processes used energy of the same packages")
        return Energy(joules=samples.share_of_model * used / samples.sampled_calls)


def _measure_on_accelerator(request: MeasureRequest) -> MeasureReply:
    # first, so that what computes on the GPU before this process does is known
    gpu = _GpuSide(torch.device(request.device))
    device = present_device(request.device)
    model = Prepared(request)
    timer = AcceleratorTimer(model.step, device, between=gpu.look)

    def begin() -> None:
        # what the warm-up took is no sample
        timer.device_s.clear()
        timer.enqueue_s.clear()
        watch.begin()
        gpu.begin()

    watch = _SamplingWatch()
    samples = measure(timer, request.rule, on_sampling=begin)
    busy = timer.elapsed()
    conditions = gpu.conditions()
    allocated, reserved = model.captured_peak or accelerator_peak(model.step, device)
    return MeasureReply(
        samples=samples,
        foreign_cores=watch.load.load().foreign_cores,
        # the model runs elsewhere: a busy host shows in the samples' spread, if at all
        contended=bool(conditions and conditions.foreign_processes),
        allocated=allocated,
        reserved=reserved,
        process=None,
        device_s=tuple(timer.device_s),
        enqueue_s=tuple(timer.enqueue_s),
        no_events=timer.no_events,
        gpu=conditions,
        energy=gpu.energy(model.step),
        busy_s=busy,
        kernels=model.kernel_use(),
    )


class _GpuSide:
    """What NVML says of an NVIDIA GPU while it is measured; nothing of other accelerators."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._gpu: Gpu | None = None
        self._watch: GpuWatch | None = None
        if device.type != "cuda":
            self._why_not = f"no energy counter of a {device.type} device is known"
            return
        self._why_not = "NVML cannot be reached"
        with contextlib.suppress(pynvml.NVMLError):
            self._gpu = Gpu(str(torch.cuda.get_device_properties(device).uuid))

    def begin(self) -> None:
        """Begin to watch."""
        if self._gpu is not None:
            self._watch = GpuWatch(self._gpu)

    def look(self) -> None:
        """Look now and then."""
        if self._watch is not None:
            self._watch.look()

    def conditions(self) -> GpuConditions | None:
        """Return what was seen."""
        return None if self._watch is None else self._watch.conditions()

    def energy(self, step: Callable[[], object]) -> Energy:
        """Run for about a second more, and return what a call takes."""
        if self._gpu is None:
            return Energy(reason=self._why_not)
        watch = GpuWatch(self._gpu)
        before, began, calls = self._gpu.energy_j(), time.perf_counter(), 0
        while (seconds := time.perf_counter() - began) < _ENERGY_SECONDS:
            step()
            torch.accelerator.synchronize(self._device)
            watch.look()
            calls += 1
        after = self._gpu.energy_j()
        grown = None if before is None or after is None else after - before
        joules, reason = plausible_energy(grown, watch.conditions().power_w, seconds)
        return Energy(joules=None if joules is None else joules / calls, reason=reason)
