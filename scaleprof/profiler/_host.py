"""How fast the host was for each process of a job, by the yardstick that it timed."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence

from ..jobs import MeasureReply
from ..reports.comparison import PRIOR_DEGREES
from ..selection import BETWEEN_PROCESSES
from ..timing import follows, host_factor, usual_host


def host_of(variants: Iterable[Sequence[MeasureReply]]) -> Callable[[MeasureReply], float]:
    """Return what tells how much slower than usual the host was for a process.

    Args:
        variants: Of each variant, what its processes measured; disturbed ones do not count.
    """
    timed = [
        [
            (yardstick, statistics.median(reply.samples.samples))
            for reply in replies
            if not reply.disturbed and (yardstick := reply.samples.yardstick) is not None
        ]
        for replies in variants
    ]
    usual = usual_host([yardstick for pairs in timed for yardstick, _ in pairs])
    groups = [
        ([math.log(x) for x, _ in pairs], [math.log(y) for _, y in pairs])
        for pairs in timed
        if pairs
    ]
    slope = follows(groups, spread=BETWEEN_PROCESSES, degrees=PRIOR_DEGREES).slope
    return lambda reply: host_factor(reply.samples.yardstick, usual, slope)
