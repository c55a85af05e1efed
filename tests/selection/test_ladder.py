"""Ladders: the solver against every family there is, and what stands on the rungs."""

import itertools

import pytest
from factories import recipe, variant
from hypothesis import given
from hypothesis import strategies as st

from scaleprof.errors import BudgetError
from scaleprof.records import StageFactors, replace
from scaleprof.selection import climb, parse_ladder, resolve_limits
from scaleprof.selection._ladder import Step, best_chain, fits_above

# whole numbers, so that sums of worths are exact and ties happen
steps = st.builds(
    lambda worth, sizes, cost: Step(float(worth), tuple(map(float, sizes)), float(cost)),
    st.integers(-5, 5),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(1, 9),
)
rungs = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(sorted)


def nested(candidates, limits):
    return [[step for step in candidates if step.cost <= limit] for limit in limits]


def best_by_brute_force(layers):
    """The highest sum of worths, then the lowest of costs, of every family that fits."""
    filled = [layer for layer in layers if layer]
    families = [
        family
        for family in itertools.product(*filled)
        if all(fits_above(b, a) for a, b in itertools.pairwise(family))
    ]
    return max((sum(s.worth for s in f), -sum(s.cost for s in f)) for f in families)


@given(st.lists(steps, min_size=1, max_size=6), rungs)
def test_no_family_of_all_there_are_is_better(candidates, limits):
    layers = nested(candidates, limits)
    chain = best_chain(layers)
    assert [place is None for place in chain] == [not layer for layer in layers]
    family = [layer[place] for layer, place in zip(layers, chain, strict=True) if layer]
    assert all(fits_above(b, a) for a, b in itertools.pairwise(family))
    if family:
        got = (sum(s.worth for s in family), -sum(s.cost for s in family))
        assert got == best_by_brute_force(layers)


def test_the_best_of_each_rung_taken_greedily_would_be_worse():
    # the best of the first rung is wide, and nothing on the second is both wide and better
    wide, deep, deeper = Step(71, (2, 1), 1), Step(70, (1, 2), 1), Step(78, (1, 3), 2)
    assert best_chain([[wide, deep], [wide, deep, deeper]]) == [1, 2]


def scaled(identifier, latency_s, top1, **achieved):
    found = variant(identifier, latency_s=latency_s, top1=top1)
    return replace(found, recipe=recipe("base" if identifier == "base" else "w", achieved=achieved))


VARIANTS = [
    scaled("base", 0.010, 70.0, width=1.0, depth=1.0),
    scaled("half", 0.005, 66.0, width=0.5, depth=1.0),
    scaled("wide", 0.018, 75.0, width=1.5, depth=1.0),
    scaled("deep", 0.017, 74.0, width=1.0, depth=2.0),
    scaled("both", 0.036, 79.0, width=1.5, depth=2.0),
    scaled("long", 0.037, 82.0, width=1.0, depth=4.0),
]


def ladder(*texts, limits=(), excluded=None, variants=VARIANTS):
    resolved = resolve_limits(parse_ladder(texts), VARIANTS[0], batch=1)
    chain = climb(variants, limits, resolved, batch=1, confidence=0.95, excluded=excluded)
    return [v.id if v is not None else None for v in chain]


def test_a_rung_that_is_best_alone_gives_way_to_the_family():
    # 70 + 75 + 79 = 224 with the best of the middle rung; 70 + 74 + 82 = 226 without
    assert ladder("11ms", "2x", "4x") == ["base", "deep", "long"]


def test_nothing_on_a_rung_is_said_and_the_others_stand():
    assert ladder("1ms", "1.1x", "2x") == [None, "base", "wide"]


def test_the_other_budgets_hold_on_every_rung():
    from scaleprof.selection import parse_budgets

    slim = [replace(v, cost=replace(v.cost, params=100)) for v in VARIANTS]
    slim[5] = replace(slim[5], cost=replace(slim[5].cost, params=200))
    limits = resolve_limits(parse_budgets(["params<=150"]), slim[0], batch=1)
    assert ladder("2x", "4x", limits=limits, variants=slim) == ["wide", "both"]


def test_what_missed_a_rung_is_out_there_and_below_but_not_above():
    assert ladder("11ms", "2x", "4x", excluded={1: ["base", "deep"]}) == ["half", "wide", "both"]
    assert ladder("2x", "4x", excluded={0: ["wide", "deep"]}) == ["base", "long"]


def test_patches_shrink_where_a_model_grows():
    coarse = scaled("coarse", 0.005, 66.0, patch_size=2.0)
    fine = scaled("fine", 0.010, 70.0, patch_size=1.0)
    assert ladder("6ms", "11ms", variants=[coarse, fine]) == ["coarse", "fine"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        pytest.param(["5"], "rung `5` of the ladder: a unit is missing", id="no unit"),
        pytest.param(["1ms", "fast"], "rung `fast` of the ladder", id="no number"),
        pytest.param(["1ms", "0.001s"], "twice", id="twice"),
        pytest.param(["0x"], "positive", id="nothing"),
    ],
)
def test_a_bad_rung_is_refused_in_one_line(texts, message):
    with pytest.raises(BudgetError, match=message) as caught:
        parse_ladder(texts)
    assert "\n" not in str(caught.value)


def test_no_stage_shrinks_where_the_model_as_a_whole_does_not():
    def staged(identifier, latency_s, top1, *depths):
        found = scaled(identifier, latency_s, top1, depth=sum(depths) / len(depths))
        stages = tuple(StageFactors(share=0.5, blocks=2, depth=d, width=1.0) for d in depths)
        return replace(found, recipe=replace(found.recipe, stages=stages))

    base = scaled("base", 1.0, 70.0)
    # twice as deep on average, but its first stage lost blocks
    moved = staged("moved", 2.0, 74.0, 0.5, 3.5)
    grown = staged("grown", 2.0, 73.0, 1.5, 2.0)
    rungs = resolve_limits(parse_ladder(["1.2x", "3x"]), base, batch=1)
    chain = climb([base, moved, grown], (), rungs, batch=1, confidence=0.5)
    assert [v.id for v in chain if v] == ["base", "grown"]
