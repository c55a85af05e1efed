"""A ladder of a small net on the CPU. What is asserted never depends on how fast it is."""

import itertools
import os
from pathlib import Path

import pytest
from factories import measured, recipe, report, variant

import scaleprof
from scaleprof.errors import BudgetError
from scaleprof.profiler._choose import select_from
from scaleprof.records import replace

NETS = os.path.relpath(Path(__file__).parents[1] / "models" / "nets.py")


@pytest.fixture(scope="module")
def climbed():
    # the middle rung is one that the base holds on any machine
    return scaleprof.profile(
        f"{NETS}:Net(width=32)", inputs=["3x64x64"], device="cpu", ladder=["100x", "10x", "1ns"],
        multipliers=[2.0], strategies=["w", "d"], base_accuracy=60.0, confidence="90%",
        time_limit=900,
    )  # fmt: skip


def test_rungs_come_tightest_first_with_limits_of_the_base(climbed):
    rungs = climbed.ladder.rungs
    assert [rung.text for rung in rungs] == ["1ns", "10x", "100x"]
    assert rungs[2].limit == pytest.approx(10 * rungs[1].limit)
    assert climbed.ladder.confidence == 0.9


def test_a_rung_that_nothing_meets_says_so(climbed):
    rung = climbed.ladder.rungs[0]
    assert rung.variant is None
    assert rung.verified is None
    assert "no variant" in rung.reason


def test_no_axis_shrinks_and_accuracy_never_falls(climbed):
    held = [climbed.variant(r.variant) for r in climbed.ladder.rungs if r.variant is not None]
    assert len(held) == 2
    for lower, upper in itertools.pairwise(held):
        assert upper.accuracy.mean >= lower.accuracy.mean
        for axis, factor in lower.recipe.achieved.items():
            assert upper.recipe.achieved[axis] >= factor


def test_what_is_on_a_rung_was_measured_again(climbed):
    for rung in climbed.ladder.rungs[1:]:
        # on a machine that others keep busy a check may stay undecided, and says why
        assert rung.verified is True or rung.verification.reason
        assert rung.verification.processes >= 2
        assert rung.source in ("measured", "predicted")
        assert [outcome.text for outcome in rung.budgets] == [f"latency<={rung.text}"]


def test_a_ladder_alone_makes_no_choice(climbed):
    assert climbed.selection is None
    assert climbed.strategies == ()


def scaled(identifier, latency_s, top1, width):
    found = variant(identifier, latency_s=latency_s, top1=top1)
    kind = "base" if identifier == "base" else "w"
    return replace(found, recipe=recipe(kind, width**2, achieved={"width": width}))


RECORDED = report(
    scaled("base", 0.010, 70.0, 1.0),
    scaled("half", 0.005, 66.0, 0.5),
    scaled("wide", 0.018, 75.0, 1.5),
)


def test_a_recorded_report_gives_a_ladder_that_nobody_verified():
    ladder = select_from(RECORDED, [], ladder=["2ms", "0.6x", "2x"]).ladder
    assert [rung.variant for rung in ladder.rungs] == [None, "half", "wide"]
    assert [rung.source for rung in ladder.rungs] == [None, "measured", "measured"]
    assert all(rung.verified is None for rung in ladder.rungs)


def test_a_budget_holds_on_every_rung_of_a_recorded_ladder():
    heavy = replace(RECORDED.variants[2], cost=replace(RECORDED.variants[2].cost, params=900))
    report_ = replace(RECORDED, variants=(*RECORDED.variants[:2], heavy))
    selected = select_from(report_, ["params<=500"], ladder=["0.6x", "2x"])
    assert [rung.variant for rung in selected.ladder.rungs] == ["half", "base"]
    assert [o.metric for o in selected.ladder.rungs[1].budgets] == ["params", "latency"]


def test_neither_budget_nor_ladder_is_refused():
    with pytest.raises(BudgetError):
        select_from(RECORDED, [])


def test_a_higher_confidence_asks_for_more_room():
    # 9.3 ms in one process are below 10 ms with a chance of 96 %: ln(10 / 9.3) over 0.04 is 1.8
    tight = replace(RECORDED.variants[2], measurement=measured(0.0093))
    report_ = replace(RECORDED, variants=(*RECORDED.variants[:2], tight))
    chosen = {
        confidence: select_from(report_, ["latency<=10ms"], confidence=confidence).selection
        for confidence in ("95%", "99%")
    }  # fmt: skip
    assert (chosen["95%"].variant, chosen["95%"].confidence) == ("wide", 0.95)
    assert (chosen["99%"].variant, chosen["99%"].confidence) == ("half", 0.99)
