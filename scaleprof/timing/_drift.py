"""How the speed of a machine changes during a sweep, by a sentinel measured again and again.

The sentinel is always the same model. One of its processes can be off by itself, so that a change
counts only where neighbours agree: each value is replaced by the median of three. A machine whose
sentinel stays within its own noise is taken as steady, and nothing is corrected.
"""

import itertools
import statistics
from collections.abc import Sequence

from ..records import Record

# medians of fresh processes of one model have a robust spread of 4 % on a shared machine
# (benchmarks/how_far_apart_are_fresh_processes.py); less than this is no drift
STEADY = 0.05
# fewer sentinels say nothing about a change over time
MIN_SENTINELS = 3


class Drift(Record, frozen=True, kw_only=True):
    """The sentinel over time, as factors of its median over the whole sweep.

    Attributes:
        times: When it was measured, in seconds, increasing.
        factors: Latency over the median at these times, smoothed; all 1 on a steady machine.
        largest: Largest change that was seen, as a share, corrected or not; None with fewer than
            `MIN_SENTINELS`.
    """

    times: tuple[float, ...] = ()
    factors: tuple[float, ...] = ()
    largest: float | None = None

    @property
    def corrected(self) -> bool:
        """Whether the machine was so unsteady that latencies are divided by factors."""
        return any(factor != 1.0 for factor in self.factors)

    def factor(self, time: float) -> float:
        """Return how much slower than usual the machine was at a time, between its neighbours."""
        if not self.corrected:
            return 1.0
        points = list(zip(self.times, self.factors, strict=True))
        if time <= points[0][0]:
            return points[0][1]
        for (t0, f0), (t1, f1) in itertools.pairwise(points):
            if time <= t1:
                return f0 + (f1 - f0) * (time - t0) / (t1 - t0)
        return points[-1][1]


def drift_of(times: Sequence[float], latencies_s: Sequence[float]) -> Drift:
    """Return the drift that a sentinel shows.

    Args:
        times: When it was measured, in seconds, increasing.
        latencies_s: Its median latency each time.

    Examples:
        >>> drift_of([0, 10, 20, 30], [1.0, 1.0, 1.3, 1.3]).factor(25)
        1.130434782608...
        >>> drift_of([0, 10, 20, 30], [1.0, 1.4, 1.01, 1.0]).corrected
        False
    """
    if len(times) < MIN_SENTINELS:
        return Drift(times=tuple(times), factors=(1.0,) * len(times))
    usual = statistics.median(latencies_s)
    smooth = [value / usual for value in _medians_of_three(latencies_s)]
    largest = max(abs(factor - 1) for factor in smooth)
    factors = tuple(smooth) if largest > STEADY else (1.0,) * len(smooth)
    return Drift(times=tuple(times), factors=factors, largest=largest)


def _medians_of_three(values: Sequence[float]) -> list[float]:
    """Each with its neighbours; at the ends, that of the nearest three."""
    inner = [statistics.median(values[i : i + 3]) for i in range(len(values) - 2)]
    return [inner[0], *inner, inner[-1]]
