"""Reports for github-action-benchmark, with ``tool: customSmallerIsBetter``.

The fields are those of ``BenchmarkResult`` in its ``src/extract.ts``,
https://github.com/benchmark-action/github-action-benchmark. It writes names into Markdown tables.
"""

import json
from collections.abc import Iterator, Sequence

from ..records import Report
from ._cells import call_lines
from ._measured import Measured, measured_variants
from ._text import one_line

Entry = dict[str, str | float]


def github_benchmark_json(reports: Sequence[Report]) -> str:
    """Show the median latency, in milliseconds, and the peak memory of what was measured.

    Args:
        reports: One or more reports.

    Raises:
        ReportError: If nothing was measured.
        InputError: If two reports measured the same variant.
    """
    entries = [entry for m in measured_variants(reports) for entry in _entries(m)]
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def _entries(measured: Measured) -> Iterator[Entry]:
    latency, measurement = measured.latency, measured.variant.measurement
    call = call_lines(measured.variant)[-1]
    extra = f"{one_line(measured.report.context.device.name)}\n{call}"
    entry: Entry = {
        "name": f"{measured.name} latency.p50",
        "unit": "ms",
        "value": 1e3 * latency.p50,
        "extra": extra,
    }
    if latency.ci95 is not None:
        entry["range"] = f"± {1e3 * (latency.ci95[1] - latency.ci95[0]) / 2:.4g}"
    yield entry
    if measurement is not None and measurement.peak_bytes is not None:
        name, peak = f"{measured.name} memory", measurement.peak_bytes
        yield {"name": name, "unit": "bytes", "value": peak, "extra": extra}
