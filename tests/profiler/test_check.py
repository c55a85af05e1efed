"""What the check of a choice may call verified: only what it measured itself."""

from factories import measured, predicted, variant

from scaleprof.profiler._check import _unread
from scaleprof.profiler._options import Options
from scaleprof.records import RatioBand, replace
from scaleprof.selection import parse_budgets

TAIL = RatioBand(p50=1.2, p05=1.1, p95=1.3)


def checked(p99=None):
    found = measured(0.01)
    found = replace(
        found,
        latency_s=replace(found.latency_s, p99=p99),
        reasons={} if p99 else {"latency_s.p99": "needs 662 samples, 80 were taken"},
    )
    prediction = replace(predicted(0.01, p05=0.009, p95=0.011), tails={"p99": TAIL})
    return variant("a", measurement=found, prediction=prediction)


def asking(*budgets):
    return Options(budgets=parse_budgets(budgets))


def test_a_percentile_that_was_only_estimated_is_not_verified():
    why = _unread(checked(), asking("latency<=20ms", "latency.p99<=20ms"))
    assert why.startswith("latency.p99 needs 662 samples, 80 were taken")
    assert "--time-limit" in why


def test_a_percentile_that_was_measured_is():
    assert _unread(checked(p99=0.013), asking("latency.p99<=20ms")) is None


def test_counts_and_medians_need_no_more_samples():
    assert _unread(checked(), asking("latency<=20ms", "params<=1k", "throughput>=1/s")) is None
