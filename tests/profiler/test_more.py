"""What a larger budget would buy where nothing that was built is better."""

import math

import pytest
from factories import variant

from scaleprof.profiler._fill import margin
from scaleprof.profiler._more import with_more
from scaleprof.selection import parse_budgets, resolve_limits, select_variant


def said(variants, *texts, strategies=("w", "d")):
    limits = resolve_limits(parse_budgets(texts), variants[0], batch=1)
    selection = select_variant(variants, limits, batch=1)
    return with_more(selection, variants, limits, strategies, batch=1).more


def base(**changes):
    return variant("base", latency_s=0.010, top1=70.0, multiplier=1.0, strategies=("w", "d"),
                   **changes)  # fmt: skip


def test_a_strategy_between_two_of_its_variants_is_interpolated():
    # latency is 10 ms times compute; at 22 ms, aimed at from below, compute is 2.2 * margin
    variants = [
        base(),
        variant("w2", latency_s=0.018, top1=75.0, multiplier=1.8),
        variant("w4", latency_s=0.040, top1=80.0, multiplier=4.0),
    ]
    more = said(variants, "latency<=20ms")
    filling = 2.2 * margin(0.95)
    assert (more.variant, more.strategy) == (None, "w")
    assert more.multiplier == pytest.approx(filling, rel=1e-3)
    want = 5.0 * math.log(filling / 1.8) / math.log(4.0 / 1.8)
    assert more.gain == pytest.approx(want, rel=1e-2)


def test_beyond_what_was_built_nothing_is_promised():
    variants = [base(), variant("w2", latency_s=0.018, top1=75.0, multiplier=1.8)]
    more = said(variants, "latency<=20ms")
    assert (more.variant, more.strategy, more.gain) == (None, None, None)


def test_the_strategy_that_gains_most_is_named():
    variants = [
        base(),
        variant("w2", latency_s=0.018, top1=75.0, multiplier=1.8),
        variant("w4", latency_s=0.040, top1=80.0, multiplier=4.0),
        variant("d2", latency_s=0.018, top1=75.1, multiplier=1.8, strategy="d"),
        variant("d4", latency_s=0.040, top1=82.0, multiplier=4.0, strategy="d"),
    ]
    assert said(variants, "latency<=20ms").strategy == "d"
    assert said(variants, "latency<=20ms", strategies=("w",)).strategy == "w"
