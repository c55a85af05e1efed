"""What a report knows of one quantity of one variant, and whether a verdict may rest on it.

Counts and planned memory are exact. Latency, throughput and energy are timings, which count only if
nothing disturbed them. The growth of a process is observed once and repeats only roughly.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from ...records import LatencyMeasurement, Measurement, Report, Variant
from ...timing import MIN_SAMPLES
from ._noise import Timing, timing_of

Kind = Literal["exact", "latency", "energy", "process"]

# below them no interval of a median holds with 95 %
_MIN_SAMPLES = 6
# so many processes scatter by what their samples leave open, and the interval has it
_SHOWING_THEIR_NOISE = 3
_COUNTED = ("params", "macs", "flops", "activations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One quantity of one variant.

    Attributes:
        kind: How sure it is; ``latency`` stands for throughput too.
        source: Where a memory comes from, which must be the same on both sides.
        exact: Its value, if it is exact.
        timing: Its value and scatter, if it is not.
        problem: Why no verdict may rest on it; None if one may.
    """

    kind: Kind
    source: str = ""
    exact: int | None = None
    timing: Timing | None = None
    problem: str | None = None

    @property
    def value(self) -> float | None:
        """The value in base units; None if it is unknown."""
        if self.exact is not None:
            return self.exact
        if self.timing is None:
            return None
        # bytes are whole
        return round(self.timing.value) if self.kind == "process" else self.timing.value


def rank_of(metric: str) -> int:
    """Return the percentile behind a metric of latency, or of throughput."""
    return int(metric.removeprefix("latency.p")) if metric.startswith("latency.p") else 50


def kind_of(metric: str) -> Kind:
    """Return how sure a metric is."""
    name, _, detail = metric.partition(".")
    if name in ("latency", "throughput"):
        return "latency"
    if name == "energy":
        return "energy"
    return "process" if detail == "process" else "exact"


def evidence(report: Report, variant: Variant, metric: str, *, beside: bool = True) -> Evidence:
    """Return what a report knows of a metric of one of its variants.

    Args:
        report: The report.
        variant: The variant.
        metric: One of `scaleprof.selection.METRICS`.
        beside: Whether to take the yardstick beside a timing with it, where there is one.
    """
    name, _, detail = metric.partition(".")
    if name in _COUNTED:
        return Evidence(kind="exact", exact=getattr(variant.cost, name))
    if name == "memory":
        return _memory(report, variant, detail)
    measured, problem = _usable(variant)
    if measured is None:
        return Evidence(kind=kind_of(metric), problem=problem)
    if name == "energy":
        return _energy(measured, problem)
    return _latency(report, measured, metric, problem, beside=beside)


def _usable(variant: Variant) -> tuple[Measurement | None, str | None]:
    """Return the measurement, and why no verdict may rest on it, if so."""
    measured = variant.measurement
    if measured is None:
        return None, "it was not measured"
    if measured.status != "ok":
        return None, f"its measurement ended as {measured.status.replace('_', ' ')}"
    if measured.contended:
        return measured, "other processes disturbed its measurement"
    if measured.noisy and measured.counted_processes < _SHOWING_THEIR_NOISE:
        return measured, "its median is not known to 1 % in any process, and there are too few"
    return measured, None


def _latency(
    report: Report, measured: Measurement, metric: str, problem: str | None, *, beside: bool
) -> Evidence:
    latency = measured.latency_s
    if latency is None:
        return Evidence(kind="latency", problem="it holds no latency")
    rank = rank_of(metric)
    problem = problem or _too_few(latency, rank)
    timing = timing_of(measured, rank, beside=beside)
    if timing is not None and metric == "throughput":
        timing = _inverse(timing, math.log(report.context.batch))
    if timing is None:
        problem = problem or f"no process took the samples that p{rank} needs"
    return Evidence(kind="latency", timing=timing, problem=problem)


def _inverse(timing: Timing, log: float) -> Timing:
    """Timing of a constant over what was timed: the host's speed is inverted with it."""
    return replace(
        timing,
        logs=tuple(log - value for value in timing.logs),
        host=tuple(-value for value in timing.host),
    )


def _too_few(latency: LatencyMeasurement, rank: int) -> str | None:
    needed, taken = MIN_SAMPLES.get(rank, _MIN_SAMPLES), len(latency.samples)
    if sum(latency.processes) != taken:
        return "its samples do not add up over its processes"
    return None if taken >= needed else f"p{rank} needs {needed} samples, {taken} were taken"


def _energy(measured: Measurement, problem: str | None) -> Evidence:
    energy = measured.energy_j
    if energy is None or not (math.isfinite(energy) and energy > 0):
        return Evidence(kind="energy", problem="its energy is unknown")
    return Evidence(
        kind="energy", timing=Timing(logs=(math.log(energy),), within=0.0), problem=problem
    )


def _memory(report: Report, variant: Variant, detail: str) -> Evidence:
    if detail == "planned":
        return Evidence(kind="exact", exact=variant.cost.peak_bytes)
    if not detail:
        return _peak(report, variant)
    kept = variant.measurement.memory if variant.measurement is not None else None
    value: int | None = getattr(kept, detail) if kept is not None else None
    if value is None or (detail == "process" and value == 0):
        return Evidence(kind=kind_of(f"memory.{detail}"), problem=f"its memory.{detail} is unknown")
    if detail == "process":
        return Evidence(kind="process", timing=Timing(logs=(math.log(value),), within=0.0))
    return Evidence(kind="exact", exact=value)


def _peak(report: Report, variant: Variant) -> Evidence:
    measured = variant.measurement
    if measured is not None and measured.peak_bytes is not None:
        source = measured.peak_bytes_source or ""
        return Evidence(kind="exact", source=source, exact=measured.peak_bytes)
    if report.context.device.type == "cpu":
        # on a CPU the static plan is what memory means, measured or not
        return Evidence(kind="exact", source="planned", exact=variant.cost.peak_bytes)
    return Evidence(kind="exact", problem="its memory was not measured")


def timings(report: Report, metric: str, *, beside: bool) -> list[Timing]:
    """Return a timed metric of every variant that nothing disturbed.

    Args:
        report: The report.
        metric: One of latency.
        beside: Whether to return those that have a yardstick beside them, with it, or all without.
    """
    found = [evidence(report, variant, metric, beside=beside) for variant in report.variants]
    sound = [known.timing for known in found if known.timing is not None and not known.problem]
    return [timing for timing in sound if timing.host or not beside]
