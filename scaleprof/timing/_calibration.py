"""What a machine can tell apart, from one and the same model measured in many processes (A/A)."""

import math
import statistics
from collections.abc import Sequence

from ..records import Calibration
from ._host import FOLLOWS

# what a gate waits for at most: processes on each side
_SIDES = 10
_Z95 = statistics.NormalDist().inv_cdf(0.975)
# of a normal distribution, the median distance from the median over its standard deviation
_MAD_OF_NORMAL = 0.6745
MIN_PROCESSES = 5


def calibration_of(
    latencies_s: Sequence[float],
    *,
    model: str,
    measured_at: str,
    disturbed: int = 0,
    yardsticks_s: Sequence[float] = (),
) -> Calibration:
    """Return how far apart processes are, and the smallest change that ten on each side tell.

    Args:
        latencies_s: Median latency of each process, `MIN_PROCESSES` at least.
        model: What was measured.
        measured_at: When.
        disturbed: Processes that were left out.
        yardsticks_s: Time of the yardstick in each process; empty where it is not known.

    Examples:
        >>> found = calibration_of([1.0, 1.01, 0.99, 1.02, 0.98], model="m", measured_at="now")
        >>> round(found.spread, 4), round(found.smallest_effect, 4)
        (0.0149, 0.0131)
    """
    logs = [math.log(latency) for latency in latencies_s]
    spread, beside = robust_spread(logs), None
    if yardsticks_s:
        host = [FOLLOWS * math.log(seconds) for seconds in yardsticks_s]
        beside = robust_spread([log - by for log, by in zip(logs, host, strict=True)])
    left = spread if beside is None else beside
    return Calibration(
        measured_at=measured_at,
        model=model,
        latencies_s=tuple(latencies_s),
        spread=spread,
        smallest_effect=math.expm1(_Z95 * left * math.sqrt(2 / _SIDES)),
        disturbed=disturbed,
        yardsticks_s=tuple(yardsticks_s),
        spread_beside=beside,
    )


def robust_spread(logs: Sequence[float]) -> float:
    """Return the standard deviation that the median distance from the median tells."""
    centre = statistics.median(logs)
    return statistics.median(abs(log - centre) for log in logs) / _MAD_OF_NORMAL
