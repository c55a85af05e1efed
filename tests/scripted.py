"""Workers that replay a script, for tests of what asks them."""

import itertools

from scaleprof.devices import DeviceState
from scaleprof.jobs import MeasureReply
from scaleprof.records import Device
from scaleprof.timing import Samples
from scaleprof.workers import Done, Failure


class ScriptedCrew:
    """Stands for workers: every process takes the next latency, or ends as the script says.

    Args:
        outcomes: Latencies in seconds, with whether others disturbed it, or failures.
        hosts: How slow the host is for each process, by the yardstick; empty for none.
    """

    def __init__(self, *outcomes, hosts=()):
        self._outcomes = iter(outcomes)
        self._hosts = iter(hosts)
        self.processes = 0

    def measure(self, job, request, reply):
        self.processes += 1
        outcome = next(self._outcomes)
        if isinstance(outcome, Failure):
            return outcome
        latency_s, contended = outcome if isinstance(outcome, tuple) else (outcome, False)
        samples = Samples(
            first_call_s=1.0, warmup_calls=10, samples=(latency_s,) * 11, noisy=False,
            timeout=False, yardstick_s=tuple(itertools.islice(self._hosts, 1)),
        )  # fmt: skip
        got = MeasureReply(
            samples=samples, foreign_cores=0.0, contended=contended,
            allocated=None, reserved=None, process=None,
        )  # fmt: skip
        return Done(reply=got, elapsed_s=1.0)


STATE = DeviceState(
    name="meta",
    device=Device(type="cpu", index=None, name="a CPU", memory_bytes=1, cores=2, driver=None),
    versions={"torch": "2"},
    platform="Linux x86_64",
    flags={"threads": 2},
    load=0.0,
)
