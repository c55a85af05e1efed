import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleprof.timing import FOLLOWS, calibration_of


def test_spread_and_smallest_effect_by_hand():
    # logs of e^-0.02, e^-0.01, 1, e^0.01, e^0.02: median distance 0.01, over 0.6745
    latencies = [math.exp(log) for log in (-0.02, -0.01, 0.0, 0.01, 0.02)]
    found = calibration_of(latencies, model="m", measured_at="now", disturbed=3)
    assert found.spread == pytest.approx(0.01 / 0.6745)
    # two means of ten each: 1.96 × spread × √(2/10)
    assert found.smallest_effect == pytest.approx(
        math.exp(1.959964 * 0.01 / 0.6745 * math.sqrt(0.2)) - 1
    )
    assert found.disturbed == 3


def test_what_the_yardstick_tells_does_not_make_a_machine_noisy():
    hosts = [1.0, 1.3, 0.9, 1.2, 1.1]
    left = [0.02, -0.01, 0.0, 0.01, -0.02]
    latencies = [host**FOLLOWS * math.exp(by) for host, by in zip(hosts, left, strict=True)]
    found = calibration_of(latencies, model="m", measured_at="now", yardsticks_s=hosts)
    assert found.spread > 0.1
    assert found.spread_beside == pytest.approx(0.01 / 0.6745)
    assert found.smallest_effect == pytest.approx(
        math.exp(1.959964 * 0.01 / 0.6745 * math.sqrt(0.2)) - 1
    )


def test_one_process_that_is_far_off_does_not_make_a_machine_noisy():
    quiet = [1.0, 1.001, 0.999, 1.002, 0.998, 1.0]
    spread = calibration_of(quiet, model="m", measured_at="now").spread
    assert calibration_of([*quiet, 1.8], model="m", measured_at="now").spread < 2 * spread + 1e-3


@given(st.lists(st.floats(0.1, 10.0), min_size=5, max_size=20), st.floats(0.01, 100.0))
def test_the_unit_does_not_matter(latencies, unit):
    spread = calibration_of(latencies, model="m", measured_at="now").spread
    other = calibration_of([x * unit for x in latencies], model="m", measured_at="now").spread
    assert other == pytest.approx(spread, abs=1e-9)
