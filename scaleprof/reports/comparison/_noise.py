"""How far apart fresh processes are, and what interval follows for a value or a ratio.

The worker process is the unit of replication: samples of one process share its memory layout,
its clocks and its neighbours, so that a thousand of them say little about the next process. Each
process therefore counts as one value, the logarithm of its own percentile, and all variants that
were measured in several processes of one kind tell together how far those scatter.

Where each process timed a yardstick too, most of the scatter is the host's: it is taken out by
regression on the yardstick (an analysis of covariance), and what is left decides comparisons.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from ...records import Calibration, Measurement
from ...selection import BETWEEN_PROCESSES
from ...timing import Follows, by_process, follows

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
    """One percentile of one variant.

    Attributes:
        logs: Logarithm of the percentile in each worker process.
        within: Standard error of the logarithm that the samples themselves show.
        host: Logarithm of the yardstick's time in each process; empty where it is not known.
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
        follows: What a yardstick explains of it; None where none was timed.
    """

    spread: float
    degrees: int
    confidence: float
    most: int = MOST_PROCESSES
    follows: Follows | None = None

    def change(self, baseline: Timing, now: Timing) -> float:
        """Return the logarithm of a ratio, without what the host's speed had to do with it."""
        change = now.centre - baseline.centre
        fitted = self._fitted((baseline, now))
        return (
            change if fitted is None else change - fitted.slope * self.host_change((baseline, now))
        )

    def _fitted(self, timings: Sequence[Timing]) -> Follows | None:
        """Return how these two follow the yardstick: other variants may follow it otherwise."""
        if self.follows is None or len(timings) != 2 or not all(t.host for t in timings):
            return None
        groups = [(timing.host, timing.logs) for timing in timings]
        return follows(groups, spread=self.follows.spread, degrees=PRIOR_DEGREES)

    def host_change(self, timings: Sequence[Timing]) -> float:
        """Return how much slower the host was for the last of two timings, as a logarithm.

        It is 0 where that is not known, or where there is nothing to hold a timing against.
        """
        if self._fitted(timings) is None:
            return 0.0
        return _mean(timings[1].host) - _mean(timings[0].host)

    def half_width(
        self,
        timings: Sequence[Timing],
        *,
        more: int = 0,
        growing: int | None = None,
        same_host: bool = False,
    ) -> float:
        """Return half the interval of a timing, or of the ratio of two, in logarithms.

        Args:
            timings: One, or two independent ones.
            more: Processes to imagine in addition, for each.
            growing: How many of the timings, from the last, these are added to; None for all.
            same_host: Whether to imagine that the host was as fast for both.
        """
        growing = len(timings) if growing is None else growing
        added = [0] * (len(timings) - growing) + [more] * growing
        fitted = self._fitted(timings)
        spread = self.spread
        if fitted is not None and self.follows is not None:
            spread = self.follows.spread
        variance = sum(
            spread**2 / (timing.processes + extra)
            + timing.within**2 * timing.processes / (timing.processes + extra)
            for timing, extra in zip(timings, added, strict=True)
        )
        if fitted is not None and not same_host:
            variance += (fitted.error * self.host_change(timings)) ** 2
        degrees = self.degrees + more * growing
        return student_quantile(self.confidence, degrees) * math.sqrt(variance)

    def floor(self, timings: Sequence[Timing]) -> float:
        """Return the smallest relative change that `most` processes could tell from none."""
        fewest = min(timing.processes for timing in timings)
        half = self.half_width(timings, more=max(0, self.most - fewest), same_host=True)
        return bounded_exp(half) - 1

    def processes_to_decide(
        self, timings: Sequence[Timing], gap: float, *, growing: int | None = None
    ) -> int | None:
        """Return how many more processes for each timing make the half width less than a gap.

        Args:
            timings: One, or two independent ones.
            gap: Distance between what is estimated and the limit, in logarithms.
            growing: How many of the timings, from the last, can get more; None for all.

        Returns:
            The number; None if it is beyond reason.
        """
        low, high = 0, _SEARCHED
        if self.most == 1 or self.half_width(timings, more=high, growing=growing) >= gap:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            if self.half_width(timings, more=middle, growing=growing) < gap:
                high = middle
            else:
                low = middle
        return high


def bounded_exp(logarithm: float) -> float:
    """Return the exponential, bounded where a report from elsewhere would make it overflow."""
    return math.exp(min(logarithm, _LARGEST_LOG))


def noise_of(
    timings: Iterable[Timing], *, confidence: float, calibrations: Sequence[Calibration] = ()
) -> Noise:
    """Estimate the scatter between processes from everything that was measured in several.

    The variance is the mean of the recorded one (`scaleprof.selection.BETWEEN_PROCESSES`), of the
    calibrated ones and of the observed ones, weighted by degrees of freedom.

    Args:
        timings: The same percentile of many variants.
        confidence: Of one interval, two-sided.
        calibrations: What is known of the machines that measured them.
    """
    degrees = 1 if calibrations else PRIOR_DEGREES
    squares = left = degrees * BETWEEN_PROCESSES**2
    for calibration in calibrations:
        own, of_model = max(len(calibration.latencies_s) - 1, 0), calibration.spread_beside
        squares += own * calibration.spread**2
        left += own * (calibration.spread if of_model is None else of_model) ** 2
        degrees += own
    known = list(timings)
    beside = [(timing.host, timing.logs) for timing in known if timing.host]
    fitted = follows(beside, spread=math.sqrt(left / degrees), degrees=degrees) if beside else None
    for timing in known:
        squares += math.fsum((log - timing.centre) ** 2 for log in timing.logs)
        degrees += timing.processes - 1
    return Noise(
        spread=math.sqrt(squares / degrees), degrees=degrees, confidence=confidence, follows=fitted
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def timing_of(measurement: Measurement, rank: int) -> Timing | None:
    """Return a percentile by process; None if no process has the samples that it needs.

    Args:
        measurement: What was measured in one or several processes.
        rank: 50, 90 or 99. Only of the median it is known how it follows the yardstick.
    """
    latency = measurement.latency_s
    if latency is None:
        return None
    processes = by_process(latency.samples, latency.processes)
    values = [_percentile(own, rank) for own in processes]
    logs = [math.log(value) for value in values if value is not None]
    if not logs:
        return None
    host = measurement.yardsticks_s
    # a sentinel that drifts has shown the host's speed already
    if rank != _MEDIAN or measurement.drift or len(host) != len(logs):
        return Timing(logs=tuple(logs), within=_within(latency.samples, rank))
    # what sets processes apart is told by the yardstick, not by the samples
    alike = [
        sample / value
        for own, value in zip(processes, values, strict=True)
        for sample in own
        if value is not None
    ]
    return Timing(
        logs=tuple(logs),
        within=_within(alike, rank),
        host=tuple(math.log(seconds) for seconds in host),
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
