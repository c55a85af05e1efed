"""The benchmark of kernels on a GPU that follows a script; `test_on_gpu.py` has a real one."""

import pytest
import scripted_cuda
import torch

from scaleprof_kernels import bench as timing
from scaleprof_kernels.bench import bench, repetitions, time_or_reason
from scaleprof_kernels.bench_aggregation import PASSES, TAILS, bench_aggregation
from scaleprof_kernels.check import same_size
from scaleprof_kernels.check_aggregation import aggregation

PROBLEM = same_size(batch=2, channels=3, size=(6, 5), kernel=(3, 3), dtype=torch.float32)


@pytest.fixture
def cuda(monkeypatch):
    device = scripted_cuda.scripted_accelerator(monkeypatch)
    with scripted_cuda.OnCpu():
        yield device


def test_a_call_is_its_share_of_a_graph_on_inputs_that_left_the_cache(cuda):
    calls = []
    sets = [(torch.full((1,), float(i)),) for i in range(8)]
    samples, failure = time_or_reason(lambda x: calls.append(int(x)) or x, sets)
    assert failure is None
    # twice to warm up and once to know that a call takes 6 ms; so three in a graph of 20 ms, and
    # 0.3 s for replays of 18 ms
    assert calls == [0, 0, 0, 0, 1, 2]
    assert samples == pytest.approx([6e-3 / 3] * 16)
    assert cuda.log.count("replay") == 5 + 16


def test_what_raises_is_a_reason_and_the_device_is_left_idle(cuda):
    def broken(x):
        raise RuntimeError("CUDA error: out of memory\nmore")

    assert time_or_reason(broken, [(torch.ones(1),)]) == (
        (),
        "RuntimeError: CUDA error: out of memory",
    )
    assert cuda.log[-1] == "synchronize"


def test_a_device_that_answers_no_more_is_a_reason_too(cuda, monkeypatch):
    def gone():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "synchronize", gone)
    samples, failure = time_or_reason(lambda x: x, [(torch.ones(1),)])
    assert samples == ()
    assert failure == "RuntimeError: CUDA error: an illegal memory access was encountered"


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("operation", ["forward", "input_grad", "weight_grad"])
def test_every_contender_of_a_convolution_is_timed(operation, monkeypatch):
    monkeypatch.setattr(timing, "_MOST_CALLS", 4)
    found = list(bench(operation, PROBLEM, variants=()))
    assert [t.contender for t in found] == ["copy", "torch NCHW", "torch NHWC"]
    assert all(t.failure is None for t in found), found
    assert all(t.median_s == pytest.approx(6e-3 / 3) for t in found)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("operation", [*PASSES, *TAILS])
def test_every_contender_of_an_aggregation_is_timed(operation):
    given = aggregation(batch=1, channels=4, groups=2, size=(4, 3), dtype="float32")
    found = list(bench_aggregation(operation, given))
    assert {"copy", "ours"} < {t.contender for t in found}
    assert all(t.failure is None for t in found), found


@pytest.mark.parametrize(
    ("call_s", "most", "want"),
    [
        pytest.param(1e-5, 16, (16, 5, 25), id="fast: all sets, most replays"),
        pytest.param(5e-3, 16, (4, 5, 15), id="a graph of 20 ms, replays of 0.3 s"),
        pytest.param(2.0, 4, (1, 1, 5), id="slow: a call, and the fewest replays"),
    ],
)
def test_what_is_slow_is_called_less_often(call_s, most, want):
    assert repetitions(call_s, most) == want
