import itertools

import pytest
from factories import measured, predicted, variant
from hypothesis import given
from hypothesis import strategies as st

from scaleprof.errors import BudgetError
from scaleprof.records import Measurement, replace
from scaleprof.selection import (
    nearest_miss_error,
    pareto_front,
    parse_budgets,
    quantity,
    resolve_limits,
    select_variant,
    strategies_side_by_side,
)


def limits_for(*texts, base=None):
    base = base or variant("base", latency_s=0.010, top1=70.0)
    return resolve_limits(parse_budgets(texts), base, batch=1)


def test_the_most_accurate_variant_within_the_budget_is_chosen():
    variants = [
        variant("base", latency_s=0.010, top1=70.0),
        variant("a", latency_s=0.018, top1=75.0),
        variant("b", latency_s=0.030, top1=80.0),
    ]
    selection = select_variant(variants, limits_for("latency<=20ms"), batch=1)
    assert selection.variant == "a"
    assert selection.verified is None
    assert selection.runners_up == ("base",)


def test_a_relative_budget_is_resolved_against_the_base():
    (limit,) = limits_for("latency<=2x")
    assert limit.value == pytest.approx(0.020)


def test_ties_in_accuracy_go_to_the_cheaper_variant():
    variants = [
        variant("slow", latency_s=0.017, top1=75.2),
        variant("fast", latency_s=0.012, top1=75.0),
    ]
    selection = select_variant(variants, limits_for("latency<=20ms"), batch=1)
    assert selection.variant == "fast"
    assert "tie" in selection.reason


def test_of_a_loss_the_lowest_is_chosen():
    def loss(name, value):
        found = variant(name, latency_s=0.010, top1=value)
        accuracy = replace(found.accuracy, metric="loss", lower_is_better=True, tie=0.04)
        return replace(found, accuracy=accuracy)

    variants = [loss("base", 3.0), loss("a", 2.5), loss("b", 2.7)]
    got = select_variant(variants, limits_for("latency<=20ms"), batch=1)
    assert got.variant == "a"
    assert got.runners_up == ("b", "base")


def test_a_gap_above_the_noise_of_training_is_no_tie():
    variants = [
        variant("slow", latency_s=0.017, top1=75.4),
        variant("fast", latency_s=0.012, top1=75.0),
    ]
    assert select_variant(variants, limits_for("latency<=20ms"), batch=1).variant == "slow"


def test_a_band_that_reaches_over_the_limit_is_not_good_enough():
    wide = predicted(0.019, p05=0.015, p95=0.024)
    narrow = predicted(0.015, p05=0.0145, p95=0.0155)
    variants = [
        variant("wide", prediction=wide, top1=80.0),
        variant("narrow", prediction=narrow, top1=75.0),
    ]
    assert select_variant(variants, limits_for("latency<=20ms"), batch=1).variant == "narrow"


def test_a_variant_that_failed_is_never_chosen():
    failed = Measurement(status="out_of_memory", reason="needs more than 1 GiB")
    variants = [
        variant("base", latency_s=0.010, top1=70.0),
        variant(
            "big", measurement=failed, top1=90.0, prediction=predicted(0.01, p05=0.009, p95=0.011)
        ),
    ]
    assert select_variant(variants, limits_for("latency<=20ms"), batch=1).variant == "base"


def test_an_unknown_quantity_meets_no_budget():
    variants = [variant("base", latency_s=0.010, top1=70.0)]
    limits = limits_for("energy<=1J")
    assert select_variant(variants, limits, batch=1) is None
    error = nearest_miss_error("m", variants, limits, batch=1)
    assert "unknown" in str(error)


def test_no_budget_is_an_error():
    with pytest.raises(BudgetError):
        select_variant([variant("base", latency_s=0.010, top1=70.0)], (), batch=1)


def test_the_nearest_miss_is_named_with_its_value():
    variants = [
        variant("base", latency_s=0.010, top1=70.0),
        variant("half", latency_s=0.006, top1=65.0, strategy="d", multiplier=0.5),
    ]
    error = nearest_miss_error("m", variants, limits_for("latency<=5ms"), batch=1)
    assert error.exit_status == 1
    assert "d at multiplier 0.50 (half), has 6.00 ms" in str(error)
    assert "above 6.00 ms" in error.hint


def test_a_variant_inside_the_limit_but_not_surely_is_told_apart():
    variants = [variant("base", latency_s=0.00806, top1=70.0)]
    limits = limits_for("latency<=8.1ms")
    assert select_variant(variants, limits, batch=1) is None
    error = nearest_miss_error("m", variants, limits, batch=1)
    assert "less than 95 % confidence" in str(error)
    # the limit that the hint proposes is met
    proposed = error.hint.removeprefix("set the latency budget to ").partition(",")[0]
    assert select_variant(variants, limits_for(f"latency<={proposed}"), batch=1) is not None


def test_strategies_are_compared_under_the_same_budget():
    variants = [
        variant("base", latency_s=0.010, top1=70.0, strategies=("d", "w", "r")),
        variant("d2", latency_s=0.015, top1=72.0, strategy="d"),
        variant("d4", latency_s=0.050, top1=78.0, strategy="d"),
        variant("w2", latency_s=0.025, top1=74.0, strategy="w"),
    ]
    rows = strategies_side_by_side(variants, ["d", "w", "x"], limits_for("latency<=20ms"), batch=1)
    assert [(row.strategy, row.variant) for row in rows] == [
        ("d", "d2"),
        ("w", "base"),
        ("x", None),
    ]
    assert rows[2].reason
    assert rows[0].reason is None


def test_a_strategy_whose_variants_were_not_measured_says_so():
    variants = [
        variant("base", latency_s=0.010, top1=70.0, strategies=("w",)),
        variant("w2", top1=74.0, strategy="w", prediction=predicted(0.025, p05=0.02, p95=0.03)),
    ]
    (row,) = strategies_side_by_side(variants, ["w"], limits_for("latency<=20ms"), batch=1)
    assert (row.variant, row.reason) == ("base", "none of its variants was measured")


def test_throughput_counts_items_not_batches():
    got = quantity(variant("base", latency_s=0.010), "throughput", batch=8)
    assert got.value == pytest.approx(800.0)


def test_memory_is_the_static_plan_until_something_else_was_measured():
    assert quantity(variant("v"), "memory.planned", batch=1).value == 4000
    assert quantity(variant("v"), "memory", batch=1) is None
    here = variant("v", measurement=measured(0.01, peak_bytes=5000))
    assert quantity(here, "memory", batch=1).value == 5000
    assert quantity(here, "memory.process", batch=1).value == 6000
    assert quantity(here, "memory.allocated", batch=1) is None


points = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(
        x < y for x, y in zip(a, b, strict=True)
    )


@given(points)
def test_the_front_agrees_with_the_definition(costs):
    want = [not any(dominates(other, point) for other in costs) for point in costs]
    assert pareto_front(costs) == want


@given(points)
def test_every_dominated_point_is_dominated_by_the_front(costs):
    marks = pareto_front(costs)
    front = list(itertools.compress(costs, marks))
    for point, mark in zip(costs, marks, strict=True):
        assert mark or any(dominates(best, point) for best in front)


def test_what_meets_the_budget_without_an_accuracy_is_told_apart():
    variants = [variant("base", latency_s=0.010, top1=70.0), variant("tiny", latency_s=0.001)]
    limits = limits_for("latency<=2ms")
    assert select_variant(variants, limits, batch=1) is None
    error = nearest_miss_error("m", variants, limits, batch=1)
    assert "1 variants of `m` meet latency <= 2.00 ms, but none has a predicted" in str(error)


def test_the_confidence_that_was_asked_for_is_recorded_and_named():
    variants = [variant("base", latency_s=0.0093, top1=70.0)]
    limits = limits_for("latency<=10ms")
    # ln(10 / 9.3) over 0.04 is 1.8 standard deviations, a chance of 96 %
    assert select_variant(variants, limits, batch=1, confidence=0.9).confidence == 0.9
    assert select_variant(variants, limits, batch=1, confidence=0.99) is None
    error = nearest_miss_error("m", variants, limits, batch=1, confidence=0.99)
    assert "less than 99 % confidence" in str(error)


def test_the_memory_of_a_process_is_known_as_well_as_processes_agree():
    known = quantity(variant("a", latency_s=0.01), "memory.process", batch=1)
    assert (known.value, known.source) == (6000, "measured")
    # 6000 of 6300 is within one standard deviation of fresh processes, 6000 of 7000 within 2.6
    assert known.chance("<=", 6300) < 0.95 < known.chance("<=", 7000)


@pytest.mark.parametrize(
    ("budget", "met"),
    [("latency<=1x", True), ("latency<=0.99x", False), ("throughput>=1x", True)],
)
def test_no_noise_disturbs_the_base_held_against_itself(budget, met):
    base = variant("base", latency_s=0.010, top1=75.0)
    limits = resolve_limits(parse_budgets([budget]), base, batch=1)
    found = select_variant([base], limits, batch=1)
    assert (found is not None) == met
