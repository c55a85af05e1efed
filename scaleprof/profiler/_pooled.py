"""Measurements of one variant by two jobs, put together: what a report holds, and what is new."""

import math
from collections.abc import Sequence

from ..records import Measurement, Memory, Variant, replace
from ..reports.comparison import Timing, noise_of, timing_of
from ..timing import by_process, missing_percentiles, summarise

_CONFIDENCE = 0.95


def is_usable(measurement: Measurement | None) -> bool:
    """Tell whether a measurement holds latencies that nothing disturbed."""
    if measurement is None or measurement.latency_s is None or measurement.status != "ok":
        return False
    latency = measurement.latency_s
    whole = all(latency.processes) and sum(latency.processes) == len(latency.samples) > 0
    for each in (measurement.drift, measurement.yardsticks_s):
        whole = whole and len(each) in (0, len(latency.processes))
    return whole and not (measurement.contended or measurement.throttled)


def shift(recorded: Measurement, added: Measurement) -> float | None:
    """Return by how much a machine is slower than it was, where it is not what it was.

    Both are of the same code: whatever sets them apart is the machine. Processes may be pooled only
    if nothing does.

    Args:
        recorded: What a report holds.
        added: The same variant, measured now.

    Returns:
        The relative change of the latency; None if a 95 % interval of it includes none.
    """
    known = _timings(recorded, added, beside=True)
    beside = all(timing.host for timing in known)
    if not beside:
        known = _timings(recorded, added, beside=False)
    if len(known) < 2:
        return None
    found = noise_of(known, confidence=_CONFIDENCE, beside=beside).estimate(*known)
    return math.expm1(found.centre) if abs(found.centre) > found.half_width() else None


def _timings(*measurements: Measurement, beside: bool) -> list[Timing]:
    found = (timing_of(measurement, 50, beside=beside) for measurement in measurements)
    return [timing for timing in found if timing is not None]


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
    new = added.counted_processes
    before = recorded.measurement
    if before is None or not is_usable(before):
        gone = before.counted_processes + before.discarded_processes if before is not None else 0
        alone = replace(added, discarded_processes=added.discarded_processes + gone)
        return replace(recorded, measurement=alone), new
    return replace(recorded, measurement=_together(before, added)), new


def _together(before: Measurement, added: Measurement) -> Measurement:
    latency = summarise([*_by_process(before), *_by_process(added)])
    both_know = before.yardsticks_s and added.yardsticks_s
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
        yardsticks_s=(*before.yardsticks_s, *added.yardsticks_s) if both_know else (),
        busy_s=(*before.busy_s, *added.busy_s),
        discarded_processes=before.discarded_processes + added.discarded_processes,
        reasons=reasons | missing_percentiles(latency),
    )


def _by_process(measurement: Measurement) -> list[Sequence[float]]:
    assert measurement.latency_s is not None
    return by_process(measurement.latency_s.samples, measurement.latency_s.processes)


def _drift(before: Measurement, added: Measurement) -> tuple[float, ...]:
    """Corrections by process; where neither was corrected, none."""
    if not (before.drift or added.drift):
        return ()
    return tuple(
        factor
        for one in (before, added)
        for factor in (one.drift or (1.0,) * one.counted_processes)
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
