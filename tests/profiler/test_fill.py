import math

import pytest
from factories import variant
from hypothesis import given
from hypothesis import strategies as st

from scaleprof.profiler._fill import filling_multiplier, halfway, margin
from scaleprof.selection import parse_budgets, resolve_limits


def limits(*texts):
    return resolve_limits(parse_budgets(texts), variant("base", latency_s=0.010), batch=1)


def points(exponent, multipliers=(1.0, 2.0, 4.0)):
    return [
        variant(f"v{m}", latency_s=0.010 * m**exponent, multiplier=m, costs={"macs": int(1000 * m)})
        for m in multipliers
    ]


@given(st.floats(0.5, 1.5), st.floats(1.2, 5.0))
def test_a_power_law_is_solved_to_the_safe_side_of_the_limit(exponent, factor):
    wanted = filling_multiplier(points(exponent), limits(f"latency<={factor}x"), batch=1)
    reached = wanted**exponent
    assert wanted == pytest.approx(8.0) or 0.91 * factor <= reached <= 0.94 * factor


def test_an_exact_budget_is_filled_to_the_limit():
    assert filling_multiplier(points(1.0), limits("macs<=3000"), batch=1) == pytest.approx(3.0)


def test_the_tightest_budget_decides():
    both = limits("latency<=3x", "macs<=1500")
    assert filling_multiplier(points(1.0), both, batch=1) == pytest.approx(1.5)


def test_a_throughput_is_a_latency_the_other_way_round():
    wanted = filling_multiplier(points(1.0), limits("throughput>=50/s"), batch=1)
    assert wanted == pytest.approx(2.0 * margin(0.95))


def test_the_solution_stays_near_what_was_tried():
    assert filling_multiplier(points(1.0), limits("latency<=1000x"), batch=1) == 8.0
    assert filling_multiplier(points(1.0), limits("latency<=0.001x"), batch=1) == 0.5


def test_nothing_is_solved_for_a_quantity_that_is_unknown():
    assert filling_multiplier(points(1.0), limits("energy<=1J"), batch=1) is None


def test_noise_between_close_points_does_not_send_the_solution_away():
    close = [
        variant("a", latency_s=0.0100, multiplier=1.00),
        variant("b", latency_s=0.0099, multiplier=1.02),
    ]
    wanted = filling_multiplier(close, limits("latency<=1.1x"), batch=1)
    assert abs(math.log(wanted)) < math.log(2.0)


factors = st.lists(st.floats(0.1, 10.0), max_size=5)


@given(factors, factors)
def test_what_is_halfway_is_above_what_holds_and_below_what_misses(holding, missing):
    got = halfway(holding, missing)
    above = [m for m in missing if holding and m > max(holding)]
    if got is None:
        assert not above or min(above) < 1.25 * max(holding)
    else:
        assert max(holding) < got < min(above)
        assert got / max(holding) == pytest.approx(min(above) / got)
