"""The picture of a report: accuracy against latency, as points, a front and budgets.

What a page and a terminal draw is the same, and is decided here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..records import Report, Variant

Interval = tuple[float, float]

LATENCY = "latency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A variant in the picture.

    Attributes:
        variant: The variant.
        latency: Median latency in seconds.
        latency_interval: Its 95 % interval if measured, its 90 % band if predicted, or None.
        measured: Whether it was measured; predicted otherwise.
        worth: What is better when larger: predicted accuracy, or MACs where no accuracy is known.
        band: The 90 % band of the accuracy, or None.
    """

    variant: Variant
    latency: float
    latency_interval: Interval | None
    measured: bool
    worth: float
    band: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What there is to draw of a report.

    Attributes:
        quantity: What the vertical axis shows: ``accuracy``, or ``MACs`` where none is known.
        title: Its name with its unit.
        points: Variants of which both coordinates are known, the fastest first.
        front: Those that no other beats in both, the fastest first.
        limits: Latency budgets in seconds, by their text.
        missing: Variants without a point.
    """

    quantity: Literal["accuracy", "MACs"]
    title: str
    points: tuple[Point, ...]
    front: tuple[Point, ...]
    limits: dict[str, float]
    missing: int

    def of_strategy(self, strategy: str) -> tuple[Point, ...]:
        """Return the points of one strategy, the smallest first."""
        held = (p for p in self.points if strategy in p.variant.strategies)
        return tuple(sorted(held, key=lambda point: point.variant.cost.macs))


def picture(report: Report) -> Picture:
    """Lay out the variants of a report."""
    metric = _metric(report)
    found = (_point(variant, metric) for variant in report.variants)
    points = sorted(
        (point for point in found if point is not None),
        key=lambda point: (point.latency, -point.worth),
    )
    budgets = report.selection.budgets if report.selection is not None else ()
    return Picture(
        quantity="accuracy" if metric is not None else "MACs",
        title=_TITLES.get(metric, metric) if metric is not None else "MACs (no accuracy is known)",
        points=tuple(points),
        front=tuple(_front(points)),
        limits={b.text: b.limit for b in budgets if b.metric == LATENCY and b.bound == "<="},
        missing=len(report.variants) - len(points),
    )


_TITLES = {"top1_percent": "predicted top-1 %", "top1_gain": "predicted top-1 gain, points"}


def _metric(report: Report) -> str | None:
    """Return the metric that most variants have; None if no variant has any."""
    metrics = [v.accuracy.metric for v in report.variants if v.accuracy and _mean(v) is not None]
    return max(sorted(set(metrics)), key=metrics.count) if metrics else None


def _mean(variant: Variant) -> float | None:
    return variant.accuracy.mean if variant.accuracy is not None else None


def _point(variant: Variant, metric: str | None) -> Point | None:
    timed = _latency(variant)
    accuracy = variant.accuracy
    if timed is None:
        return None
    if metric is None:
        worth, band = float(variant.cost.macs), None
    elif accuracy is None or accuracy.metric != metric or accuracy.mean is None:
        return None
    else:
        worth = accuracy.mean
        known = accuracy.p05 is not None and accuracy.p95 is not None
        band = (accuracy.p05, accuracy.p95) if known else None
    latency, interval, measured = timed
    return Point(
        variant=variant,
        latency=latency,
        latency_interval=interval,
        measured=measured,
        worth=worth,
        band=band,  # type: ignore[arg-type]
    )


def _latency(variant: Variant) -> tuple[float, Interval | None, bool] | None:
    measured = variant.measurement
    if measured is not None:
        latency = measured.latency_s
        return None if latency is None else (latency.p50, latency.ci95, True)
    band = variant.prediction.latency_s if variant.prediction is not None else None
    return None if band is None else (band.p50, (band.p05, band.p95), False)


def _front(points: Iterable[Point]) -> Iterable[Point]:
    """Walk from fast to slow and keep what is better than all before."""
    best = float("-inf")
    for point in points:
        if point.worth > best:
            best = point.worth
            yield point
