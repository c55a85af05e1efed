"""How much of the processors somebody else used meanwhile.

A parallel operator waits for its slowest thread. Where another process takes turns on one of the
cores, a model can run many times slower than alone, steadily enough to look well measured. The
operating system knows: what the cores were busy with, less what this process used.
"""

import os
import time
from typing import Any

import psutil

# of one core; on a quiet machine its own housekeeping takes a few hundredths
CONTENDED_CORES = 0.15


class LoadWatch:
    """Watch the cores this process may use, from its creation on."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._busy = _busy_seconds()
        self._own = _own_seconds()

    def foreign_cores(self) -> float:
        """Return how many cores others kept busy on average, other guests of the host included."""
        elapsed = time.perf_counter() - self._began
        foreign = (_busy_seconds() - self._busy) - (_own_seconds() - self._own)
        return max(0.0, foreign / elapsed) if elapsed > 0 else 0.0


def _busy_seconds() -> float:
    cores = psutil.cpu_times(percpu=True)
    ours = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(cores))
    return sum(_busy(cores[i]) for i in ours if i < len(cores))


def _busy(times: Any) -> float:
    idle = times.idle + getattr(times, "iowait", 0.0)
    # guest time is part of user time already
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle - guest)


def _own_seconds() -> float:
    own = os.times()
    return own.user + own.system
