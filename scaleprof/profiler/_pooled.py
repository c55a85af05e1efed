"""Measurements of one variant by two jobs, put together: what a report holds, and what is new."""

import math

from ..records import LatencyMeasurement, Measurement, Memory, Variant, replace
from ..reports.comparison import noise_of, timing_of
from ..timing import by_process, missing_percentiles, summarise

_CONFIDENCE = 0.95


def is_usable(measurement: Measurement | None) -> bool:
    """Tell whether a measurement holds latencies that nothing disturbed."""
    if measurement is None or measurement.latency_s is None or measurement.status != "ok":
        return False
    latency = measurement.latency_s
    whole = all(latency.processes) and sum(latency.processes) == len(latency.samples) > 0
    return whole and not (measurement.contended or measurement.throttled)


def shift(recorded: LatencyMeasurement, added: LatencyMeasurement) -> float | None:
    """Return by how much a machine is slower than it was, where it is not what it was.

    Both are of the same code: whatever sets them apart is the machine. Processes may be pooled only
    if nothing does.

    Args:
        recorded: Latencies of a report.
        added: Latencies of the same variant, measured now.

    Returns:
        The relative change of the latency; None if a 95 % interval of it includes none.
    """
    timings = [timing_of(each.samples, each.processes, 50) for each in (recorded, added)]
    known = [timing for timing in timings if timing is not None]
    if len(known) < len(timings):
        return None
    change = known[1].centre - known[0].centre
    half = noise_of(known, confidence=_CONFIDENCE).half_width(known)
    return math.expm1(change) if abs(change) > half else None


def with_added(recorded: Variant, added: Measurement) -> tuple[Variant, int]:
    """Return a variant with the processes that were measured now, and how many of them count.

    As in one job, processes that others disturbed do not count where there are others. What a
    measurement keeps as one number for all processes (energy, time of the device) stays as it was.

    Args:
        recorded: The variant as its report has it.
        added: What was measured of it now.
    """
    if not is_usable(added):
        return recorded, 0
    assert added.latency_s is not None
    new = len(added.latency_s.processes)
    before = recorded.measurement
    if before is None or not is_usable(before):
        gone = _processes(before) + (before.discarded_processes if before is not None else 0)
        alone = replace(added, discarded_processes=added.discarded_processes + gone)
        return replace(recorded, measurement=alone), new
    return replace(recorded, measurement=_together(before, added)), new


def _processes(measurement: Measurement | None) -> int:
    latency = measurement.latency_s if measurement is not None else None
    return len(latency.processes) if latency is not None else 0


def _together(before: Measurement, added: Measurement) -> Measurement:
    assert before.latency_s is not None
    assert added.latency_s is not None
    latency = summarise(
        [
            samples
            for latency in (before.latency_s, added.latency_s)
            for samples in by_process(latency.samples, latency.processes)
        ]
    )
    reasons = {k: why for k, why in before.reasons.items() if not k.startswith("latency_s.")}
    return replace(
        before,
        latency_s=latency,
        peak_bytes=_largest(before.peak_bytes, added.peak_bytes),
        memory=_memory(before.memory, added.memory),
        first_call_s=(*before.first_call_s, *added.first_call_s),
        noisy=before.noisy and added.noisy,
        timeout=before.timeout or added.timeout,
        foreign_cores=(*before.foreign_cores, *added.foreign_cores),
        gpu=(*before.gpu, *added.gpu),
        drift=_drift(before, added),
        busy_s=(*before.busy_s, *added.busy_s),
        discarded_processes=before.discarded_processes + added.discarded_processes,
        reasons=reasons | missing_percentiles(latency),
    )


def _drift(before: Measurement, added: Measurement) -> tuple[float, ...]:
    """Corrections by process; where neither was corrected, none."""
    if not (before.drift or added.drift):
        return ()
    return tuple(
        factor for one in (before, added) for factor in (one.drift or (1.0,) * _processes(one))
    )


def _memory(before: Memory | None, added: Memory | None) -> Memory | None:
    if before is None or added is None:
        return before or added
    return replace(
        before,
        allocated=_largest(before.allocated, added.allocated),
        reserved=_largest(before.reserved, added.reserved),
        process=_largest(before.process, added.process),
    )


def _largest(*values: int | None) -> int | None:
    return max((value for value in values if value is not None), default=None)
