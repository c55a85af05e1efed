"""How much of the processors somebody else used meanwhile.

A parallel operator waits for its slowest thread. Where another process takes turns on one of the
cores, a model can run many times slower than alone, steadily enough to look well measured. The
operating system knows: what the cores were busy with, less what this process used.
"""

import os
import time
from collections.abc import Collection
from typing import Any, NamedTuple

import psutil

# of one core; on a quiet machine its own housekeeping takes a few hundredths
FOREIGN_CORES = 0.15
# others disturb only when they and we together leave less than this idle
IDLE_CORES = 0.3


class Load(NamedTuple):
    """What others did to the cores on average: other guests of the host included.

    Attributes:
        foreign_cores: Cores that others kept busy.
        idle_cores: Cores that nobody used.
    """

    foreign_cores: float
    idle_cores: float

    @property
    def contended(self) -> bool:
        """Whether others took cores that were wanted here."""
        return self.foreign_cores > FOREIGN_CORES and self.idle_cores < IDLE_CORES


class LoadWatch:
    """Watch the cores this process may use, from its creation on."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._busy = _busy_seconds()
        self._own = _own_seconds()

    def load(self) -> Load:
        """Return the mean load since the watch began."""
        elapsed = max(time.perf_counter() - self._began, 1e-9)
        busy, own = _busy_seconds() - self._busy, _own_seconds() - self._own
        foreign = max(0.0, (busy - own) / elapsed)
        return Load(foreign_cores=foreign, idle_cores=max(0.0, len(_cores()) - busy / elapsed))


def _busy_seconds() -> float:
    times = psutil.cpu_times(percpu=True)
    return sum(_busy(times[i]) for i in _cores() if i < len(times))


def _cores() -> Collection[int]:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def _busy(times: Any) -> float:
    idle = times.idle + getattr(times, "iowait", 0.0)
    # guest time is part of user time already
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle - guest)


def _own_seconds() -> float:
    own = os.times()
    return own.user + own.system
