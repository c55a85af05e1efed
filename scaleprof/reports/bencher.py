"""Reports in Bencher Metric Format, for ``bencher run --adapter json --file PATH``.

The schema is that of https://bencher.dev/docs/reference/bencher-metric-format: a benchmark has
measures, a measure a value and perhaps bounds. Latency is in nanoseconds and throughput in items a
second, as Bencher's measures of these names are.
"""

import json
from collections.abc import Sequence

from ..records import Report
from ._measured import Measured, measured_variants

Metric = dict[str, float]


def bencher_json(reports: Sequence[Report]) -> str:
    """Show what was measured, with the 95 % interval of each median as its bounds.

    Args:
        reports: One or more reports.

    Raises:
        ReportError: If nothing was measured.
        InputError: If two reports measured the same variant.
    """
    benchmarks = {m.name: _measures(m) for m in measured_variants(reports)}
    return json.dumps(benchmarks, indent=1, ensure_ascii=False) + "\n"


def _measures(measured: Measured) -> dict[str, Metric]:
    latency, cost = measured.latency, measured.variant.cost
    batch = measured.report.context.batch
    low, high = latency.ci95 or (None, None)
    measures = {
        "latency": _metric(1e9 * latency.p50, low and 1e9 * low, high and 1e9 * high),
        "throughput": _metric(batch / latency.p50, high and batch / high, low and batch / low),
        "macs": _metric(cost.macs),
        "activations": _metric(cost.activations),
        "params": _metric(cost.params),
    }
    measurement = measured.variant.measurement
    if measurement is not None and measurement.peak_bytes is not None:
        measures["memory"] = _metric(measurement.peak_bytes)
    return measures


def _metric(value: float, low: float | None = None, high: float | None = None) -> Metric:
    bounds = {"lower_value": low, "upper_value": high}
    return {"value": value} | {key: end for key, end in bounds.items() if end is not None}
