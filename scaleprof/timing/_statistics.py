"""Order statistics of latency samples: medians, their confidence intervals, honest percentiles.

Latencies are skewed and have outliers, so nothing here assumes a normal distribution. The interval
of the median is the classical one by ranks: between order statistics j and n+1-j, the median of
the population lies with the probability that a fair coin gives between j and n-j heads in n throws.
"""

import math
import statistics
from collections.abc import Sequence
from itertools import accumulate, pairwise

from ..records import LatencyMeasurement

# MLPerf LoadGen's early-stopping estimate asks for this many samples before a percentile counts,
# https://github.com/mlcommons/inference/blob/master/loadgen/early_stopping.cc
MIN_SAMPLES = {90: 64, 99: 662}
CONFIDENCE = 0.95


def by_process(samples: Sequence[float], processes: Sequence[int]) -> list[Sequence[float]]:
    """Return the samples of each process.

    Args:
        samples: Those of all processes, in the order of the processes.
        processes: How many of them are of each process.

    Examples:
        >>> by_process([1.0, 2.0, 3.0], [2, 1])
        [[1.0, 2.0], [3.0]]
    """
    ends = accumulate(processes, initial=0)
    return [samples[start:end] for start, end in pairwise(ends)]


def median_interval(
    samples: Sequence[float], *, confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Return the confidence interval of the median by order statistics.

    Args:
        samples: Independent samples.
        confidence: Probability that the interval covers the median at least.

    Returns:
        Its ends, or None when there are too few samples for this confidence (6 for 95 %).

    Examples:
        >>> median_interval([1, 2, 3, 4, 5, 6]), median_interval([1, 2, 3])
        ((1, 6), None)
    """
    rank = _median_rank(len(samples), confidence)
    if rank == 0:
        return None
    ordered = sorted(samples)
    return ordered[rank - 1], ordered[-rank]


def _median_rank(n: int, confidence: float) -> int:
    """Largest j with P(fewer than j heads in n throws) <= (1 - confidence) / 2; 0 if none."""
    tail = (1.0 - confidence) / 2.0
    log_half = n * math.log(0.5)
    below, rank = 0.0, 0
    for heads in range(n // 2 + 1):
        log_choose = math.lgamma(n + 1) - math.lgamma(heads + 1) - math.lgamma(n - heads + 1)
        below += math.exp(log_choose + log_half)
        if below > tail:
            break
        rank = heads + 1
    return rank


def relative_half_width(samples: Sequence[float]) -> float:
    """Half the width of the median's interval over the median; infinite with too few samples."""
    interval = median_interval(samples)
    if interval is None:
        return math.inf
    return (interval[1] - interval[0]) / (2.0 * statistics.median(samples))


def midmean(samples: Sequence[float]) -> float:
    """Return the mean of the middle half.

    Where the speed of a machine changes between samples, the median jumps from what it was to what
    it is; this moves with how long it was which. It bears a quarter of outliers on either side.

    Args:
        samples: One at least.

    Examples:
        >>> midmean([9.0, 1.0, 2.0, 3.0])
        2.5
    """
    ordered, out = sorted(samples), len(samples) // 4
    return statistics.fmean(ordered[out : len(ordered) - out])


def midmean_error(samples: Sequence[float]) -> float:
    """Return the standard error of `midmean`.

    It is that of Tukey and McLaughlin, "Less vulnerable confidence and significance procedures for
    location based on a single sample", Sankhya A 25 (1963): the deviation of the samples, the outer
    quarters moved to where the middle half ends, over half the root of their number.

    Examples:
        >>> midmean_error([1.0]), midmean_error([1.0, 2.0, 3.0, 4.0])
        (0.0, 0.5773502691896257)
    """
    ordered, out = sorted(samples), len(samples) // 4
    if len(ordered) < 2:
        return 0.0
    middle = ordered[out : len(ordered) - out]
    moved = [middle[0]] * out + middle + [middle[-1]] * out
    return 2.0 * statistics.stdev(moved) / math.sqrt(len(moved))


def percentile(samples: Sequence[float], rank: int) -> float | None:
    """Return a percentile by nearest rank, or None below the samples it needs.

    Args:
        samples: Latencies.
        rank: 90 or 99.
    """
    if len(samples) < MIN_SAMPLES[rank]:
        return None
    return sorted(samples)[math.ceil(rank / 100 * len(samples)) - 1]


def summarise(processes: Sequence[Sequence[float]]) -> LatencyMeasurement:
    """Pool the samples of several worker processes into one measurement.

    Args:
        processes: Samples in seconds, a sequence per process, none empty.
    """
    samples = tuple(sample for process in processes for sample in process)
    return LatencyMeasurement(
        p50=statistics.median(samples),
        p90=percentile(samples, 90),
        p99=percentile(samples, 99),
        ci95=median_interval(samples),
        samples=samples,
        processes=tuple(len(process) for process in processes),
    )


def missing_percentiles(measurement: LatencyMeasurement) -> dict[str, str]:
    """Say why percentiles are None, by field name."""
    n = len(measurement.samples)
    return {
        f"latency_s.p{rank}": f"needs {needed} samples, {n} were taken"
        for rank, needed in MIN_SAMPLES.items()
        if n < needed
    }
