import pytest
import torch

from scaleprof.errors import DeviceError
from scaleprof.jobs import MeasureRequest, _measure
from scaleprof.jobs._forward import Prepared
from scaleprof.jobs._measure import measure_variant
from scaleprof.models import ConstructorCall
from scaleprof.records import InputSpec
from scaleprof.timing import StoppingRule
from scaleprof.timing.timers import CpuTimer

RULE = StoppingRule(max_seconds=0.05, warmup_max_seconds=0.02)


LINEAR = ConstructorCall(target="torch.nn:Linear", arguments={"in_features": 8, "out_features": 8})


@pytest.fixture(autouse=True)
def _denormals():
    """What a worker sets for its own process is undone in this one."""
    yield
    torch.set_flush_denormal(False)


def request(**changes):
    settings = {
        "call": LINEAR,
        "inputs": (InputSpec(shape=(4, 8)),),
        "dtype": "float32",
        "device": "cpu",
        "channels_last": False,
        "rule": RULE,
    }
    return MeasureRequest(**(settings | changes))


def test_a_training_step_moves_the_weights():
    step = Prepared(request(step="training")).step
    optimizer = step.__closure__[next(
        i for i, name in enumerate(step.__code__.co_freevars) if name == "optimizer"
    )].cell_contents  # fmt: skip
    weight = optimizer.param_groups[0]["params"][0]
    before = weight.detach().clone()
    step()
    assert not torch.equal(weight, before)


@pytest.mark.parametrize("step", ["inference", "training"])
def test_what_is_measured_on_a_cpu_has_samples_and_memory(step):
    got = measure_variant(request(step=step))
    assert min(got.samples.samples) > 0
    assert got.busy_s >= sum(got.samples.samples)
    assert (got.energy.joules is None) == (got.energy.reason is not None)
    assert got.device_s == got.enqueue_s == ()


def test_the_peak_is_the_models_and_not_the_yardsticks(monkeypatch):
    def heavy():
        ballast = torch.ones(2**26)
        return CpuTimer(lambda: ballast[0])

    monkeypatch.setattr(_measure, "yardstick", heavy)
    got = measure_variant(request())
    assert got.samples.yardstick_s
    assert got.process < 2**27


def test_inference_keeps_no_gradients():
    seen = []

    def note(module, args, output):
        seen.append((torch.is_inference_mode_enabled(), module.training, output.requires_grad))

    handle = torch.nn.modules.module.register_module_forward_hook(note)
    try:
        measure_variant(request())
    finally:
        handle.remove()
    assert set(seen) == {(True, False, False)}


def test_a_graph_needs_a_cuda_device():
    with pytest.raises(DeviceError, match="mode graph needs a CUDA device"):
        Prepared(request(mode="graph"))
