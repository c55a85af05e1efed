"""Reports as JSON of pytest-benchmark, for ``pytest-benchmark compare`` and what else reads it.

Keys and statistics are those of ``pytest_benchmark.stats.Stats``,
https://github.com/ionelmc/pytest-benchmark.
"""

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from statistics import median

from ..errors import ReportError
from ..records import Report
from ._measured import Measured, measured_variants
from ._text import one_line

# whose format this is
_VERSION = "5.0.0"
_FENCE = 1.5

Json = dict[str, object]


def pytest_benchmark_json(reports: Sequence[Report]) -> str:
    """Show all samples of what was measured, with their statistics.

    Args:
        reports: One or more reports; machine, commit and time are those of the first.

    Raises:
        ReportError: If nothing was measured, or a measurement holds no samples.
        InputError: If two reports measured the same variant.
    """
    context = reports[0].context
    content = {
        "machine_info": {
            "machine": one_line(context.platform),
            "cpu": {"brand_raw": one_line(context.device.name), "count": context.device.cores},
            **{f"{one_line(name)}_version": one_line(v) for name, v in context.versions.items()},
        },
        "commit_info": {"id": one_line(context.git_commit or "unknown")},
        "benchmarks": [_benchmark(measured) for measured in measured_variants(reports)],
        "datetime": one_line(context.started_at),
        "version": _VERSION,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _benchmark(measured: Measured) -> Json:
    if not measured.latency.samples:
        raise ReportError(f"`{measured.name}` was measured without any samples")
    return {
        "group": None,
        "name": measured.name,
        "fullname": measured.name,
        "params": None,
        "param": None,
        "extra_info": {"device": one_line(measured.report.context.device.name)},
        "options": {"warmup": True},
        "stats": _statistics(measured.latency.samples),
    }


def _statistics(samples: Sequence[float]) -> Json:
    data, total = sorted(samples), math.fsum(samples)
    mean = total / len(data)
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in data) / max(len(data) - 1, 1))
    low, high = _quartile(data), _quartile(data, upper=True)
    reach = _FENCE * (high - low)
    first, last = bisect_left(data, low - reach), bisect_right(data, high + reach)
    beyond = bisect_left(data, mean - deviation) + len(data) - bisect_right(data, mean + deviation)
    iqr_outliers = first + len(data) - last
    return {
        "min": data[0],
        "max": data[-1],
        "mean": mean,
        "stddev": deviation,
        "rounds": len(data),
        "iterations": 1,
        "median": median(data),
        "iqr": high - low,
        "q1": low,
        "q3": high,
        "iqr_outliers": iqr_outliers,
        "stddev_outliers": beyond,
        "outliers": f"{beyond};{iqr_outliers}",
        "ld15iqr": data[first],
        "hd15iqr": data[last - 1],
        "ops": len(data) / total,
        "total": total,
        "data": list(samples),
    }


def _quartile(data: Sequence[float], *, upper: bool = False) -> float:
    """Return the mean of the medians of one half, without and with the middle value."""
    if len(data) == 1:
        return data[0]
    without, among = len(data) // 2, (len(data) + 1) // 2
    halves = (data[-without:], data[-among:]) if upper else (data[:without], data[:among])
    return sum(map(median, halves)) / 2
