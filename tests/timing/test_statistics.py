"""Statistics of samples, against scipy's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scaleprof.timing import midmean, midmean_error

SAMPLES = st.lists(st.floats(1e-6, 1e3), min_size=2, max_size=30)


@given(SAMPLES)
def test_the_middle_is_the_mean_without_the_outer_quarters(samples):
    assert midmean(samples) == pytest.approx(stats.trim_mean(samples, 0.25))


@given(SAMPLES)
def test_its_error_is_that_of_a_trimmed_mean(samples):
    want = stats.mstats.trimmed_stde(samples, limits=(0.25, 0.25))
    assert midmean_error(samples) == pytest.approx(float(want), abs=1e-12)


def test_one_sample_shows_no_error():
    assert (midmean([2.0]), midmean_error([2.0]), midmean_error([])) == (2.0, 0.0, 0.0)
