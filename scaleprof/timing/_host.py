"""How fast the host was while each process measured, by the yardstick beside the model.

A sweep compares latencies that were measured seconds or minutes apart. Where the host changed its
speed meanwhile, the yardstick changed with it, in the very process whose latency is in question: it
corrects each process by itself, where a sentinel sees only what lasts for several processes.
"""

import math
import statistics
from collections.abc import Iterable, Sequence

from ..records import Record

# log latency over log yardstick between processes of one model, and how far models differ in it
FOLLOWS = 0.9
FOLLOWS_ERROR = 0.3
# what a steady yardstick scatters by itself; less than this is not corrected
STEADY_HOST = 0.02


class Follows(Record, frozen=True, kw_only=True):
    """How latencies follow the yardstick beside them.

    Attributes:
        slope: Change of the logarithm of a latency by that of the yardstick.
        error: Standard error of the slope.
        spread: Standard deviation between processes of what the yardstick does not tell.
    """

    slope: float = FOLLOWS
    error: float = FOLLOWS_ERROR
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


def usual_host(yardsticks_s: Sequence[float]) -> float | None:
    """Return the yardstick's usual time, which corrections refer to; None without any.

    Args:
        yardsticks_s: Its time in each process.
    """
    return statistics.median(yardsticks_s) if yardsticks_s else None


def host_factor(yardstick_s: float | None, usual_s: float | None, slope: float = FOLLOWS) -> float:
    """Return how much slower than usual a model must have been; 1 on a steady host.

    Args:
        yardstick_s: The yardstick's time beside the model; None if none was timed.
        usual_s: Its usual time.
        slope: See `Follows`.

    Examples:
        >>> round(host_factor(1.1, 1.0), 3), host_factor(1.01, 1.0), host_factor(None, 1.0)
        (1.09, 1.0, 1.0)
    """
    if yardstick_s is None or usual_s is None:
        return 1.0
    change = math.log(yardstick_s / usual_s)
    return math.exp(slope * change) if abs(change) > STEADY_HOST else 1.0
