"""Stages scaled one by one: options, what they cost, and recipes that build."""

import itertools
import math

import pytest

from scaleprof.errors import RecipeError
from scaleprof.jobs import GridRequest, KnobsRequest, StageRecipesRequest, StagesRequest
from scaleprof.jobs._scale import knobs_of, probe
from scaleprof.jobs._spaces import count_options, resolve_grid, resolve_recipes
from scaleprof.knobs import stage_options
from scaleprof.models import build_module, call_of, parse_reference
from scaleprof.profiler._stage_space import (
    CountedStages,
    amounts_of,
    best_recipes,
    solutions_by_whole,
)
from scaleprof.scaling import StageRecipe
from scaleprof.selection import COMPUTE

MODEL = "timm:test_convnext"
WIDTHS, DEPTHS, RESOLUTIONS = (1.25, 1.5), (2.0,), (1.2,)


def probed(model):
    return probe(KnobsRequest(reference=parse_reference(model)))


@pytest.fixture(scope="module")
def knobs():
    return probed(MODEL)


@pytest.fixture(scope="module")
def counted(knobs):
    reply = count_options(
        StagesRequest(
            model=MODEL, knobs=knobs, widths=WIDTHS, depths=DEPTHS, resolutions=RESOLUTIONS
        )
    )
    rows = [*(end for stage in reply.own for pair in stage for end in pair)]
    costs = {row.recipe: row.cost for row in (*rows, *reply.pairs, *reply.whole)}
    return CountedStages(
        reply=reply,
        base=amounts_of(knobs.base.cost, 0.01),
        amounts={
            recipe: amounts_of(cost, 0.01 * cost.macs / knobs.base.cost.macs)
            for recipe, cost in costs.items()
        },
        transformer=False,
    )


def resolved(knobs, counted, *recipes):
    return resolve_recipes(
        StageRecipesRequest(model=MODEL, knobs=knobs, recipes=recipes, shares=counted.shares)
    )


def first(count, counted, limits, off=None):
    return list(itertools.islice(best_recipes(counted, limits, off or {}), count))


def test_the_base_is_among_the_options_and_no_option_comes_twice(counted):
    options = counted.reply.options
    assert options.base_depths == (1, 2, 4, 2)
    assert options.depths == ((1, 2), (2, 4), (4, 8), (2, 4))
    for nominal, achieved in zip(options.widths, options.achieved, strict=True):
        assert 1.0 in nominal
        assert list(achieved) == sorted(set(achieved))


def test_sums_over_stages_are_what_whole_recipes_count(knobs, counted):
    limits = {COMPUTE: 2.5 * counted.base[COMPUTE]}
    space = counted.space()
    for solved in first(4, counted, limits):
        if solved.recipe.resolution != 1.0:
            continue
        (variant,) = resolved(knobs, counted, solved.recipe).variants
        real = amounts_of(variant.cost, solved.amounts["latency"])
        for name in (COMPUTE, "params", "activations"):
            assert solved.amounts[name] == pytest.approx(real[name], rel=0.01)
    assert space.value(COMPUTE, tuple((0, 0) for _ in range(4))) == counted.base[COMPUTE]


def test_recipes_hold_the_limit_when_they_are_counted(knobs, counted):
    limits = {"params": 1.5 * counted.base["params"]}
    found = [
        solved.recipe
        for _, solved in zip(range(3), best_recipes(counted, limits, {}), strict=False)
    ]
    assert len(set(found)) == 3
    for variant in resolved(knobs, counted, *found).variants:
        assert variant.cost.params <= 1.01 * limits["params"]


def test_recipes_of_all_resolutions_come_in_one_order(counted):
    limits = {COMPUTE: 1.7 * counted.base[COMPUTE]}
    each = [list(itertools.islice(found, 4)) for found in solutions_by_whole(counted, limits, {})]
    assert [found[0].recipe.resolution for found in each] == [1.0, 1.2]
    merged = sorted(itertools.chain(*each), key=lambda solved: -solved.worth)
    assert first(4, counted, limits) == merged[:4]


def test_a_correction_of_the_sums_moves_the_limit(counted):
    limits = {COMPUTE: 1.7 * counted.base[COMPUTE]}
    off = {(1.0, 1.2): {COMPUTE: 2.0}}
    plain, _ = solutions_by_whole(counted, limits, off)
    assert next(plain).amounts[COMPUTE] <= limits[COMPUTE]
    # at 1.2 of the resolution, not even the base is left: it takes 1.44 times 2
    assert {solved.recipe.resolution for solved in first(3, counted, limits, off)} == {1.0}


def test_the_pasted_call_has_the_stages_and_builds_what_was_counted(knobs, counted):
    recipe = StageRecipe(widths=(1.0, 1.25, 1.5, 1.5), depths=(1, 4, 4, 2))
    (variant,) = resolved(knobs, counted, recipe).variants
    assert variant.recipe.call == (
        "timm.create_model('test_convnext', depths=(1, 4, 4, 2), dims=(24, 40, 72, 96))"
    )
    built = sum(p.numel() for p in build_module(call_of(variant.recipe), meta=True).parameters())
    assert built == variant.cost.params
    assert variant.recipe.strategy == "stages"
    assert [stage.depth for stage in variant.recipe.stages] == [1.0, 2.0, 1.0, 1.0]
    assert variant.recipe.achieved["depth"] == pytest.approx(11 / 9)
    widths = [stage.width for stage in variant.recipe.stages]
    mean = math.exp(sum(map(math.log, widths)) / 4)
    assert variant.recipe.achieved["width"] == pytest.approx(mean)


def test_shares_of_compute_add_up_to_one(counted):
    assert sum(counted.shares) == pytest.approx(1.0)
    assert min(counted.shares) > 0


def test_a_recipe_that_does_not_build_is_left_out_with_a_reason(knobs, counted):
    good = StageRecipe(widths=(1.0,) * 4, depths=(1, 2, 4, 2), width=1.0)
    bad = StageRecipe(widths=(1.0,) * 4, depths=(1, 2, 4, -3))
    reply = resolved(knobs, counted, good, bad)
    assert [variant is None for variant in reply.variants] == [False, True]
    assert "(1, 2, 4, -3 blocks) does not build" in reply.skipped[0]


def test_a_model_without_stages_says_so():
    request = StagesRequest(
        model="timm:test_vit", knobs=probed("timm:test_vit"), widths=(), depths=(), resolutions=()
    )
    with pytest.raises(RecipeError, match="lists the blocks of its stages") as error:
        stage_options(knobs_of(request), widths=(), depths=())
    assert "grid" in error.value.hint


def test_points_of_a_grid_that_round_to_one_model_come_once(knobs):
    points = tuple({"width": w, "depth": d} for w in (1.0, 1.01, 1.25) for d in (1.0, 2.0, 0.001))
    reply = resolve_grid(GridRequest(model=MODEL, knobs=knobs, points=points))
    assert len({variant.id for variant in reply.variants}) == len(reply.variants)
    assert all(variant.recipe.strategy == "grid" for variant in reply.variants)
    assert "base" not in {variant.id for variant in reply.variants}
    assert any("depth ×0.001" in why for why in reply.skipped)
