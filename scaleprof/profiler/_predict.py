"""Predict latency and memory of variants from those that are measured."""

import math
import statistics
from collections.abc import Sequence

from ..prediction import MIN_POINTS, CostPoint, LatencyLaw, fit_latency_law
from ..records import BytesBand, Prediction, Variant, replace

# the allocator's peak over the static plan varies by at least this much between variants
_MIN_MEMORY_SPREAD = 0.03
_Z90 = statistics.NormalDist().inv_cdf(0.95)


def with_predictions(variants: Sequence[Variant], *, on_cpu: bool) -> list[Variant]:
    """Return the variants with what the law says of each.

    A measured variant is predicted from the others, so that its prediction can be held against it.
    """
    return [replace(v, prediction=_predict(v, variants, on_cpu)) for v in variants]


def _predict(variant: Variant, variants: Sequence[Variant], on_cpu: bool) -> Prediction | None:
    others = [v for v in variants if v.id != variant.id]
    law, reasons = latency_law(others), {}
    if law is None:
        reasons["latency_s"] = f"a law needs {MIN_POINTS} other measured variants"
    peak = _predict_peak(variant, others, on_cpu)
    if peak is None:
        reasons["peak_bytes"] = "no other variant was measured"
    if law is None and peak is None:
        return None
    points = law.points if law else 0
    latency = None
    if law is not None:
        latency = law.predict(macs=variant.cost.macs, activations=variant.cost.activations)
    source = f"log fit on MACs and activations of {points} other measured variants"
    return Prediction(latency_s=latency, peak_bytes=peak, source=source, reasons=reasons)


def latency_law(variants: Sequence[Variant]) -> LatencyLaw | None:
    """Fit the latency law to those variants that are measured; None if they are too few."""
    points = [
        CostPoint(
            macs=variant.cost.macs,
            activations=variant.cost.activations,
            latency_s=variant.measurement.latency_s.p50,
        )
        for variant in variants
        if variant.measurement is not None
        and variant.measurement.latency_s is not None
        and min(variant.cost.macs, variant.cost.activations) > 0
    ]
    return fit_latency_law(points) if len(points) >= MIN_POINTS else None


def _predict_peak(variant: Variant, others: Sequence[Variant], on_cpu: bool) -> BytesBand | None:
    planned = float(variant.cost.peak_bytes)
    if on_cpu:
        # memory on a CPU is the static plan, which is exact
        return BytesBand(mean=planned, p05=planned, p95=planned)
    logs = [
        math.log(v.measurement.peak_bytes / v.cost.peak_bytes)
        for v in others
        if v.measurement is not None and v.measurement.peak_bytes and v.cost.peak_bytes
    ]
    if not logs:
        return None
    centre = statistics.fmean(logs)
    spread = max(statistics.stdev(logs) if len(logs) > 1 else 0.1, _MIN_MEMORY_SPREAD)
    low, middle, high = (planned * math.exp(centre + z * spread) for z in (-_Z90, 0.0, _Z90))
    return BytesBand(mean=middle, p05=low, p95=high)
