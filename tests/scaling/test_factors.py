import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleprof.errors import RecipeError
from scaleprof.scaling import STRATEGIES, round_to_step, scale_depths, strategy_factors

scales = st.floats(0.01, 100)


@given(st.sampled_from(list(STRATEGIES)), scales)
def test_the_factors_multiply_to_the_scale(strategy, scale):
    assert strategy_factors(strategy, scale).flops_multiplier == pytest.approx(scale, rel=1e-9)


def test_compound_scaling_splits_compute_in_three_equal_parts():
    # Dollár et al. 2021: each axis gets s^(1/3) of the FLOPs; width and resolution enter squared
    factors = strategy_factors("dwr", 64.0)
    assert (factors.depth, factors.width, factors.resolution) == pytest.approx((4.0, 2.0, 2.0))


def test_fast_compound_scaling_puts_four_fifths_into_width():
    # alpha = 0.8: w = s^0.4, d = s^0.1, r = s^0.05
    factors = strategy_factors("dWr", 10.0)
    assert factors.width == pytest.approx(10**0.4)
    assert factors.depth == pytest.approx(10**0.1)
    assert factors.resolution == pytest.approx(10**0.05)


# scale, depth, width, resolution: what `scaling_factors` of pycls (pycls/models/scaler.py) returns
# for these of its strategy strings; its "d1_w8_g8_r1" is dWr here
PYCLS = [
    ("d", 2.0, 2.0, 1.0, 1.0),
    ("w", 2.0, 1.0, 1.4142135623730951, 1.0),
    ("r", 8.0, 1.0, 1.0, 2.8284271247461903),
    ("dw", 3.7, 1.9235384061671346, 1.386916870676514, 1.0),
    ("dr", 0.5, 0.7071067811865476, 1.0, 0.8408964152537145),
    ("wr", 4.0, 1.0, 1.4142135623730951, 1.4142135623730951),
    ("dwr", 3.7, 1.5466803737720354, 1.2436560512344381, 1.2436560512344381),
    ("dWr", 0.5, 0.9330329915368074, 0.757858283255199, 0.9659363289248456),
    ("dWr", 4.0, 1.148698354997035, 1.7411011265922482, 1.0717734625362931),
    ("dWr", 8.0, 1.2311444133449163, 2.29739670999407, 1.109569472067845),
]


@pytest.mark.parametrize(("strategy", "scale", "depth", "width", "resolution"), PYCLS)
def test_factors_equal_those_of_pycls(strategy, scale, depth, width, resolution):
    factors = strategy_factors(strategy, scale)
    assert factors.depth == pytest.approx(depth, rel=1e-9)
    assert factors.width == pytest.approx(width, rel=1e-9)
    assert factors.resolution == pytest.approx(resolution, rel=1e-9)


@given(st.sampled_from(list(STRATEGIES)))
def test_scale_one_changes_nothing(strategy):
    factors = strategy_factors(strategy, 1.0)
    assert (factors.depth, factors.width, factors.resolution) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_that_is_not_positive_is_refused(scale):
    with pytest.raises(RecipeError, match="positive"):
        strategy_factors("d", scale)


def test_an_unknown_strategy_names_the_known_ones():
    with pytest.raises(RecipeError, match="`q`") as caught:
        strategy_factors("q", 2.0)
    assert "dWr" in caught.value.hint


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.floats(0.2, 6))
def test_scaled_depths_keep_the_total_as_near_as_one_block(depths, factor):
    scaled = scale_depths(depths, factor)
    wanted = sum(depths) * factor
    assert min(scaled) >= 1
    # a stage keeps one block at least, which alone may push the total above
    assert sum(scaled) >= wanted - 0.5
    assert sum(scaled) <= max(wanted + 0.5, sum(max(1, int(d * factor)) for d in depths))


def test_a_stage_without_blocks_gets_none():
    assert scale_depths([0, 2, 8], 2.0) == [0, 4, 16]


@given(st.floats(0.1, 1e5), st.sampled_from([1, 8, 32, 64]))
def test_rounding_is_to_the_nearest_step_and_never_to_zero(value, step):
    got = round_to_step(value, step)
    assert got % step == 0
    assert got >= step
    assert got == step or abs(got - value) <= step / 2
