"""Who works where, and within which limits."""

from types import SimpleNamespace

import psutil
import pytest

from scaleprof.devices import DeviceState
from scaleprof.jobs import DEVICE, DeviceRequest
from scaleprof.profiler._crew import Crew

GIB = 2**30


class Server:
    """Stands for a server of workers: notes the limits of what it runs, and that it was closed."""

    def __init__(self):
        self.limits, self.closed = [], False

    def run(self, job, request, reply, *, limits):
        self.limits.append(limits)

    def close(self):
        self.closed = True


@pytest.fixture
def free(monkeypatch):
    """A machine that has one GiB to spare, as one that is given memory as it asks for it says."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=GIB))


@pytest.mark.usefixtures("free")
@pytest.mark.parametrize(("device", "limit"), [("cpu", 0.8 * GIB), ("cuda:0", 16 * GIB)])
def test_a_process_on_an_accelerator_may_use_what_its_libraries_take(device, limit):
    crew, server = Crew([], device=device), Server()
    crew._forked = crew._spawned = server
    crew.measure(DEVICE, DeviceRequest(name=device), DeviceState)
    assert server.limits[0].memory_bytes == int(limit)


def test_who_is_to_measure_the_cpu_is_not_disturbed_by_who_waits():
    crew, spawned = Crew([], device="cuda:0"), Server()
    crew._spawned = spawned
    crew.uses("cuda")
    assert not spawned.closed
    crew.uses("cpu")
    assert spawned.closed


def test_an_interpreter_of_its_own_measures_on_an_accelerator_and_the_next_one_waits():
    with Crew([], device="cuda:0") as crew:
        done = crew.measure(DEVICE, DeviceRequest(name="cpu"), DeviceState)
        assert done.reply.device.type == "cpu"
        waiting = crew._spawned._process
        assert waiting.poll() is None
        assert crew._forked._process is None
    assert waiting.poll() is not None
