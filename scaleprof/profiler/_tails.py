"""How far the tail of latency is from its median on this device.

A variant of which a hundred samples were taken has no 99th percentile of its own. Slow calls are
mostly the machine's doing, so that what all measured variants show together, each process over its
own median, stands for the tail of any one of them; how much processes differ in it is the spread.
"""

import math
import statistics
from collections.abc import Iterable, Sequence

from ..records import LatencyMeasurement, RatioBand, Variant
from ..timing import MIN_SAMPLES, by_process, percentile

# processes agree no better than this, in the logarithm, however few of them were seen
_LEAST_SPREAD = 0.02
# a process with fewer samples says nothing of its tail
_MIN_OF_PROCESS = 11
_MIN_PROCESSES = 2
_Z90 = statistics.NormalDist().inv_cdf(0.95)


def tail_ratios(variants: Iterable[Variant]) -> dict[str, RatioBand]:
    """Return percentiles of latency over the median with their 90 % bands, by name.

    Args:
        variants: All variants of one model; those that were measured without other processes in
            the way count, or all measured ones if there are none.

    Returns:
        ``p90`` and ``p99``; what all samples together are too few for is left out.
    """
    measured = [v.measurement for v in variants if v.measurement and v.measurement.latency_s]
    quiet = [m for m in measured if not m.contended] or measured
    processes = [
        process
        for m in quiet
        if m.latency_s is not None
        for process in _over_median(m.latency_s)
        if len(process) >= _MIN_OF_PROCESS
    ]
    if len(processes) < _MIN_PROCESSES:
        return {}
    found = {f"p{rank}": _band(processes, rank) for rank in MIN_SAMPLES}
    return {name: band for name, band in found.items() if band is not None}


def _over_median(latency: LatencyMeasurement) -> list[list[float]]:
    """Samples of each process over their median."""
    processes = filter(None, by_process(latency.samples, latency.processes))
    medians = ((samples, statistics.median(samples)) for samples in processes)
    return [[sample / middle for sample in samples] for samples, middle in medians]


def _band(processes: Sequence[Sequence[float]], rank: int) -> RatioBand | None:
    ratio = percentile([sample for process in processes for sample in process], rank)
    if ratio is None:
        return None
    own = [math.log(_own_percentile(process, rank)) for process in processes]
    reach = math.exp(_Z90 * max(statistics.stdev(own), _LEAST_SPREAD))
    return RatioBand(p50=ratio, p05=ratio / reach, p95=ratio * reach)


def _own_percentile(samples: Sequence[float], rank: int) -> float:
    """Percentile by nearest rank, however few samples there are."""
    return sorted(samples)[math.ceil(rank / 100 * len(samples)) - 1]
