"""Predict latency and memory of variants from those that are measured."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..prediction import (
    CARRIED,
    MIN_POINTS,
    ON_CPU,
    ON_GPU,
    CostPoint,
    LatencyLaw,
    RatePrior,
    RooflineLaw,
    Workload,
    carried,
    ceilings_of,
    explained_by,
    fit_exponents,
    fit_latency_law,
    fit_roofline,
    rate_prior,
    transferred_prior,
)
from ..records import BytesBand, Cost, DeviceLaw, LatencyBand, Prediction, Variant, replace
from ._tails import tail_ratios

# the allocator's peak over the static plan varies by at least this much between variants
_MIN_MEMORY_SPREAD = 0.03
_Z90 = statistics.NormalDist().inv_cdf(0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """What a profile of another device teaches.

    Attributes:
        law: Fitted to it.
        device: Name of the device.
        dtype: What was computed in.
    """

    law: RooflineLaw
    device: str
    dtype: str

    def prior(self, device: str) -> RatePrior:
        """Expect of a device the rates of the other one, times the ratio of their data sheets."""
        profiled, wanted = (ceilings_of(name, self.dtype) for name in (self.device, device))
        return transferred_prior(self.law, profiled, wanted)


def with_predictions(
    variants: Sequence[Variant], *, on_cpu: bool, device: str = "", like: Elsewhere | None = None
) -> list[Variant]:
    """Return the variants with what the law says of each.

    A measured variant is predicted from the others, so that its prediction can be held against it.

    Args:
        variants: All variants of one model.
        on_cpu: Whether the device is a CPU, whose peak bytes are the static plan.
        device: Its name, to look up its data sheet.
        like: What a profile of another device teaches.
    """
    latencies = _latencies(variants, on_cpu, device, like)
    tails = tail_ratios(variants)
    predictions = [
        _predict(v, variants, on_cpu, *latencies.get(v.id, (None, ""))) for v in variants
    ]
    return [
        replace(v, prediction=replace(known, tails=tails) if known else None)
        for v, known in zip(variants, predictions, strict=True)
    ]


def _predict(
    variant: Variant,
    variants: Sequence[Variant],
    on_cpu: bool,
    latency: LatencyBand | None,
    source: str,
) -> Prediction | None:
    others = [v for v in variants if v.id != variant.id]
    peak = _predict_peak(variant, others, on_cpu)
    reasons = {}
    if latency is None:
        reasons["latency_s"] = "no law: too few other variants were measured"
    if peak is None:
        reasons["peak_bytes"] = "no other variant was measured"
    if latency is None and peak is None:
        return None
    return Prediction(latency_s=latency, peak_bytes=peak, source=source, reasons=reasons)


def _latencies(
    variants: Sequence[Variant], on_cpu: bool, device: str, like: Elsewhere | None
) -> Mapping[str, tuple[LatencyBand, str]]:
    """Predict the latency of each variant; a measured one from the others alone."""
    timed = [v for v in variants if _median(v) is not None]
    law = roofline_law(variants, on_cpu=on_cpu, device=device, like=like)
    if law is None:
        return _by_log_fit(variants)
    untimed = [v for v in variants if _median(v) is None]
    source = "roofline by kind of work, fitted to {} other measured variants"
    if like is not None:
        source = f"{source} and to a profile on {like.device}"
    bands = law.bands(workloads([v.cost for v in untimed], like))
    known = dict(zip([v.id for v in untimed], bands, strict=True))
    found = {name: (band, source.format(len(timed))) for name, band in known.items()}
    if len(timed) > 1:
        left_out = source.format(len(timed) - 1)
        for variant, band in zip(timed, law.left_out_bands(), strict=True):
            found[variant.id] = (band, left_out)
    return found


def _by_log_fit(variants: Sequence[Variant]) -> dict[str, tuple[LatencyBand, str]]:
    """The law for variants whose work is not recorded."""
    found = {}
    for variant in variants:
        law = latency_law([v for v in variants if v.id != variant.id])
        if law is not None and min(variant.cost.macs, variant.cost.activations) > 0:
            band = law.predict(macs=variant.cost.macs, activations=variant.cost.activations)
            source = f"log fit on MACs and activations of {law.points} other measured variants"
            found[variant.id] = (band, source)
    return found


def roofline_law(
    variants: Sequence[Variant], *, on_cpu: bool, device: str = "", like: Elsewhere | None = None
) -> RooflineLaw | None:
    """Fit the roofline to those variants that are measured.

    Args:
        variants: All variants of one model.
        on_cpu: Whether the device is a CPU.
        device: Its name, to look up its data sheet.
        like: What a profile of another device teaches.

    Returns:
        The law; None where nothing is measured or the work of a variant is not recorded.
    """
    timed = [v for v in variants if _median(v) is not None]
    if not timed or not all(v.cost.work for v in variants):
        return None
    dtypes = [spec.dtype for spec in timed[0].cost.inputs if "float" in spec.dtype]
    if like is not None:
        prior, residual = like.prior(device), CARRIED
    else:
        dtype = dtypes[0] if dtypes else "float32"
        prior = rate_prior("cpu" if on_cpu else "gpu", device, dtype)
        residual = ON_CPU if on_cpu else ON_GPU
    return fit_roofline(
        workloads([v.cost for v in timed], like),
        [latency for v in timed if (latency := _median(v)) is not None],
        prior,
        residual,
    )


def workloads(costs: Sequence[Cost], like: Elsewhere | None = None) -> list[Workload]:
    """Return variants as the law sees them, with how far they departed from it elsewhere."""
    # all variants of a profile are one family
    works = [Workload(work=cost.work) for cost in costs]
    return works if like is None else carried(like.law, works)


def latency_law(variants: Sequence[Variant]) -> LatencyLaw | None:
    """Fit the log law to those variants that are measured; None if they are too few."""
    points = [
        CostPoint(macs=variant.cost.macs, activations=variant.cost.activations, latency_s=latency_s)
        for variant in variants
        if (latency_s := _median(variant)) is not None
        and min(variant.cost.macs, variant.cost.activations) > 0
    ]
    return fit_latency_law(points) if len(points) >= MIN_POINTS else None


def device_law(
    variants: Sequence[Variant], *, on_cpu: bool, device: str = "", like: Elsewhere | None = None
) -> DeviceLaw | None:
    """Describe how latency grows on the device; None when fewer than two variants are measured.

    Args:
        variants: All variants of one model, the base first.
        on_cpu: Whether the device is a CPU.
        device: Its name, to look up its data sheet.
        like: What a profile of another device teaches.
    """
    timed = [v for v in variants if _median(v) is not None]
    latencies = [latency for v in timed if (latency := _median(v)) is not None]
    if len(timed) < MIN_POINTS:
        return None
    law = roofline_law(timed, on_cpu=on_cpu, device=device, like=like)
    error, covered = _left_out(law, latencies)
    why = "the work of the variants is not recorded"
    fields = ("starting_share", "starting_dominates_below", "left_out_error", "covered")
    return DeviceLaw(
        exponents=fit_exponents([v.recipe.achieved for v in timed], latencies),
        errors=explained_by(
            [
                {name: getattr(v.cost, name) for name in ("macs", "activations", "traffic_bytes")}
                for v in timed
            ],
            latencies,
        ),
        starting_share=law.starting_share(variants[0].cost.work) if law else None,
        starting_dominates_below=(
            law.starting_dominates_below(variants[0].cost.work) if law else None
        ),
        left_out_error=error,
        covered=covered,
        variants=len(timed),
        reasons={} if law else dict.fromkeys(fields, why),
    )


def _left_out(
    law: RooflineLaw | None, latencies: Sequence[float]
) -> tuple[float | None, float | None]:
    """Median error and coverage of measured variants, each predicted from the others."""
    if law is None:
        return None, None
    pairs = list(zip(law.left_out_bands(), latencies, strict=True))
    errors = [abs(band.p50 / latency - 1) for band, latency in pairs]
    covered = [band.p05 <= latency <= band.p95 for band, latency in pairs]
    return statistics.median(errors), statistics.fmean(covered)


def _median(variant: Variant) -> float | None:
    measured = variant.measurement
    return measured.latency_s.p50 if measured is not None and measured.latency_s else None


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
