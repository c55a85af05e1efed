import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleprof.prediction._accuracy import (
    AccuracyQuery,
    TrainedModel,
    fit_accuracy_law,
    leave_largest_out,
    relative_gain_law,
)
from scaleprof.prediction._accuracy_query import credited_gmacs
from scaleprof.prediction._mixtures import lognormal_difference, mixture_quantile
from scaleprof.prediction._prior_learning import FamilyRecord, learn_prior
from scaleprof.prediction._priors import PUBLISHED_PRIOR, REGIMES, regime_weights
from scaleprof.prediction._recipe_shape import kernel_gain, shape_features, thinness

# RegNetX under pycls's one plain recipe of 100 epochs (profiles/accuracy/imagenet.csv)
REGNETX = [
    (0.199041, 68.912),
    (0.397679, 72.618),
    (0.799701, 75.154),
    (1.60285, 76.962),
    (3.17662, 78.264),
    (6.46029, 79.156),
    (12.0867, 79.712),
    (31.7359, 80.502),
]

top1 = st.floats(20.0, 90.0)
gmacs = st.floats(0.05, 100.0)
factor = st.floats(0.25, 4.0)
regimes = st.sampled_from([*REGIMES, None, "my own recipe"])


def models(pairs):
    return [TrainedModel(gmacs=g, metric=value) for g, value in pairs]


def query(gmacs, **factors):
    return AccuracyQuery(gmacs=gmacs, **factors)


# What it predicts


def test_regnetx_is_extrapolated_fourfold_from_its_four_smallest():
    law = fit_accuracy_law(models(REGNETX[:4]), regime="plain")
    got = law.predict(query(6.46029))
    assert got.mean == pytest.approx(79.156, abs=0.7)
    assert got.p05 < 79.156 < got.p95


def test_many_exact_anchors_of_a_power_law_with_floor_are_continued():
    # e = 16 + 8 C^-0.5: at C = 16 the error is 16 + 8 / 4 = 18
    curve = [(c, 100 - 16 - 8 / math.sqrt(c)) for c in (0.25, 0.5, 1, 2, 4, 8)]
    law = fit_accuracy_law(models(curve), regime="plain")
    assert law.predict(query(16.0)).mean == pytest.approx(82.0, abs=0.15)


def test_predictions_of_one_anchor_are_those_on_record():
    # a change here is a change of the law: say so in the changelog
    law = fit_accuracy_law([TrainedModel(gmacs=4.089, metric=76.13)], regime="plain")
    got = [law.predict(query(g)) for g in (2.0, 8.0, 16.0)]
    assert [round(p.mean, 2) for p in got] == [73.7, 77.84, 79.09]
    assert all(p.p05 < p.mean < p.p95 for p in got)


def test_a_trained_variant_is_known_not_predicted():
    law = fit_accuracy_law(models(REGNETX[:3]))
    got = law.predict(query(0.397679))
    assert (got.status, got.mean, got.p05, got.p95) == ("anchor", 72.618, 72.618, 72.618)


def test_a_model_trained_twice_is_known_by_its_mean():
    law = fit_accuracy_law(models([(1.0, 75.0), (1.0, 76.0)]))
    assert law.predict(query(1.0)).mean == 75.5


@settings(max_examples=25, deadline=None)
@given(gmacs, top1, regimes, st.floats(0.25, 16.0))
def test_predictions_lie_between_0_and_100_inside_their_band(base, value, regime, reach):
    law = fit_accuracy_law([TrainedModel(gmacs=base, metric=value)], regime=regime)
    got = law.predict(query(min(base * reach, 16 * base)))
    assert 0 <= got.p05 <= got.p95 <= 100
    assert got.mean is None or got.p05 <= got.mean <= got.p95


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(gmacs, top1), min_size=1, max_size=6),
    regimes,
    st.floats(0, 1),
    st.booleans(),
)
def test_more_balanced_compute_never_predicts_less_accuracy(pairs, regime, where, transformer):
    law = fit_accuracy_law(models(pairs), regime=regime, family_is_transformer=transformer)
    low, high = min(g for g, _ in pairs) / 3.9, max(g for g, _ in pairs) * 15
    computes = np.geomspace(low, high, 12) * 1.01**where
    values = [law.predict(query(g)) for g in computes]
    means = [v.mean for v in values if v.status == "ok"]
    assert all(small <= large + 1e-9 for small, large in pairwise(means))


def test_reversed_anchors_do_not_make_larger_variants_look_worse():
    # plain EfficientNet falls from B4 to B5 (pycls)
    law = fit_accuracy_law(models([(1.8, 77.5), (4.4, 78.6), (10.3, 78.3)]), regime="plain")
    means = [law.predict(query(g)).mean for g in np.geomspace(2.0, 40.0, 30)]
    assert np.all(np.diff(means) >= -1e-9)


def test_bands_widen_with_the_reach():
    law = fit_accuracy_law(models(REGNETX[2:5]), regime="plain")
    widths = [(p.p95 - p.p05) for p in (law.predict(query(g)) for g in (4, 8, 16, 32))]
    assert widths == sorted(widths)


def test_a_second_anchor_narrows_the_band():
    one = fit_accuracy_law(models(REGNETX[4:5]), regime="plain").predict(query(9.0))
    two = fit_accuracy_law(models(REGNETX[3:5]), regime="plain").predict(query(9.0))
    assert two.p95 - two.p05 < one.p95 - one.p05


# Shape of a recipe


def test_balanced_scaling_has_no_penalty():
    # d = s^0.27, w^2 = s^0.33, r^2 = s^0.40 are the shares themselves
    s = 4.0
    imbalance, excess = shape_features(query(4.0, depth=s**0.27, width=s**0.165, resolution=s**0.2))
    assert excess == pytest.approx(0.0, abs=1e-12)
    assert imbalance < 0.02


def test_single_axis_penalties_are_those_of_the_docstring():
    # excess of depth alone: 0.58 * (1 - 0.27) * ln 4 = 0.587
    assert shape_features(query(4.0, depth=4.0))[1] == pytest.approx(0.587, abs=1e-3)


def test_of_two_nets_of_equal_compute_the_one_with_more_parameters_is_better():
    base = TrainedModel(gmacs=1.8, metric=71.8, params_m=11.7)
    law = fit_accuracy_law([base], regime="plain")
    mean, sd = law.gain(query(1.1, params_m=8.5), query(1.1, params_m=5.5))
    # ResNet-18 with three quarters of the width against 12 layers of it: 70.0 against 66.4
    assert mean > 0.3
    assert sd > 0


def test_parameters_that_not_all_anchors_have_say_nothing():
    anchors = [query(1.0, params_m=4.0), query(2.0)]
    assert thinness(query(4.0, params_m=1.0), anchors) == 0.0
    assert thinness(query(4.0), anchors[:1]) == 0.0


def test_parameters_count_only_where_no_factor_explains_the_recipe():
    base = query(1.0, params_m=4.0)
    assert thinness(query(4.0, params_m=4.0), [base]) == pytest.approx(math.log(4.0))
    assert thinness(query(4.0, params_m=4.0, resolution=2.0), [base]) == 0.0


def test_a_net_grown_like_its_anchors_is_not_thinner():
    anchors = [query(1.0, params_m=4.0), query(2.0, params_m=8.0)]
    assert thinness(query(8.0, params_m=32.0), anchors) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("axis", [{"depth": 4.0}, {"width": 2.0}, {"resolution": 2.0}])
def test_at_equal_compute_a_balanced_convnet_beats_a_single_axis(axis):
    law = fit_accuracy_law([TrainedModel(gmacs=4.1, metric=76.8)], regime="plain")
    balanced = query(16.4, depth=4**0.27, width=4**0.165, resolution=4**0.2)
    mean, sd = law.gain(balanced, query(16.4, **axis))
    # compound beats the best single axis by 0.6 to 2.0 points at four times the compute
    assert 0.5 < mean < 2.0
    assert sd > 0


def test_depth_loses_least_and_resolution_most():
    law = fit_accuracy_law([TrainedModel(gmacs=4.1, metric=76.8)], regime="plain")
    depth, width, resolution = (
        law.predict(query(16.0, **axis)).mean
        for axis in ({"depth": 4.0}, {"width": 2.0}, {"resolution": 2.0})
    )
    assert depth > width > resolution


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["depth", "width", "resolution"]), st.floats(1.0, 3.9), st.floats(1.01, 1.5))
def test_scaling_one_axis_up_still_helps(axis, scale, more):
    power = 1.0 if axis == "depth" else 0.5
    law = fit_accuracy_law([TrainedModel(gmacs=1.0, metric=75.0)], regime="strong")
    small, large = (query(s, **{axis: s**power}) for s in (scale, scale * more))
    assert law.gain(large, small)[0] > 0


def test_lopsided_transformers_lose_nothing():
    law = fit_accuracy_law(
        [TrainedModel(gmacs=4.6, metric=79.9)], regime="strong", family_is_transformer=True
    )
    # the coefficients are 0 in the mean; their doubt alone moves the mean of a skewed error
    odd, even = law.predict(query(9.0, width=1.4)), law.predict(query(9.0))
    assert odd.mean == pytest.approx(even.mean, abs=0.05)


def test_lopsided_recipes_have_wider_bands_and_say_so():
    law = fit_accuracy_law([TrainedModel(gmacs=4.1, metric=76.8)], regime="plain")
    even, odd = law.predict(query(16.0)), law.predict(query(16.0, resolution=2.0))
    assert odd.p95 - odd.p05 > even.p95 - even.p05
    assert "lopsided" in odd.reason


def test_a_smaller_patch_is_a_higher_resolution():
    law = fit_accuracy_law([TrainedModel(gmacs=4.6, metric=79.9)])
    patch, side = query(9.0, patch_size=0.7), query(9.0, resolution=1 / 0.7)
    assert law.predict(patch).mean == pytest.approx(law.predict(side).mean)


# Kernel size


@given(st.floats(0.01, 100.0))
def test_kernel_size_is_worth_at_most_0_4_points(kernel):
    assert abs(kernel_gain(kernel)) <= 0.4


def test_kernel_compute_is_not_credited():
    anchor = TrainedModel(gmacs=4.5, metric=82.1)
    law = fit_accuracy_law([anchor], regime="strong")
    modest, vast = (law.predict(query(g, kernel_size=7.0)) for g in (5.0, 12.0))
    assert modest.mean == pytest.approx(vast.mean, abs=0.05)
    assert modest.mean - 82.1 < 0.4


def test_kernel_size_widens_the_band():
    law = fit_accuracy_law([TrainedModel(gmacs=4.5, metric=82.1)], regime="strong")
    same, other = law.predict(query(4.6)), law.predict(query(4.6, kernel_size=4.0))
    assert other.p95 - other.p05 > same.p95 - same.p05
    assert "kernel" in other.reason


def test_compute_with_the_base_kernel_follows_from_the_factors():
    # twice the depth at the base's kernel costs 2 x 4.5, whatever the larger kernel adds
    wide = query(11.0, depth=2.0, kernel_size=3.0)
    assert credited_gmacs(wide, [query(4.5)]) == pytest.approx(9.0)


# Refusals


@pytest.mark.parametrize(
    ("compute", "status"),
    [
        pytest.param(16.0, "ok", id="16x of the largest of two"),
        pytest.param(16.1, "refused", id="beyond 16x"),
        pytest.param(0.125, "ok", id="a quarter of the smallest"),
        pytest.param(0.124, "refused", id="below a quarter"),
    ],
)
def test_refuses_outside_its_reach(compute, status):
    law = fit_accuracy_law(models([(0.5, 72.0), (1.0, 75.0)]))
    got = law.predict(query(compute))
    assert got.status == status
    if status == "refused":
        assert (got.mean, got.p05, got.p95) == (None, None, None)
        assert "anchor" in got.reason


def test_one_anchor_gives_a_band_only_beyond_four_times():
    law = fit_accuracy_law([TrainedModel(gmacs=1.0, metric=75.0)])
    assert law.predict(query(4.0)).status == "ok"
    got = law.predict(query(4.1))
    assert (got.status, got.mean) == ("band_only", None)
    assert got.p05 < got.p95


def test_anchors_within_1_3_times_count_as_one():
    law = fit_accuracy_law(models([(1.0, 75.0), (1.25, 75.6)]))
    assert law.predict(query(6.0)).status == "band_only"


@pytest.mark.parametrize(
    ("points", "words"),
    [
        pytest.param([], "at least one trained model, got none", id="empty"),
        pytest.param([(1.0, math.nan)], "`metric` must be a finite number, got nan", id="nan"),
        pytest.param([(1.0, 100.0)], "`metric` must be between 0 and 100", id="perfect"),
        pytest.param([(1.0, -3.0)], "`metric` must be between 0 and 100", id="negative"),
        pytest.param([(0.0, 75.0)], "`gmacs` must be a positive number, got 0.0", id="no-compute"),
        pytest.param([(math.inf, 75.0)], "`gmacs` must be a positive number", id="infinite"),
    ],
)
def test_bad_anchors_are_one_clear_line(points, words):
    with pytest.raises(ValueError, match=words) as caught:
        fit_accuracy_law(models(points))
    assert "\n" not in str(caught.value)


def test_queries_with_impossible_factors_are_refused_by_name():
    with pytest.raises(ValueError, match="`width` must be a positive number, got -1"):
        query(1.0, width=-1.0)


def test_fractions_given_as_percent_are_noticed():
    with pytest.raises(ValueError, match="percent"):
        fit_accuracy_law(models([(1.0, 0.75), (2.0, 0.78)]))


# Regimes


def test_a_stated_regime_keeps_doubt():
    weights = regime_weights(PUBLISHED_PRIOR, "plain")
    assert weights["plain"] == 0.85
    assert sum(weights.values()) == pytest.approx(1.0)


def test_unknown_words_for_a_regime_count_as_no_regime():
    assert regime_weights(PUBLISHED_PRIOR, "secret sauce") == regime_weights(PUBLISHED_PRIOR, None)


def test_the_posterior_finds_the_plain_recipe_of_regnetx():
    posterior = fit_accuracy_law(models(REGNETX)).regime_posterior
    assert max(posterior, key=posterior.__getitem__) == "plain"
    assert sum(posterior.values()) == pytest.approx(1.0)


def test_a_contradicted_regime_is_said():
    # ConvNeXt with ImageNet-22k data (profiles/accuracy/imagenet.csv), stated as plain
    points = models([(4.5, 82.9), (8.7, 84.6), (15.4, 85.8), (34.4, 86.6), (60.9, 87.0)])
    notes = " ".join(fit_accuracy_law(points, regime="plain").notes)
    assert "anchors look like extra" in notes


def test_an_anchor_below_every_floor_does_not_turn_the_curve_around():
    law = fit_accuracy_law([TrainedModel(gmacs=1.0, metric=96.0)])
    assert law.regime_posterior["generic"] > 0.5
    assert any("outside the training recipes" in note for note in law.notes)
    assert law.predict(query(3.0)).mean >= 96.0


def test_scattered_anchors_are_said_not_to_be_one_curve():
    points = models([(1.0, 70.0), (2.0, 79.0), (4.0, 71.0), (8.0, 82.0), (16.0, 73.0)])
    assert any("not on one curve" in note for note in fit_accuracy_law(points).notes)


def test_compute_in_another_unit_is_said():
    law = fit_accuracy_law([TrainedModel(gmacs=4100.0, metric=76.0)])
    assert any("check the unit" in note for note in law.notes)


# Comparisons


def test_gain_of_a_variant_over_itself_is_nothing():
    law = fit_accuracy_law([TrainedModel(gmacs=1.0, metric=75.0)])
    assert law.gain(query(2.0), query(2.0)) == pytest.approx((0.0, 0.0), abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.3, 15.0), st.floats(0.3, 15.0), factor)
def test_gains_are_antisymmetric_and_agree_with_the_means(one, other, width):
    law = fit_accuracy_law(models(REGNETX[1:4]), regime="plain")
    a, b = query(one, width=width), query(other)
    there, back = law.gain(a, b), law.gain(b, a)
    assert there[0] == pytest.approx(-back[0], abs=1e-9)
    assert there[1] == pytest.approx(back[1], abs=1e-9)
    means = [law.predict(q) for q in (a, b)]
    if all(p.status == "ok" for p in means):
        assert there[0] == pytest.approx(means[0].mean - means[1].mean, abs=1e-6)


def test_close_variants_are_surer_than_far_ones():
    law = fit_accuracy_law([TrainedModel(gmacs=1.0, metric=75.0)])
    assert law.gain(query(2.0), query(1.9))[1] < law.gain(query(4.0), query(1.9))[1]


def test_leave_largest_out_is_the_miss_of_the_largest_anchor():
    law = fit_accuracy_law(models(REGNETX), regime="plain")
    rest = fit_accuracy_law(models(REGNETX[:-1]), regime="plain")
    want = abs(rest.predict(query(31.7359)).mean - 80.502)
    assert leave_largest_out(law) == pytest.approx(want, abs=0.02)
    assert leave_largest_out(fit_accuracy_law(models(REGNETX[:1]))) is None


# A base of unknown accuracy


def test_a_base_of_unknown_accuracy_gains_nothing_over_itself():
    got = relative_gain_law(0.5).predict(query(0.5))
    assert (got.metric, got.mean, got.p05, got.p95) == ("top1_gain", 0.0, 0.0, 0.0)


def test_relative_gains_rise_with_compute_in_wide_bands():
    law = relative_gain_law(1.0)
    got = [law.predict(query(g)) for g in (0.5, 2.0, 4.0)]
    assert got[0].mean < 0 < got[1].mean < got[2].mean
    assert all(p.p05 < p.mean < p.p95 for p in got)
    known = fit_accuracy_law([TrainedModel(gmacs=1.0, metric=75.0)]).predict(query(2.0))
    assert got[1].p95 - got[1].p05 > known.p95 - known.p05


def test_relative_gains_say_that_the_base_is_unknown():
    assert "accuracy is unknown" in relative_gain_law(1.0).predict(query(2.0)).reason


# Other metrics


def test_losses_fall_with_compute():
    points = [TrainedModel(gmacs=g, metric=v) for g, v in [(1, 3.0), (4, 2.6), (16, 2.4)]]
    got = fit_accuracy_law(points, metric="loss").predict(query(64.0))
    assert 0 < got.p05 < got.mean < 2.4
    assert got.metric == "loss"


def test_errors_mirror_accuracies():
    accuracy = fit_accuracy_law(models(REGNETX[:3]), metric="dice").predict(query(2.0))
    flipped = [TrainedModel(gmacs=g, metric=100 - v) for g, v in REGNETX[:3]]
    error = fit_accuracy_law(flipped, metric="error").predict(query(2.0))
    assert error.mean == pytest.approx(100 - accuracy.mean)
    assert (error.p05, error.p95) == pytest.approx((100 - accuracy.p95, 100 - accuracy.p05))


def test_gains_are_positive_for_better_errors_too():
    points = [TrainedModel(gmacs=g, metric=v) for g, v in [(1, 30.0), (4, 26.0)]]
    assert fit_accuracy_law(points, metric="error").gain(query(8.0), query(2.0))[0] > 0


def test_one_anchor_of_a_low_error_metric_gives_a_band_only():
    law = fit_accuracy_law([TrainedModel(gmacs=1.0, metric=95.0)], metric="top5_percent")
    assert law.predict(query(1.5)).status == "band_only"


# The machinery


def test_mixture_quantiles_of_one_normal_are_its_own():
    # 1.645 standard deviations above the mean lie 5 %
    got = mixture_quantile(np.array([1.0]), np.array([2.0]), np.array([1.0]), 0.95)
    assert got == pytest.approx(1.0 + 2.0 * 1.6449, abs=1e-3)


def test_differences_of_perfectly_correlated_lognormals_have_no_variance():
    covariance = np.full((1, 2, 2), 0.04)
    mean, sd = lognormal_difference(np.array([[1.0, 1.0]]), covariance)
    assert (mean[0], sd[0]) == pytest.approx((0.0, 0.0), abs=1e-9)


def test_the_prior_is_learned_back_from_families_drawn_from_it():
    rng = np.random.default_rng(0)
    mean = np.array([2.7, -0.6, 2.0])
    families = []
    for _ in range(40):
        floor, slope, fall = np.exp(mean + rng.normal(0, (0.1, 0.2, 0.3)))
        curve = [(c, 100 - floor - fall * c**-slope) for c in (0.2, 0.6, 2.0, 6.0, 20.0)]
        families.append(FamilyRecord(points=models(curve), regime="strong"))
    learned = learn_prior(families)
    got = learned.mean + learned.shift("strong", transformer=False)
    assert got == pytest.approx(mean, abs=0.15)


def test_the_worth_of_parameters_is_learned_back():
    rng = np.random.default_rng(0)
    worth = 0.5
    families = []
    for _ in range(40):
        compute, params = np.geomspace(0.3, 20.0, 8), np.geomspace(3.0, 200.0, 8)
        params = params * np.exp(rng.normal(0, 0.5, 8))
        thin = np.log(compute / params) - np.log(compute / params).mean()
        effective = compute * np.exp(-worth * thin)
        error = 15 + 8 * effective ** -rng.uniform(0.4, 0.6)
        rows = zip(compute, 100 - error, params, strict=True)
        points = [TrainedModel(gmacs=c, metric=m, params_m=p) for c, m, p in rows]
        families.append(FamilyRecord(points=points, regime="plain"))
    assert learn_prior(families).thinness["plain"] == pytest.approx(worth, abs=0.05)
