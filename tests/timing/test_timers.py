import pytest
import torch

from scaleprof.timing import Timer
from scaleprof.timing.memory import accelerator_peak, process_peak, reset_process_peak
from scaleprof.timing.timers import AcceleratorTimer, CpuTimer


class FakeAccelerator:
    """Stands for ``torch.accelerator``: notes what is asked of it."""

    def __init__(self):
        self.log = []
        self.memory = self

    def synchronize(self, device):
        self.log.append("synchronize")

    def reset_peak_memory_stats(self, device):
        self.log.append("reset")

    def max_memory_allocated(self, device):
        return 100

    def max_memory_reserved(self, device):
        return 200


@pytest.fixture
def accelerator(monkeypatch):
    fake = FakeAccelerator()
    monkeypatch.setattr(torch, "accelerator", fake)
    return fake


def test_the_cpu_timer_runs_every_call():
    calls = []
    timer = CpuTimer(lambda: calls.append(1))
    assert isinstance(timer, Timer)
    assert timer.time(3) > 0
    assert len(calls) == 3
    assert timer.elapsed() > 0


def test_the_accelerator_is_idle_before_and_after_what_is_timed(accelerator):
    timer = AcceleratorTimer(lambda: accelerator.log.append("call"), torch.device("meta"))
    assert isinstance(timer, Timer)
    timer.time(2)
    assert accelerator.log == ["synchronize", "call", "call", "synchronize"]


def test_the_peak_is_that_of_one_call_alone(accelerator):
    got = accelerator_peak(lambda: accelerator.log.append("call"), torch.device("meta"))
    assert got == (100, 200)
    assert accelerator.log == ["synchronize", "reset", "call", "synchronize"]


def test_what_the_timers_use_of_torch_is_there():
    for name in ("synchronize", "current_accelerator", "device_count"):
        assert callable(getattr(torch.accelerator, name))
    for name in ("reset_peak_memory_stats", "max_memory_allocated", "max_memory_reserved"):
        assert callable(getattr(torch.accelerator.memory, name))


def test_the_peak_of_the_process_grows_with_what_it_touches():
    before = reset_process_peak()
    if before is None:
        pytest.skip("this system does not tell the peak of a process")
    block = torch.ones(30 * 2**20 // 4)
    del block
    assert process_peak() - before > 25 * 2**20
