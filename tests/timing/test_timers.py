import pytest
import torch

from scaleprof.timing import Timer
from scaleprof.timing.memory import accelerator_peak, process_peak, reset_process_peak
from scaleprof.timing.timers import AcceleratorTimer, CpuTimer


class FakeEvent:
    """Stands for ``torch.Event``: two of them are always 6 ms apart."""

    def __init__(self, device, *, enable_timing):
        assert enable_timing

    def record(self):
        pass

    def elapsed_time(self, other):
        return 6.0


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
    monkeypatch.setattr(torch, "Event", FakeEvent)
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


def test_the_devices_own_time_is_kept_beside_the_hosts(accelerator):
    looks = []
    timer = AcceleratorTimer(lambda: None, torch.device("meta"), between=lambda: looks.append(1))
    host = timer.time(3)
    timer.time(1)
    assert timer.device_s == pytest.approx([0.002, 0.006])
    assert len(timer.enqueue_s) == len(looks) == 2
    assert 0 < timer.enqueue_s[0] <= host / 3


def test_a_device_without_events_that_tell_time_is_timed_by_the_host(accelerator, monkeypatch):
    def no_events(device, *, enable_timing):
        raise RuntimeError("events are not there\nsecond line")

    monkeypatch.setattr(torch, "Event", no_events)
    timer = AcceleratorTimer(lambda: None, torch.device("meta"))
    assert timer.time(2) > 0
    assert timer.device_s == []
    assert timer.no_events == "events are not there"


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
    # glibc serves blocks of up to 32 MiB from memory that earlier tests freed and that is still
    # resident; a larger one is always mapped anew
    block = torch.ones(64 * 2**20 // 4)
    del block
    assert process_peak() - before > 60 * 2**20
