import pytest
from factories import predicted, variant
from hypothesis import given
from hypothesis import strategies as st

from scaleprof.records import Verification, replace
from scaleprof.selection import (
    binding_limit,
    more_of_the_budget,
    parse_budgets,
    raised,
    resolve_limits,
    select_variant,
)


def said(variants, *texts):
    limits = resolve_limits(parse_budgets(texts), variants[0], batch=1)
    selection = select_variant(variants, limits, batch=1)
    return more_of_the_budget(variants, limits, selection, batch=1)


BASE = variant("base", latency_s=0.010, top1=70.0)


def test_what_a_tenth_more_buys_is_the_gain_over_the_choice():
    variants = [
        BASE,
        variant("a", latency_s=0.018, top1=75.0),
        variant("b", latency_s=0.020, top1=76.5),
        variant("c", latency_s=0.030, top1=80.0),
    ]
    more = said(variants, "latency<=20ms")
    assert (more.variant, more.gain, more.source) == ("b", pytest.approx(1.5), "measured")
    assert more.limit == pytest.approx(0.022)


def test_only_the_budget_that_binds_is_raised():
    # latency has 0.018 of 0.020, parameters 100 of 1000
    heavy = variant("heavy", latency_s=0.015, top1=80.0, costs={"params": 1050})
    variants = [BASE, variant("a", latency_s=0.018, top1=75.0), heavy]
    more = said(variants, "latency<=20ms", "params<=1k")
    assert (more.metric, more.variant, more.gain) == ("latency", None, None)


def test_a_lower_bound_is_lowered():
    # 55/s is the limit, 49.5/s is 10 % less
    variants = [BASE, variant("a", latency_s=0.0185, top1=75.0)]
    more = said(variants, "throughput>=55/s")
    assert more.limit == pytest.approx(49.5)
    assert more.variant == "a"


def test_a_band_that_reaches_over_the_raised_limit_buys_nothing():
    wide = predicted(0.021, p05=0.017, p95=0.026)
    variants = [BASE, variant("a", latency_s=0.018, top1=75.0),
                variant("b", top1=79.0, prediction=wide)]  # fmt: skip
    assert said(variants, "latency<=20ms").variant is None


def test_what_missed_the_budget_in_its_check_may_meet_the_raised_one():
    variants = [
        BASE, variant("a", latency_s=0.018, top1=75.0), variant("b", latency_s=0.0185, top1=76.0)
    ]  # fmt: skip
    limits = resolve_limits(parse_budgets(["latency<=20ms"]), BASE, batch=1)
    selection = select_variant(variants, limits, batch=1, excluded=["b"])
    check = Verification(predicted={}, measured={}, met=True, reason=None, rejected=("b",))
    selection = replace(selection, verification=check)
    assert more_of_the_budget(variants, limits, selection, batch=1).variant == "b"


tables = st.lists(st.tuples(st.floats(0.002, 0.05), st.integers(60, 90)), min_size=1, max_size=6)


@given(tables)
def test_it_is_the_choice_under_the_raised_budget(rows):
    variants = [BASE, *(variant(f"v{i}", latency_s=t, top1=a) for i, (t, a) in enumerate(rows))]
    limits = resolve_limits(parse_budgets(["latency<=20ms", "params<=1k"]), BASE, batch=1)
    selection = select_variant(variants, limits, batch=1)
    chosen = next(v for v in variants if v.id == selection.variant)
    more = more_of_the_budget(variants, limits, selection, batch=1)
    larger = raised(limits, binding_limit(chosen, limits, batch=1))
    again = select_variant(variants, larger, batch=1)
    best = next(v for v in variants if v.id == again.variant)
    assert (more.variant is not None) == (best.accuracy.mean > chosen.accuracy.mean)
    if more.variant is not None:
        assert more.variant == again.variant
        assert more.gain == pytest.approx(best.accuracy.mean - chosen.accuracy.mean)
