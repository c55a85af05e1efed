"""What a machine can tell apart, from one and the same model measured in many processes (A/A)."""

import math
import statistics
from collections.abc import Sequence

from ..records import Calibration

# what a gate waits for at most: processes on each side
_SIDES = 10
_Z95 = statistics.NormalDist().inv_cdf(0.975)
# of a normal distribution, the median distance from the median over its standard deviation
_MAD_OF_NORMAL = 0.6745
MIN_PROCESSES = 5


def calibration_of(
    latencies_s: Sequence[float], *, model: str, measured_at: str, disturbed: int = 0
) -> Calibration:
    """Return how far apart processes are, and the smallest change that ten on each side tell.

    Args:
        latencies_s: Median latency of each process, `MIN_PROCESSES` at least.
        model: What was measured.
        measured_at: When.
        disturbed: Processes that were left out.

    Examples:
        >>> found = calibration_of([1.0, 1.01, 0.99, 1.02, 0.98], model="m", measured_at="now")
        >>> round(found.spread, 4), round(found.smallest_effect, 4)
        (0.0149, 0.0131)
    """
    logs = [math.log(latency) for latency in latencies_s]
    centre = statistics.median(logs)
    spread = statistics.median(abs(log - centre) for log in logs) / _MAD_OF_NORMAL
    return Calibration(
        measured_at=measured_at,
        model=model,
        latencies_s=tuple(latencies_s),
        spread=spread,
        smallest_effect=math.expm1(_Z95 * spread * math.sqrt(2 / _SIDES)),
        disturbed=disturbed,
    )
