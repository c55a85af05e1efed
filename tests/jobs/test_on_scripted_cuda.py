"""What measures on a GPU, on one that follows a script; `test_on_gpu.py` has a real one."""

import itertools
from types import SimpleNamespace

import pynvml
import pytest
import scripted_cuda
import torch

from scaleprof.errors import DeviceError
from scaleprof.jobs import DeviceRequest, MeasureRequest, ModulesRequest, NamesRequest
from scaleprof.jobs import _measure as measure_job
from scaleprof.jobs._devices import device_names, inspect_device
from scaleprof.jobs._measure import describe, measure_variant
from scaleprof.jobs._modules import time_modules
from scaleprof.models import ConstructorCall
from scaleprof.records import InputSpec
from scaleprof.timing import StoppingRule, ceilings

# enough for ten calls of warm-up and three samples
RULE = StoppingRule(max_seconds=0.02, warmup_max_seconds=0.01, min_block_seconds=0.0)
LINEAR = ConstructorCall(target="torch.nn:Linear", arguments={"in_features": 8, "out_features": 8})


@pytest.fixture
def cuda(monkeypatch):
    device = scripted_cuda.scripted_accelerator(monkeypatch)
    with scripted_cuda.OnCpu():
        yield device


@pytest.fixture
def nvml(monkeypatch):
    return scripted_cuda.scripted_nvml(monkeypatch)


@pytest.fixture
def short(monkeypatch):
    """A tenth of a second for energy, in which NVML's clock and counter agree with its power."""
    monkeypatch.setattr(measure_job, "_ENERGY_SECONDS", 0.1)


def request(**changes):
    settings = {
        "call": LINEAR,
        "inputs": (InputSpec(shape=(4, 8)),),
        "dtype": "float32",
        "device": "cuda:0",
        "channels_last": False,
        "rule": RULE,
    }
    return MeasureRequest(**(settings | changes))


@pytest.mark.usefixtures("short")
def test_latency_on_both_clocks_memory_and_the_state_of_the_gpu_are_kept(cuda, nvml):
    got = measure_variant(request())
    samples = got.samples.samples
    assert len(got.device_s) == len(got.enqueue_s) == len(samples) >= 3
    calls = got.samples.calls_per_sample
    assert got.device_s == pytest.approx([1e-3 * scripted_cuda.EVENT_MS / calls] * len(samples))
    assert all(
        0 < enqueue <= sample for enqueue, sample in zip(got.enqueue_s, samples, strict=True)
    )
    assert (got.allocated, got.reserved, got.process) == (100, 200, None)
    assert (got.gpu.sm_mhz, got.gpu.reference_mhz, got.gpu.power_w) == (1980, 1755, 260.0)
    assert not got.disturbed
    assert got.no_events is None
    # everything is made on the device that was asked for, after NVML was asked who is there
    assert cuda.log[0] == "device 0"


@pytest.mark.usefixtures("cuda", "short")
def test_another_process_on_the_gpu_disturbs(nvml):
    nvml["ComputeRunningProcesses"].append(SimpleNamespace(pid=2**30))
    got = measure_variant(request())
    assert got.contended
    assert got.gpu.foreign_processes == 1


@pytest.mark.usefixtures("cuda", "short")
def test_a_gpu_below_its_clock_disturbs_and_says_why(nvml):
    nvml["ClockInfo"] = 1000
    nvml["CurrentClocksThrottleReasons"] = pynvml.nvmlClocksThrottleReasonHwThermalSlowdown
    got = measure_variant(request())
    assert got.disturbed
    assert not got.contended
    assert got.gpu.throttled
    assert got.gpu.throttle_reasons == ("heat",)


@pytest.mark.usefixtures("cuda", "short")
def test_energy_is_that_of_a_call(nvml, monkeypatch):
    # every look at the clock is 10 ms later, and the counter grows with it by 260 W, in millijoules
    ticks = itertools.count()
    now = SimpleNamespace(perf_counter=lambda: 0.01 * next(ticks))
    monkeypatch.setattr(measure_job, "time", now)
    counter = iter([0, 26_000])
    nvml["TotalEnergyConsumption"] = lambda: next(counter)
    side = measure_job._GpuSide(torch.device("cuda:0"))
    calls = []
    got = side.energy(lambda: calls.append(1))
    # the clock: begin at 0.00 s, then 0.01 to 0.09 s with a call each, and 0.10 s, which ends it
    assert len(calls) == 9
    # 26 J in 0.1 s at 260 W
    assert got.joules == pytest.approx(26 / 9)


@pytest.mark.usefixtures("cuda", "short")
def test_without_nvml_the_rest_is_measured(monkeypatch):
    def missing():
        raise pynvml.NVMLError_LibraryNotFound

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    got = measure_variant(request())
    assert got.gpu is None
    assert not got.disturbed
    assert (got.energy.joules, got.energy.reason) == (None, "NVML cannot be reached")
    assert describe(DeviceRequest(name="cuda:0")).device.driver is None


# torch warns that an optimizer for graphs steps outside of one, which the warm-up is for
@pytest.mark.filterwarnings("ignore:This instance was constructed with capturable")
@pytest.mark.usefixtures("short", "nvml")
@pytest.mark.parametrize("step", ["inference", "training"])
def test_a_graph_is_captured_after_a_warm_up_aside_and_replayed(cuda, step):
    got = measure_variant(request(mode="graph", step=step))
    assert min(got.samples.samples) > 0
    begin = cuda.log.index("reset")
    # the peak is that of the capture: a replay allocates nothing
    assert cuda.log[begin : begin + 4] == ["reset", "capture", "captured", "synchronize"]
    assert cuda.log[:begin].count("wait") == 2
    assert "reset" not in cuda.log[begin + 1 :]
    assert cuda.log.count("replay") >= got.samples.sampled_calls
    assert (got.allocated, got.reserved) == (100, 200)


def test_running_out_of_memory_while_measuring_is_raised_to_the_worker(cuda, nvml):
    def out_of_memory(index):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    cuda.set_device_index = out_of_memory
    with pytest.raises(torch.OutOfMemoryError):
        measure_variant(request())


@pytest.mark.usefixtures("cuda", "nvml")
def test_modules_are_timed_by_events():
    # the model itself is a module without children: its path is that of no module
    shares = time_modules(ModulesRequest(variant=request(), depth=1, passes=2)).shares
    assert shares == {}
    call = ConstructorCall(
        target="scaleprof.models.calibration:CalibrationNet", arguments={"width": 1, "depth": 1}
    )
    variant = request(call=call, inputs=(InputSpec(shape=(1, 3, 32, 32)),))
    shares = time_modules(ModulesRequest(variant=variant, depth=1, passes=2)).shares
    # events: the pass, layers in, layers out, head in, head out, the pass; each one tick of five
    assert shares["head"] == pytest.approx(1 / 5)


@pytest.mark.usefixtures("cuda", "nvml")
def test_a_device_is_described_with_its_driver():
    state = describe(DeviceRequest(name="cuda:0"))
    assert (state.name, state.device.name) == ("cuda:0", "NVIDIA H100 80GB HBM3")
    assert (state.device.memory_bytes, state.device.driver) == (80 * scripted_cuda.GIB, "580.1")
    assert {"matmul_precision", "cudnn_benchmark", "cudnn_allow_tf32"} <= state.flags.keys()
    assert device_names(NamesRequest()).names == ("cpu", "cuda:0")


@pytest.fixture
def small_ceilings(monkeypatch):
    monkeypatch.setattr(ceilings, "_COPIED_BYTES", 2**12)
    monkeypatch.setattr(ceilings, "_ACCELERATOR_MATRIX", 16)
    monkeypatch.setattr(ceilings, "_RULE", RULE)


@pytest.mark.usefixtures("cuda", "small_ceilings")
def test_a_gpu_is_inspected_at_rest(nvml):
    nvml["PersistenceMode"] = 0
    seen = inspect_device(DeviceRequest(name="cuda:0")).found
    assert seen.ceilings.copy_bytes_per_s > 0
    assert all(rate > 0 for rate in seen.ceilings.matmul_flops_per_s.values())
    assert (seen.state["sm_mhz"], seen.state["power_w"]) == (1980, 260.0)
    assert seen.lacks.keys() == {"memory.process"}
    assert seen.advice == ("its driver is loaded anew by every process: nvidia-smi -pm 1 keeps it",)


@pytest.mark.usefixtures("cuda", "small_ceilings")
def test_what_nvml_may_not_tell_is_said(nvml, monkeypatch):
    del nvml["TotalEnergyConsumption"]
    lacks = inspect_device(DeviceRequest(name="cuda:0")).found.lacks
    assert lacks["energy"] == "the GPU has no energy counter that may be read"

    def denied(name):
        raise pynvml.NVMLError_NoPermission

    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", denied)
    lacks = inspect_device(DeviceRequest(name="cuda:0")).found.lacks
    assert {"clocks", "energy", "throttling"} <= lacks.keys()
    assert lacks["clocks"] == "NVML: Insufficient Permissions"


@pytest.mark.usefixtures("cuda", "nvml", "small_ceilings")
def test_a_type_that_a_device_does_not_multiply_has_no_rate_and_a_reason(monkeypatch):
    rate = ceilings._matmul_rate

    def without_halves(device, dtype):
        if dtype is torch.float16:
            raise RuntimeError("not implemented for 'Half'\nmore")
        return rate(device, dtype)

    monkeypatch.setattr(ceilings, "_matmul_rate", without_halves)
    found = inspect_device(DeviceRequest(name="cuda:0")).found.ceilings
    assert found.matmul_flops_per_s["float16"] is None
    assert found.reasons == {"matmul_flops_per_s.float16": "not implemented for 'Half'"}


@pytest.mark.usefixtures("cuda", "nvml", "short")
def test_the_share_of_large_convolutions_is_told_by_events():
    call = ConstructorCall(
        target="scaleprof.models.calibration:CalibrationNet", arguments={"width": 2, "depth": 1}
    )
    images = (InputSpec(shape=(1, 3, 32, 32)),)
    given = request(call=call, inputs=images, kernels="triton", channels_last=True)
    use = measure_variant(given).kernels
    # four blocks, each with one such convolution; events: the pass, in and out of each, the pass
    assert sum(use.calls.values()) == 4
    assert use.share == pytest.approx(4 / 9, abs=1e-4)


@pytest.mark.usefixtures("small_ceilings")
def test_another_accelerator_is_inspected_and_what_it_lacks_is_said(monkeypatch):
    xpu = scripted_cuda.scripted_accelerator(monkeypatch, "xpu")
    monkeypatch.setattr(torch, "get_device_module", lambda device: SimpleNamespace())

    def untold(device):
        raise NotImplementedError("no statistics\nmore")

    def untimed(device, *, enable_timing):
        raise RuntimeError("no events")

    xpu.max_memory_allocated = untold
    monkeypatch.setattr(torch, "Event", untimed)
    with scripted_cuda.OnCpu():
        found = inspect_device(DeviceRequest(name="xpu:0")).found
        with pytest.raises(DeviceError, match="there is no device `xpu:1`"):
            describe(DeviceRequest(name="xpu:1"))
    unknown = "no counters of a xpu device are known"
    assert found.lacks == {
        "memory.process": "the device has memory of its own",
        "memory.allocated": "no statistics",
        "device_s": "no events",
        "mode graph": "needs a CUDA device",
        **dict.fromkeys(("clocks", "energy", "throttling"), unknown),
    }
    assert found.ceilings.copy_bytes_per_s > 0
