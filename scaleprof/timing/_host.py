"""How latencies follow the speed of the host, by the yardstick beside the model.

Processes of one model are seconds to days apart. Where the host changed its speed meanwhile, the
yardstick changed with it, in the very process whose latency is in question.
"""

import math
import statistics
from collections.abc import Iterable, Sequence

from ..records import Record

# log latency over log yardstick between processes of one model, and how far models differ in it:
# 0.46 to 1.20 over nine models (benchmarks/how_far_apart_are_fresh_processes.py)
FOLLOWS = 0.9
FOLLOWS_ERROR = 0.3


class Follows(Record, frozen=True, kw_only=True):
    """How latencies follow the yardstick beside them.

    Attributes:
        slope: Change of the logarithm of a latency by that of the yardstick.
        error: Standard error of the slope.
        spread: Standard deviation between processes of what the yardstick does not tell.
    """

    slope: float
    error: float
    spread: float


def follows(
    groups: Iterable[tuple[Sequence[float], Sequence[float]]], *, spread: float, degrees: int
) -> Follows:
    """Regress latencies on the yardstick within each variant, with the slope of others as prior.

    Args:
        groups: Of each variant the logarithms of the yardstick and of the latency, by process.
        spread: Standard deviation between processes that is known beforehand.
        degrees: Degrees of freedom behind it.
    """
    squares = degrees * spread**2
    xx = xy = yy = 0.0
    for host, latency in groups:
        x0, y0 = statistics.fmean(host), statistics.fmean(latency)
        for x, y in zip(host, latency, strict=True):
            xx, xy, yy = xx + (x - x0) ** 2, xy + (x - x0) * (y - y0), yy + (y - y0) ** 2
        degrees += len(host) - 1

    def variance(slope: float) -> float:
        return max(squares + yy - 2 * slope * xy + slope**2 * xx, squares) / degrees

    before, certainty = variance(FOLLOWS), FOLLOWS_ERROR**-2
    slope = (FOLLOWS * certainty + xy / before) / (certainty + xx / before)
    after = variance(slope)
    return Follows(slope=slope, error=(certainty + xx / after) ** -0.5, spread=math.sqrt(after))


def all_known(yardsticks_s: Sequence[float | None]) -> tuple[float, ...]:
    """Return the yardstick's time in each process, or nothing where one of them did not time it."""
    known = tuple(seconds for seconds in yardsticks_s if seconds is not None)
    return known if len(known) == len(yardsticks_s) else ()
