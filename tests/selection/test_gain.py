"""What one more measurement is expected to change of the choice."""

import math
from statistics import NormalDist

import pytest
from factories import measured, predicted, variant
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleprof.records import Measurement, replace
from scaleprof.selection import (
    expected_gains,
    parse_budgets,
    resolve_limits,
    select_variant,
    widest_bands,
)

BASE = variant("base", latency_s=0.010, top1=70.0)
Z = NormalDist().inv_cdf(0.95)
TIE = 0.3


def limits_for(*texts):
    return resolve_limits(parse_budgets(texts), BASE, batch=1)


def expected(name, latency_s, top1, *, spread=0.1, **more):
    band = predicted(
        latency_s, p05=latency_s * math.exp(-Z * spread), p95=latency_s * math.exp(Z * spread)
    )
    return variant(name, prediction=band, top1=top1, **more)


def gains(variants, *texts, **settings):
    found = expected_gains(
        variants, limits_for(*(texts or ("latency<=20ms",))), batch=1, **settings
    )
    return {gain.variant: gain.value for gain in found}


def test_a_better_variant_is_worth_its_points_times_the_chance_that_it_fits():
    # one process leaves 4 % of doubt, for which 95 % confidence needs room
    at_the_edge = expected("a", 0.020 * math.exp(-Z * 0.04), 74.0)
    assert gains([BASE, at_the_edge])["a"] == pytest.approx(0.5 * 4.0)


def test_what_is_far_beyond_the_budget_or_worse_than_the_choice_is_worth_nothing():
    got = gains([BASE, expected("slow", 0.050, 80.0), expected("bad", 0.020, 60.0)])
    assert got["slow"] < 1e-9
    assert got["bad"] == 0.0


def test_a_choice_that_is_only_predicted_is_worth_the_points_it_may_cost():
    got = gains([BASE, expected("a", 0.0165, 74.0)])
    room = (math.log(20 / 16.5) - Z * 0.04) / 0.1
    assert got["a"] == pytest.approx(4.0 * (1 - NormalDist().cdf(room)))


def test_among_ties_latency_counts_up_to_a_tie():
    chosen = variant("chosen", latency_s=0.012, top1=75.0)
    got = gains([BASE, chosen, expected("maybe", 0.012, 75.1), expected("gone", 0.018, 75.1)])
    assert 0.25 * TIE < got["maybe"] <= TIE
    assert got["gone"] < 0.01 * TIE


def test_without_a_choice_whatever_fits_is_worth_most():
    tight = gains([BASE, expected("a", 0.006, 72.0), expected("b", 0.006, 71.0)], "latency<=8ms")
    # a is the choice; had it not been, b would
    assert tight["a"] < 0.05
    none = gains([BASE, expected("a", 0.008, 72.0)], "latency<=8ms")
    assert none["a"] > 0.1 * (72.0 - 70.0 + TIE)


def test_a_second_process_is_worth_less_than_the_first():
    once = variant("once", latency_s=0.0195, top1=74.0)
    got = gains([BASE, once, expected("never", 0.0195, 74.0)])
    assert 0 < got["once"] < got["never"]


def test_what_was_measured_often_enough_or_failed_is_left_out():
    failed = variant("failed", measurement=Measurement(status="crashed", reason="x"), top1=90.0)
    assert list(gains([BASE, failed, expected("a", 0.02, 71.0)], most_processes=1)) == ["a"]


def test_other_budgets_multiply_the_chance():
    alone = gains([BASE, expected("a", 0.018, 74.0)])
    counted = gains([BASE, expected("a", 0.018, 74.0)], "latency<=20ms", "params<=10")
    assert alone["a"] > 0
    assert counted["a"] == 0


def test_what_only_measuring_can_tell_is_expected_in_proportion():
    base = replace(BASE, measurement=replace(measured(0.010), energy_j=1.0))
    variants = [base, expected("a", 0.018, 74.0), expected("b", 0.060, 79.0)]
    limits = resolve_limits(parse_budgets(["energy<=2x"]), base, batch=1)
    got = {g.variant: g.value for g in expected_gains(variants, limits, batch=1)}
    assert got["a"] > 0.5
    assert got["b"] < 1e-6


def test_a_budget_on_what_no_device_here_measures_makes_nothing_worth_measuring():
    got = gains([BASE, expected("a", 0.018, 74.0)], "energy<=1J")
    assert set(got.values()) == {0.0}


def test_without_accuracies_there_is_nothing_to_choose_by():
    assert gains([variant("base", latency_s=0.01), expected("a", 0.018, None)]) == {}


def test_predictions_that_were_further_off_than_their_bands_are_doubted():
    """What is three standard deviations beyond the budget may fit after all."""
    far = expected("far", 0.020 * math.exp(3 * 0.1), 74.0)
    right = replace(expected("seen", 0.010, 60.0), measurement=measured(0.0101))
    wrong = replace(right, measurement=measured(0.015))
    believed, doubted = (gains([BASE, seen, far])["far"] for seen in (right, wrong))
    assert believed == pytest.approx(gains([BASE, far])["far"])
    assert doubted > 10 * believed


def test_without_budgets_the_least_surely_predicted_comes_first():
    unknown = variant("unknown")
    got = widest_bands(
        [BASE, expected("a", 1.0, 70.0), expected("b", 1.0, 70.0, spread=0.2), unknown]
    )
    assert [gain.variant for gain in got] == ["unknown", "b", "a"]
    assert got[2].value == pytest.approx(Z * 0.1)


# accuracies further apart than a tie, so that what a change is worth is a plain difference
ACCURACIES = st.lists(st.sampled_from([*range(66, 70), *range(71, 79)]), max_size=4, unique=True)
LATENCIES = st.lists(st.floats(0.005, 0.040), min_size=4, max_size=4)
SPREADS = st.lists(st.floats(0.02, 0.4), min_size=4, max_size=4)
STEPS = 200


@settings(max_examples=20, deadline=None)
@given(ACCURACIES, LATENCIES, SPREADS)
def test_the_gain_is_what_trying_every_outcome_with_the_real_choice_gives(tops, seconds, spreads):
    rows = zip(tops, seconds, spreads, strict=False)
    variants = [
        BASE,
        *(expected(f"v{i}", t, float(a), spread=s) for i, (a, t, s) in enumerate(rows)),
    ]
    limits = limits_for("latency<=20ms")
    accuracy = {v.id: v.accuracy.mean for v in variants}

    def chosen(now):
        return accuracy[select_variant(now, limits, batch=1).variant]

    got = gains(variants)
    before = chosen(variants)
    for i, spread in enumerate(spreads[: len(tops)], start=1):
        changes = []
        for step in range(STEPS):
            z = NormalDist().inv_cdf((step + 0.5) / STEPS)
            latency = variants[i].prediction.latency_s.p50 * math.exp(z * spread)
            tried = replace(variants[i], measurement=measured(latency, spread=1e-9))
            outcome = chosen([*variants[:i], tried, *variants[i + 1 :]])
            changes.append(abs(outcome - before))
        # up to 13 points change at two places between two steps
        assert got[variants[i].id] == pytest.approx(sum(changes) / STEPS, abs=26 / STEPS)


@given(ACCURACIES, LATENCIES, SPREADS, st.randoms())
def test_gains_are_never_negative_nor_more_than_all_points_and_know_no_order(
    tops, seconds, spreads, random
):
    rows = zip(tops, seconds, spreads, strict=False)
    others = [expected(f"v{i}", t, float(a), spread=s) for i, (a, t, s) in enumerate(rows)]
    got = gains([BASE, *others])
    most = max([70, *tops]) - min([70, *tops]) + TIE
    assert all(0.0 <= value <= most + 1e-9 for value in got.values())
    random.shuffle(others)
    assert gains([BASE, *others]) == got


def test_what_is_known_exactly_cannot_be_learnt():
    assert gains([BASE, expected("a", 0.019, 74.0, spread=0.0)])["a"] == 0.0
