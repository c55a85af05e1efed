"""What is known of a variant's bounded quantities, and how surely.

A counted quantity is exact. A measured or predicted one has a spread, taken as normal in its
logarithm, from which the chance of meeting a bound follows.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from ..records import BytesBand, LatencyBand, Variant
from ._budget import Bound

Source = Literal["counted", "measured", "estimated", "predicted"]

# spread of the logarithm of the median between fresh processes, beyond what samples of one show;
# 0.038 on 2 shared cores by `benchmarks/how_far_apart_are_fresh_processes.py`
BETWEEN_PROCESSES = 0.04
# the same of the memory that a process on a CPU grows by, by the same script: 0.016 to 0.026 there,
# more where a net takes 1 MiB
PROCESS_MEMORY = 0.06
_NORMAL = NormalDist()
_Z95 = _NORMAL.inv_cdf(0.975)
_Z90 = _NORMAL.inv_cdf(0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """One quantity of a variant.

    Attributes:
        value: Its median, in base units.
        spread: Standard deviation of its logarithm; 0 if it is exact.
        source: Where it comes from; ``estimated`` is a percentile of a variant whose median was
            measured, but with too few samples for the percentile itself.
    """

    value: float
    spread: float
    source: Source

    def chance(self, bound: Bound, limit: float) -> float:
        """Return the chance that the quantity holds a bound.

        Examples:
            >>> Quantity(value=2.0, spread=0.1, source="measured").chance("<=", 2.0)
            0.5
        """
        room = log_room(self.value, bound, limit)
        if self.spread == 0:
            return 1.0 if room >= 0 else 0.0
        return _NORMAL.cdf(room / self.spread)


def log_room(value: float, bound: Bound, limit: float) -> float:
    """Return the logarithm of the factor by which a value may still grow, or shrink.

    Args:
        value: In base units.
        bound: Whether the limit is above or below it.
        limit: The bound; the room is negative where it is missed.

    Examples:
        >>> round(log_room(2.0, "<=", 4.0), 2), round(log_room(2.0, ">=", 4.0), 2)
        (0.69, -0.69)
    """
    room = math.log(limit / value) if value > 0 else math.inf
    return room if bound == "<=" else -room


def quantity(variant: Variant, metric: str, *, batch: int) -> Quantity | None:
    """Return what is known of a metric, measured before predicted; None if nothing is.

    Args:
        variant: The variant.
        metric: One of `METRICS`.
        batch: Items in one forward pass, for throughput.
    """
    kind, _, detail = metric.partition(".")
    if kind in ("params", "macs", "flops", "activations"):
        return Quantity(value=getattr(variant.cost, kind), spread=0.0, source="counted")
    if kind == "latency":
        return _latency(variant, detail or "p50")
    if kind == "throughput":
        latency = _latency(variant, "p50")
        if latency is None:
            return None
        return Quantity(value=batch / latency.value, spread=latency.spread, source=latency.source)
    if kind == "energy":
        return _energy(variant)
    return _memory(variant, detail)


def _known(value: float | None, spread: float) -> Quantity | None:
    return None if value is None else Quantity(value=value, spread=spread, source="measured")


def _latency(variant: Variant, percentile: str) -> Quantity | None:
    median = _median(variant)
    if median is None or percentile == "p50":
        return median
    measured = variant.measurement.latency_s if variant.measurement else None
    itself = getattr(measured, percentile) if measured is not None else None
    ratio = variant.prediction.tails.get(percentile) if variant.prediction else None
    # a percentile in the tail varies more between processes than the median does
    between = math.log(ratio.p95 / ratio.p05) / (2 * _Z90) if ratio is not None else 0.0
    spread = math.hypot(median.spread, between)
    if itself is not None:
        return _known(itself, spread)
    if ratio is None:
        return None
    source: Source = "estimated" if median.source == "measured" else "predicted"
    return Quantity(value=median.value * ratio.p50, spread=spread, source=source)


def _median(variant: Variant) -> Quantity | None:
    measured = variant.measurement.latency_s if variant.measurement else None
    if measured is not None:
        return _known(measured.p50, _spread(measured.ci95, len(measured.processes)))
    band = variant.prediction.latency_s if variant.prediction else None
    if band is None:
        return None
    return Quantity(value=band.p50, spread=band_spread(band), source="predicted")


def band_spread(band: LatencyBand | BytesBand) -> float:
    """Return the standard deviation of the logarithm that a 90 % band stands for."""
    return math.log(band.p95 / band.p05) / (2 * _Z90)


def _spread(interval: tuple[float, float] | None, processes: int) -> float:
    between = BETWEEN_PROCESSES / math.sqrt(max(processes, 1))
    if interval is None:
        return 5 * between
    within = math.log(interval[1] / interval[0]) / (2 * _Z95)
    return math.hypot(within, between)


def _energy(variant: Variant) -> Quantity | None:
    energy = variant.measurement.energy_j if variant.measurement else None
    return _known(energy, BETWEEN_PROCESSES)


def _memory(variant: Variant, kind: str) -> Quantity | None:
    if kind == "planned":
        return Quantity(value=variant.cost.peak_bytes, spread=0.0, source="counted")
    measured = variant.measurement
    if not kind:
        return _peak(variant)
    if measured is None or measured.memory is None:
        return None
    return _known(getattr(measured.memory, kind), PROCESS_MEMORY if kind == "process" else 0.0)


def _peak(variant: Variant) -> Quantity | None:
    """Peak bytes: measured; else predicted, exactly so where the device goes by the static plan."""
    if variant.measurement is not None and variant.measurement.peak_bytes is not None:
        return Quantity(value=variant.measurement.peak_bytes, spread=0.0, source="measured")
    band = variant.prediction.peak_bytes if variant.prediction else None
    if band is None or band.p05 <= 0:
        return None
    return Quantity(value=band.mean, spread=band_spread(band), source="predicted")
