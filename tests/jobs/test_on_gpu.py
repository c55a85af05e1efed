"""What measures on a GPU, on a real one: the counterpart of `test_on_scripted_cuda.py`."""

import sys

import pytest
import torch

pytest.importorskip("msgspec")
pytest.importorskip("psutil")
pytest.importorskip("pynvml")

from scaleprof.devices import DeviceState
from scaleprof.jobs import (
    DEVICE,
    MEASURE,
    DeviceRequest,
    MeasureReply,
    MeasureRequest,
    ModulesRequest,
)
from scaleprof.jobs._devices import inspect_device
from scaleprof.jobs._measure import describe, measure_variant
from scaleprof.jobs._modules import time_modules
from scaleprof.models import ConstructorCall
from scaleprof.profiler._crew import Crew
from scaleprof.records import InputSpec
from scaleprof.timing import StoppingRule, measure
from scaleprof.timing.timers import AcceleratorTimer
from scaleprof.workers import Done, Limits, WorkerServer

from workers import jobs  # isort: skip - from the tests' own folder

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]

NET = ConstructorCall(target="scaleprof.models.calibration:CalibrationNet")
LIMITS = Limits(seconds=120.0)
RULE = StoppingRule(max_seconds=0.3, warmup_max_seconds=0.2)


def request(**changes):
    settings = {
        "call": NET,
        "inputs": (InputSpec(shape=(8, 3, 128, 128), dtype="float16"),),
        "dtype": "float16",
        "device": "cuda:0",
        "channels_last": False,
        "rule": RULE,
    }
    return MeasureRequest(**(settings | changes))


def test_both_clocks_agree_with_tritons_on_a_large_product():
    testing = pytest.importorskip("triton.testing")
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    timer = AcceleratorTimer(lambda: a @ b, torch.device("cuda:0"))
    samples = sorted(measure(timer, StoppingRule(max_seconds=1.0)).samples)
    host, device = samples[len(samples) // 2], sorted(timer.device_s)[len(timer.device_s) // 2]
    theirs = 1e-3 * testing.do_bench(lambda: a @ b, return_mode="median")
    # 1.4 ms on an H100; other tests use the device meanwhile, so that only gross errors show
    assert device <= host
    assert 0.5 < device / theirs < 2
    assert timer.no_events is None


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("step", ["inference", "training"])
def test_a_model_is_measured_in_time_and_memory(mode, step):
    got = measure_variant(request(mode=mode, step=step))
    assert min(got.samples.samples) > 0
    assert len(got.device_s) == len(got.enqueue_s) == len(got.samples.samples)
    weights = 2 * sum(p.numel() for p in net().parameters())
    assert weights < got.allocated <= got.reserved
    assert (got.energy.joules is None) == (got.energy.reason is not None)
    assert got.gpu is None or got.gpu.sm_mhz is None or got.gpu.sm_mhz > 0


def test_a_graph_needs_as_much_memory_as_the_same_model_without():
    eager, graph = (measure_variant(request(mode=mode)) for mode in ("eager", "graph"))
    # work spaces of libraries lie in one pool or the other
    assert graph.allocated == pytest.approx(eager.allocated, rel=0.5)


def test_a_compiled_model_is_measured():
    assert min(measure_variant(request(mode="compile")).samples.samples) > 0


def test_our_kernels_run_and_their_share_is_known():
    pytest.importorskip("triton")
    use = measure_variant(request(kernels="triton")).kernels
    assert use.kernels == "triton"
    assert use.calls
    assert 0 < use.share <= 1


def test_modules_share_the_time_of_a_pass():
    shares = time_modules(ModulesRequest(variant=request(), depth=1, passes=5)).shares
    assert shares.keys() == {"layers", "head"}
    assert 0.5 < sum(shares.values()) <= 1.05


def test_the_device_is_described_and_its_ceilings_are_measured():
    found = inspect_device(DeviceRequest(name="cuda:0")).found
    # any GPU since 2017 copies more, and multiplies faster
    assert found.ceilings.copy_bytes_per_s > 1e11
    assert found.ceilings.matmul_flops_per_s["float16"] > 1e12
    assert 1e-7 < found.ceilings.launch_s < 1e-3
    assert found.device.memory_bytes > 2**30
    assert describe(DeviceRequest(name="cuda")).name == "cuda:0"


@pytest.fixture
def spawned():
    with WorkerServer(preload=["torch"], spawn=True) as running:
        yield running


def test_a_worker_measures_and_the_parent_does_not_need_the_device(spawned):
    got = spawned.run(
        "scaleprof.jobs._measure:measure_variant", request(), MeasureReply, limits=LIMITS
    )
    assert isinstance(got, Done), got
    assert got.reply.allocated > 0


@pytest.mark.parametrize(
    ("name", "status"), [("fills_the_gpu", "out_of_memory"), ("breaks_the_gpu", "raised")]
)
def test_what_ends_badly_on_the_gpu_is_an_outcome_and_the_next_job_runs(spawned, name, status):
    outcome = spawned.run(f"workers.jobs:{name}", jobs.Request(), jobs.Reply, limits=LIMITS)
    assert outcome.status == status, outcome
    after = spawned.run("workers.jobs:uses_the_gpu", jobs.Request(), jobs.Reply, limits=LIMITS)
    assert after.reply.number == 6


def net():
    module, _, name = NET.target.partition(":")
    return getattr(sys.modules[module], name)()


def test_workers_fork_from_a_server_that_imports_model_libraries_and_touches_no_gpu():
    with Crew(["timm"], device="cuda:0") as crew:
        told = crew.measure(DEVICE, DeviceRequest(name="cuda:0"), DeviceState)
        measured = crew.measure(MEASURE, request(), MeasureReply)
        assert isinstance(told, Done)
        assert isinstance(measured, Done)
        assert crew._forks
