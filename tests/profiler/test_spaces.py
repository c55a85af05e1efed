"""Search spaces besides strategies. Budgets are counts here, which no machine disturbs."""

import os
from pathlib import Path

import pytest
from factories import variant

import scaleprof
from scaleprof.errors import InputError, RecipeError
from scaleprof.profiler._spaces import growth_left, stage_limits
from scaleprof.profiler._stage_space import amounts_of
from scaleprof.selection import parse_budgets, resolve_limits

NETS = os.path.relpath(Path(__file__).parents[1] / "models" / "nets.py")
NET = f"{NETS}:Net(width=32)"
BASE = variant("base", latency_s=0.010, top1=70.0)


def profiled(**settings):
    return scaleprof.profile(
        NET, inputs=["3x32x32"], device="cpu", budgets=["macs<=3x"], multipliers=[2.0],
        strategies=["w"], base_accuracy=60.0, time_limit=900, **settings,
    )  # fmt: skip


@pytest.fixture(scope="module")
def stages():
    return profiled(space="stages")


def test_recipes_of_stages_are_measured_beside_the_strategies(stages):
    found = [v for v in stages.variants if "stages" in v.strategies]
    measured = [v for v in found if v.measurement is not None]
    assert len(measured) >= 3
    for each in found:
        assert each.accuracy.mean is not None
        if each.recipe.stages:
            assert sum(stage.share for stage in each.recipe.stages) == pytest.approx(1.0)
    # nets.py lists the blocks of two stages, and has one width
    assert any(v.recipe.arguments.get("depths", (1, 2))[0] > 1 for v in measured)
    assert [row.strategy for row in stages.strategies] == ["w"]


def test_the_choice_is_verified_whatever_space_it_is_from(stages):
    chosen = stages.variant(stages.selection.variant)
    assert stages.selection.verified is True
    assert chosen.cost.macs <= 3 * stages.variant("base").cost.macs
    ranked = [v for v in stages.variants if v.cost.macs <= 3 * stages.variant("base").cost.macs]
    best = max(v.accuracy.mean for v in ranked)
    assert chosen.accuracy.mean >= best - chosen.accuracy.tie - 1e-9


def test_a_recipe_of_stages_builds_from_the_report(stages):
    found = next(v for v in stages.variants if v.recipe.stages)
    module = scaleprof.build(stages, found.id, trust=True)
    assert sum(p.numel() for p in module.parameters()) == found.cost.params


def test_a_grid_is_the_cross_product_without_the_base():
    report = profiled(space="grid", grid={"width": [1, 1.5], "depth": [1, 2]})
    found = [v for v in report.variants if "grid" in v.strategies]
    factors = {(v.recipe.nominal["width"], v.recipe.nominal["depth"]) for v in found}
    assert factors == {(1.5, 1.0), (1.0, 2.0), (1.5, 2.0)}
    assert [row.strategy for row in report.strategies] == ["w"]


def test_a_model_without_stages_is_told_what_else_there_is():
    with pytest.raises(RecipeError, match="no stages to scale one by one") as error:
        scaleprof.profile(
            f"{NETS}:HardCoded", inputs=["3x32x32"], device="cpu", budgets=["macs<=2x"],
            space="stages",
        )  # fmt: skip
    assert "--space grid" in error.value.hint


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"space": "stages"}, "none was given"),
        ({"space": "everything"}, "unknown space `everything`"),
        ({"grid": {"width": [1.0]}}, "`grid` is for space grid"),
        ({"space": "grid", "grid": {"patch": [1.0]}}, "unknown axis of the grid `patch`"),
        ({"space": "grid", "grid": {"depth": [1.0]}, "axes": ["width"]}, "beside --axes"),
        ({"space": "grid", "grid": {"width": [0.0]}}, "must be from 0.01 to 100"),
        ({"space": "grid", "grid": {"width": [float("nan")]}}, "must be from 0.01 to 100"),
        ({"space": "grid", "grid": {"width": [1.0] * 40, "depth": [2.0] * 40}}, "got 1600"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_any_work(settings, text):
    with pytest.raises((InputError, RecipeError), match=text):
        scaleprof.profile(NET, **settings)


@pytest.mark.parametrize(
    ("budgets", "growth"),
    [
        (["latency<=2x"], 2.0),
        (["latency<=20ms", "params<=4x"], 2.0),
        (["throughput>=200/s"], 0.5),
        (["latency<=1000x"], 8.0),
        # too little to move is taken as the least that moves something
        (["latency<=1x"], 2**0.5),
        (["latency<=0.9x"], 2**-0.5),
    ],
)
def test_the_growth_that_budgets_leave_is_that_of_the_tightest(budgets, growth):
    limits = resolve_limits(parse_budgets(budgets), BASE, batch=1)
    assert growth_left(BASE, limits, batch=1) == pytest.approx(growth)


def test_counted_budgets_bind_as_they_are_and_measured_ones_with_a_margin():
    texts = ["params<=3x", "flops<=2x", "macs<=4x", "latency.p50<=2x"]
    limits = resolve_limits(parse_budgets(texts), BASE, batch=1)
    amounts = amounts_of(BASE.cost, 0.008)
    bounds = stage_limits(BASE, limits, amounts, batch=1)
    assert bounds["params"] == 3 * BASE.cost.params
    assert bounds["macs"] == 2 * BASE.cost.macs
    # relative to what the sums say of the base, not to what was measured
    assert 0.9 * 0.016 < bounds["latency"] < 0.016
