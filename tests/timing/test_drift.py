import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleprof.timing import drift_of

latencies = st.lists(st.floats(0.5, 2.0), min_size=3, max_size=12)


def test_a_machine_that_slows_down_is_corrected_where_it_did():
    # usual is the median, 1.15; at 25 s between 1.3 and 1.3: 1.3 / 1.15
    drift = drift_of([0, 10, 20, 30], [1.0, 1.0, 1.3, 1.3])
    assert drift.corrected
    assert drift.factor(25) == pytest.approx(1.3 / 1.15)
    # between two sentinels, what lies between
    assert drift.factor(15) == pytest.approx((1.0 + 1.3) / 2 / 1.15)
    # before the first and after the last, what they say
    assert (drift.factor(-5), drift.factor(99)) == (drift.factors[0], drift.factors[-1])
    assert drift.largest == pytest.approx(1.0 - 1.0 / 1.15, abs=0.01)


def test_one_unlucky_process_is_no_drift():
    drift = drift_of([0, 10, 20, 30], [1.0, 1.8, 1.01, 1.0])
    assert not drift.corrected
    assert drift.factor(10) == 1.0
    assert drift.largest < 0.05


def test_noise_of_the_machine_is_reported_but_not_corrected():
    drift = drift_of([0, 10, 20, 30], [1.0, 1.0, 1.04, 1.04])
    assert not drift.corrected
    assert drift.largest == pytest.approx(0.02, abs=0.001)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_two_sentinels_say_nothing(count):
    drift = drift_of(range(count), [1.0, 2.0][:count])
    assert drift.largest is None
    assert drift.factor(1.0) == 1.0


@given(latencies, st.floats(0.1, 10.0))
def test_the_unit_of_latency_does_not_matter(values, unit):
    times = range(len(values))
    factors = drift_of(times, values).factors
    assert drift_of(times, [v * unit for v in values]).factors == pytest.approx(factors)


@given(latencies, st.floats(-1, 20))
def test_a_factor_lies_between_those_of_the_sentinels(values, at):
    drift = drift_of(range(len(values)), values)
    assert min(drift.factors) - 1e-9 <= drift.factor(at) <= max(drift.factors) + 1e-9
