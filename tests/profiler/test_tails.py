"""Percentiles of variants with few samples, from the tail that all of them show."""

import math
import random

import pytest
from factories import measured, predicted, variant

from scaleprof.profiler._tails import tail_ratios
from scaleprof.records import RatioBand, replace
from scaleprof.selection import quantity


def sampled(identifier, median, *, processes=2, taken=100, seed=0, contended=False):
    """A variant whose samples are even between 0.9 and 1.1 of a median, in several processes."""
    even = [median * (0.9 + 0.2 * i / (taken - 1)) for i in range(taken)]
    # processes differ in nothing but their order, unless a seed says otherwise
    shift = random.Random(seed).uniform(0.99, 1.01) if seed else 1.0
    samples = tuple(shift * sample for _ in range(processes) for sample in even)
    whole = measured(median)
    latency = replace(whole.latency_s, samples=samples, processes=(taken,) * processes)
    return variant(
        identifier, measurement=replace(whole, latency_s=latency, contended=contended), top1=70.0
    )


def test_a_tail_is_seen_in_all_variants_together():
    # 8 processes with 100 samples each are enough for p99, no variant alone is
    variants = [sampled(f"v{i}", 0.01 * (i + 1), seed=i) for i in range(4)]
    ratios = tail_ratios(variants)
    # samples are even from 0.9 to 1.1: the 90th of 100 is 0.9 + 0.2 * 89 / 99
    assert ratios["p90"].p50 == pytest.approx(0.9 + 0.2 * 89 / 99)
    assert ratios["p99"].p50 == pytest.approx(0.9 + 0.2 * 98 / 99)
    assert ratios["p99"].p05 < ratios["p99"].p50 < ratios["p99"].p95


def test_what_is_rarer_than_all_samples_is_left_out():
    # 200 samples tell of p90 (64 are needed), not of p99 (662)
    assert set(tail_ratios([sampled("base", 0.01)])) == {"p90"}


def test_one_process_tells_nothing_of_how_processes_differ():
    assert tail_ratios([sampled("base", 0.01, processes=1, taken=700)]) == {}


def test_processes_that_others_disturbed_count_only_where_there_are_no_others():
    calm = sampled("a", 0.01, taken=50)
    busy = sampled("b", 0.01, taken=90, contended=True)
    assert tail_ratios([calm, busy]) == tail_ratios([calm])
    assert tail_ratios([calm]) != tail_ratios([replace(calm, measurement=busy.measurement)])
    assert tail_ratios([busy]) != {}


TAIL = RatioBand(p50=1.2, p05=1.2 / 1.1, p95=1.2 * 1.1)


def with_tail(found):
    prediction = found.prediction or predicted(0.02, p05=0.019, p95=0.021)
    return replace(found, prediction=replace(prediction, tails={"p99": TAIL}))


def test_a_predicted_percentile_is_the_predicted_median_times_the_tail():
    found = with_tail(variant("a", prediction=predicted(0.02, p05=0.018, p95=0.0222)))
    known = quantity(found, "latency.p99", batch=1)
    assert (known.value, known.source) == (pytest.approx(0.024), "predicted")
    # ln(1.1) and half of ln(0.0222 / 0.018), over 1.645, added as squares
    want = math.hypot(math.log(1.1), math.log(0.0222 / 0.018) / 2) / 1.6449
    assert known.spread == pytest.approx(want, rel=1e-3)


def test_a_measured_median_takes_the_tail_too_and_says_so():
    known = quantity(with_tail(variant("a", latency_s=0.01)), "latency.p99", batch=1)
    assert (known.value, known.source) == (pytest.approx(0.012), "estimated")


def test_a_measured_percentile_is_what_was_measured():
    found = with_tail(variant("a", latency_s=0.01))
    latency = replace(found.measurement.latency_s, p99=0.0131)
    found = replace(found, measurement=replace(found.measurement, latency_s=latency))
    known = quantity(found, "latency.p99", batch=1)
    assert (known.value, known.source) == (0.0131, "measured")


def test_without_a_tail_a_percentile_is_unknown():
    assert quantity(variant("a", latency_s=0.01), "latency.p99", batch=1) is None
