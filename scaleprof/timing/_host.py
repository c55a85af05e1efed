"""How fast the host was while each process measured, by the yardstick beside the model.

A sweep compares latencies that were measured seconds or minutes apart. Where the host changed its
speed meanwhile, the yardstick changed with it, in the very process whose latency is in question: it
corrects each process by itself, where a sentinel sees only what lasts for several processes.
"""

import math
import statistics
from collections.abc import Sequence

# log latency over log yardstick between processes of one model, and how far models differ in it
FOLLOWS = 0.9
FOLLOWS_ERROR = 0.3
# what a steady yardstick scatters by itself; less than this is not corrected
STEADY_HOST = 0.02


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


def usual_behind(yardsticks_s: Sequence[float], factors: Sequence[float]) -> float | None:
    """Return the usual time that corrections of a report refer to.

    Args:
        yardsticks_s: The yardstick's time in each process.
        factors: What its latencies were divided by; empty for nothing.
    """
    if not yardsticks_s:
        return None
    divided = factors or (1.0,) * len(yardsticks_s)
    return statistics.geometric_mean(
        seconds / factor ** (1 / FOLLOWS)
        for seconds, factor in zip(yardsticks_s, divided, strict=True)
    )


def host_factor(yardstick_s: float | None, usual_s: float | None) -> float:
    """Return how much slower than usual a model must have been; 1 on a steady host.

    Args:
        yardstick_s: The yardstick's time beside the model; None if none was timed.
        usual_s: Its usual time.

    Examples:
        >>> round(host_factor(1.1, 1.0), 3), host_factor(1.01, 1.0), host_factor(None, 1.0)
        (1.09, 1.0, 1.0)
    """
    if yardstick_s is None or usual_s is None:
        return 1.0
    change = math.log(yardstick_s / usual_s)
    return math.exp(FOLLOWS * change) if abs(change) > STEADY_HOST else 1.0
