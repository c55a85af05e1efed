"""How far apart fresh processes are, and what interval follows for a value or a ratio.

The worker process is the unit of replication: samples of one process share its memory layout,
its clocks and its neighbours, so that a thousand of them say little about the next process. Each
process therefore counts as one value, the logarithm of its own percentile, and all variants that
were measured in several processes of one kind tell together how far those scatter.

Where each process timed a yardstick too, most of the scatter is the host's: gates on the median
take it out by regression on the yardstick (an analysis of covariance), and what is left decides.
The mean of the middle half stands for the median there: it moves with the host, and does not jump.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist

from ...records import Calibration, Measurement
from ...selection import BETWEEN_PROCESSES
from ...timing import by_process, follows, midmean, midmean_error

# the recorded spread of another machine counts like three observed degrees of freedom: it carries
# reports of one or two processes, and gives way to what a report with a dozen of them shows
PRIOR_DEGREES = 3
# processes per report beyond which nobody waits for a gate; what they could not tell is noise
MOST_PROCESSES = 20
# the number of processes that would decide is looked for up to here
_SEARCHED = 1000
_BISECTIONS = 60
# beyond it the quantile hardly falls (1.972 at 200, 1.960 at infinity), and the sum grows long
_MOST_DEGREES = 200
_LARGEST_LOG = 600.0
_MEDIAN = 50
_Z95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One percentile of one variant, or the middle of its samples beside a yardstick.

    Attributes:
        logs: Logarithm of the percentile or middle in each worker process.
        within: Standard error of the logarithm that the samples themselves show.
        host: Logarithm of the yardstick's time in each process; empty for percentiles.
    """

    logs: tuple[float, ...]
    within: float
    host: tuple[float, ...] = ()

    @property
    def centre(self) -> float:
        """Mean of the logarithms."""
        return math.fsum(self.logs) / len(self.logs)

    @property
    def value(self) -> float:
        """Geometric mean over processes, in base units."""
        return bounded_exp(self.centre)

    @property
    def processes(self) -> int:
        """Worker processes."""
        return len(self.logs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Scatter of fresh processes.

    Attributes:
        spread: Standard deviation of the logarithm between processes.
        degrees: Degrees of freedom behind it.
        confidence: Of one interval, two-sided.
        most: Processes per report beyond which no more would come; 1 if more of them make the
            value no surer.
        beside: Whether it is what is left once yardsticks told how fast the host was.
    """

    spread: float
    degrees: int
    confidence: float
    most: int = MOST_PROCESSES
    beside: bool = False

    def estimate(self, *timings: Timing) -> "Estimate":
        """Estimate a timing, or how far the second of two is from the first."""
        *before, now = timings
        change = now.centre - before[0].centre if before else now.centre
        if not (self.beside and before):
            return Estimate(timings=timings, noise=self, centre=change)
        # other variants may follow the yardstick otherwise than these two
        groups = [(timing.host, timing.logs) for timing in timings]
        fitted = follows(groups, spread=self.spread, degrees=PRIOR_DEGREES)
        host_change = _mean(now.host) - _mean(before[0].host)
        return Estimate(
            timings=timings,
            noise=self,
            centre=change - fitted.slope * host_change,
            host_change=host_change,
            host_error=abs(fitted.error * host_change),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The logarithm of a timing, or of the ratio of two independent ones, and how sure it is.

    Attributes:
        timings: The one, or the two.
        noise: How far fresh processes are apart.
        centre: What is estimated, without what the host's speed had to do with it.
        host_change: How much slower the host was for the second than for the first; None where that
            is not known.
        host_error: Standard error of what the host's speed had to do with it.
    """

    timings: Sequence[Timing]
    noise: Noise
    centre: float
    host_change: float | None = None
    host_error: float = 0.0

    def half_width(
        self, *, more: int = 0, growing: int | None = None, same_host: bool = False
    ) -> float:
        """Return half the interval of what is estimated.

        Args:
            more: Processes to imagine in addition, for each timing.
            growing: How many of the timings, from the last, these are added to; None for all.
            same_host: Whether to imagine that the host was as fast for both.
        """
        growing = len(self.timings) if growing is None else growing
        added = [0] * (len(self.timings) - growing) + [more] * growing
        variance = sum(
            self.noise.spread**2 / (timing.processes + extra)
            + timing.within**2 * timing.processes / (timing.processes + extra)
            for timing, extra in zip(self.timings, added, strict=True)
        )
        if not same_host:
            variance += self.host_error**2
        degrees = self.noise.degrees + more * growing
        return student_quantile(self.noise.confidence, degrees) * math.sqrt(variance)

    def floor(self) -> float:
        """Return the smallest relative change that `Noise.most` processes could tell from none."""
        fewest = min(timing.processes for timing in self.timings)
        half = self.half_width(more=max(0, self.noise.most - fewest), same_host=True)
        return bounded_exp(half) - 1

    def processes_to_decide(self, limit: float, *, growing: int | None = None) -> int | None:
        """Return how many more processes for each timing keep the interval off a limit.

        Args:
            limit: What is estimated is held against this.
            growing: How many of the timings, from the last, can get more; None for all.

        Returns:
            The number; None if it is beyond reason.
        """
        gap = abs(self.centre - limit)
        low, high = 0, _SEARCHED
        if self.noise.most == 1 or self.half_width(more=high, growing=growing) >= gap:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            if self.half_width(more=middle, growing=growing) < gap:
                high = middle
            else:
                low = middle
        return high

    def hidden_by_host(self, limit: float) -> bool:
        """Tell whether more processes would decide, had the host been as fast for both."""
        return abs(self.centre - limit) > self.half_width(more=_SEARCHED, same_host=True)


def bounded_exp(logarithm: float) -> float:
    """Return the exponential, bounded where a report from elsewhere would make it overflow."""
    return math.exp(min(logarithm, _LARGEST_LOG))


def noise_of(
    timings: Iterable[Timing],
    *,
    confidence: float,
    calibrations: Sequence[Calibration] = (),
    beside: bool = False,
) -> Noise:
    """Estimate the scatter between processes from everything that was measured in several.

    The variance is the mean of the recorded one (`scaleprof.selection.BETWEEN_PROCESSES`), of the
    calibrated ones and of the observed ones, weighted by degrees of freedom.

    Args:
        timings: The same percentile of many variants; beside yardsticks, all with their times.
        confidence: Of one interval, two-sided.
        calibrations: What is known of the machines that measured them.
        beside: Whether to leave out of the scatter what yardsticks tell.
    """
    degrees = 1 if calibrations else PRIOR_DEGREES
    squares = degrees * BETWEEN_PROCESSES**2
    for calibration in calibrations:
        left = calibration.spread_beside if beside else None
        own = max(len(calibration.latencies_s) - 1, 0)
        squares += own * (calibration.spread if left is None else left) ** 2
        degrees += own
    known = list(timings)
    more = sum(timing.processes - 1 for timing in known)
    if beside:
        groups = [(timing.host, timing.logs) for timing in known]
        spread = follows(groups, spread=math.sqrt(squares / degrees), degrees=degrees).spread
    else:
        squares += math.fsum((log - each.centre) ** 2 for each in known for log in each.logs)
        spread = math.sqrt(squares / (degrees + more))
    return Noise(spread=spread, degrees=degrees + more, confidence=confidence, beside=beside)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def timing_of(measurement: Measurement, rank: int, *, beside: bool = True) -> Timing | None:
    """Return a percentile or the middle by process; None if no process has the samples it needs.

    Args:
        measurement: What was measured in one or several processes.
        rank: 50, 90 or 99. Only of the middle it is known how it follows the yardstick.
        beside: Whether to take the mean of the middle half instead of the median, and the yardstick
            with it, where there is one.
    """
    latency = measurement.latency_s
    if latency is None:
        return None
    processes = by_process(latency.samples, latency.processes)
    host = measurement.yardsticks_s
    # a sentinel that drifts has shown the host's speed already
    told = all(processes) and len(host) == len(processes) > 0 and not measurement.drift
    if beside and rank == _MEDIAN and told:
        return _beside_yardsticks(processes, host)
    values = [_percentile(own, rank) for own in processes]
    logs = tuple(math.log(value) for value in values if value is not None)
    return Timing(logs=logs, within=_within(latency.samples, rank)) if logs else None


def _beside_yardsticks(processes: Sequence[Sequence[float]], host: Sequence[float]) -> Timing:
    """The middle of each process, as that of its yardstick is taken."""
    middles = [midmean(own) for own in processes]
    # a host that changes its speed makes samples differ, but hardly neighbouring ones
    steps = [
        (after - before) / middle
        for own, middle in zip(processes, middles, strict=True)
        for before, after in pairwise(own)
    ]
    return Timing(
        logs=tuple(map(math.log, middles)),
        within=midmean_error(steps) / math.sqrt(2),
        host=tuple(map(math.log, host)),
    )


def _percentile(samples: Sequence[float], rank: int) -> float | None:
    """Percentile at position (n+1)·rank/100, whose expected share does not depend on n."""
    ordered = sorted(samples)
    position = (len(ordered) + 1) * rank / 100 - 1
    if not 0 <= position <= len(ordered) - 1:
        return None
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def _within(samples: Sequence[float], rank: int) -> float:
    """Standard error of the logarithm of a percentile by order statistics."""
    ordered, share = sorted(samples), rank / 100
    middle = len(ordered) * share
    reach = _Z95 * math.sqrt(middle * (1 - share))
    low = max(0, math.floor(middle - reach) - 1)
    high = min(len(ordered) - 1, math.ceil(middle + reach))
    return (math.log(ordered[high]) - math.log(ordered[low])) / (2 * _Z95)


@lru_cache(maxsize=4096)
def student_quantile(confidence: float, degrees: int) -> float:
    """Return the two-sided quantile of Student's t.

    Args:
        confidence: Probability between minus and plus the quantile.
        degrees: Degrees of freedom, at least 1.

    Examples:
        >>> round(student_quantile(0.95, 10), 3)
        2.228
    """
    degrees = min(degrees, _MOST_DEGREES)
    low, high = 0.0, 1.0
    while _student_central(high, degrees) < confidence:
        low, high = high, 2 * high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _student_central(middle, degrees) < confidence:
            low = middle
        else:
            high = middle
    return high


def _student_central(t: float, degrees: int) -> float:
    """P(-t < T < t) for whole degrees of freedom: Abramowitz & Stegun 26.7.3 and 26.7.4."""
    angle = math.atan2(t, math.sqrt(degrees))
    sine, cosine_squared = math.sin(angle), math.cos(angle) ** 2
    odd = degrees % 2
    term, total = (math.cos(angle), 0.0) if odd else (1.0, 0.0)
    for k in range(1, degrees // 2 + 1):
        total += term
        term *= cosine_squared * (2 * k / (2 * k + 1) if odd else (2 * k - 1) / (2 * k))
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
