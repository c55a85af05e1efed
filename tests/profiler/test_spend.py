"""Measurements go where they are expected to change the choice; a script stands for the device."""

import math

import msgspec
import pytest
from factories import accuracy, cost, measured, recipe, report, variant

from scaleprof.jobs import SCALE, KnobsReply, ScaleReply
from scaleprof.models import call_of
from scaleprof.profiler._options import Options
from scaleprof.profiler._spend import Stop, effort, spend
from scaleprof.profiler._sweep import SENTINEL_EVERY, Sweep
from scaleprof.records import Measurement, Work, replace
from scaleprof.reports.markdown import report_markdown
from scaleprof.selection import parse_budgets, select_variant
from scaleprof.timing import Drift
from scaleprof.workers import Done

FACTORS = (1.0, 0.25, 0.35, 0.5, 0.7, 1.4, 1.8, 2.2, 2.6, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)


def scaled(factor):
    macs = int(1e8 * factor)
    work = (Work("conv_k", 10, macs // 10, 10_000, 40_000, 512, 4608),)
    name = "base" if factor == 1.0 else f"x{factor:g}"
    return msgspec.structs.replace(
        variant(name),
        cost=msgspec.structs.replace(
            cost(macs=macs, activations=macs // 100, params=int(1000 * factor)), work=work
        ),
        recipe=recipe("w", factor, achieved={"width": factor**0.5}),
        accuracy=accuracy(70.0 + 5.0 * math.log2(factor)),
    )


def latency(one):
    return one.cost.macs * 1e-11 * (1.1 if one.id in ("x2.2", "x3.5") else 1.0)


class Script:
    """Stands for the bench: every process takes the latency that the script has for the variant."""

    noise, seconds_left = None, 100.0

    def __init__(self, *, processes=1000, status="ok", learns=True):
        self.order, self.failures = [], {}
        self._left, self._status, self._learns = processes, status, learns

    def run(self, one, **_):
        self.order.append(one.id)
        self._left -= 1

    def blocks(self, one):
        return self.order.count(one.id)

    def measured(self, one):
        count = self.blocks(one)
        if not count:
            return one
        if self._status != "ok" and one.id != "base":
            return replace(one, measurement=Measurement(status=self._status, reason="it does"))
        known = measured(latency(one))
        processes = (7,) * (count if self._learns else 1)
        samples = (latency(one),) * sum(processes)
        pooled = replace(known.latency_s, samples=samples, processes=processes)
        return replace(one, measurement=replace(known, latency_s=pooled))

    def has_time_for(self, processes):
        return processes <= self._left

    def watch_drift(self, sentinel):
        return Drift()


class Scaler:
    """Stands for the workers that resolve recipes: to the nearest tenth."""

    def probe(self, job, request, reply, files):
        assert job == SCALE
        found = tuple(scaled(round(multiplier, 1)) for multiplier in request.multipliers)
        return Done(reply=ScaleReply(variants=found, skipped=()), elapsed_s=0.0)


def sweep_of(script, *budgets):
    base = scaled(1.0)
    knobs = KnobsReply(
        call=call_of(base.recipe), inputs=(), axes={}, cost=base.cost, arguments={},
        callables=(), library=None, base=base,
    )  # fmt: skip
    options = Options(budgets=parse_budgets(budgets), strategies=("w",))
    sweep = Sweep(
        model="m",
        knobs=knobs,
        options=options,
        crew=Scaler(),
        bench=script,
        progress=lambda _: None,
    )
    sweep.variants.update((one.id, one) for one in map(scaled, FACTORS[1:]))
    sweep.measure(sweep.base)
    return sweep, options


def run(script, *budgets, **settings):
    sweep, options = sweep_of(script, *budgets)
    return sweep, options, spend(sweep, options, **settings)


@pytest.mark.parametrize("factor", [0.6, 1.5, 2.3, 3.2, 4.5, 7.0])
def test_the_choice_is_that_of_measuring_everything_from_half_as_many(factor):
    budget = f"latency<={factor}x"
    sweep, options, stop = run(Script(), budget)
    everything = [replace(one, measurement=measured(latency(one))) for one in map(scaled, FACTORS)]
    want = select_variant(everything, sweep.limits, batch=1)
    got = select_variant(list(sweep.variants.values()), sweep.limits, batch=1)
    assert got.variant == want.variant
    assert stop.why == "settled"
    assert stop.left < 0.01 + 1e-9
    assert effort(sweep, options, stop).measured <= len(FACTORS) / 2


def test_what_is_near_the_budget_is_measured_first():
    script = Script()
    run(script, "latency<=3.2x")
    assert script.order[1] in ("x2.6", "x3", "x3.5", "x4")


def test_the_base_is_measured_again_after_every_six():
    script = Script()
    run(script)
    places = [i for i, name in enumerate(script.order[1:], start=1) if name == "base"]
    assert places == [SENTINEL_EVERY + 1, 2 * SENTINEL_EVERY + 2]


def test_without_a_budget_all_is_measured_whose_band_is_wide():
    sweep, options, stop = run(Script())
    assert stop == Stop("measured", None)
    assert effort(sweep, options, stop).measured == len(FACTORS)


def test_the_time_limit_leaves_enough_for_the_check():
    script = Script(processes=8)
    sweep, options, stop = run(script, "latency<=2.3x")
    assert (stop.why, len(script.order)) == ("time", 4)
    assert "time limit" in sweep.notes[0]
    assert effort(sweep, options, stop).reason == "the time limit ended it"


@pytest.mark.parametrize("script", [Script(status="crashed"), Script(learns=False)])
def test_what_fails_or_is_always_disturbed_is_not_tried_for_ever(script):
    _, _, stop = run(script, "latency<=2.3x", most_processes=2)
    assert stop.why in ("settled", "measured")
    others = [name for name in script.order if name != "base"]
    assert max(map(others.count, others)) <= 2


def test_where_counts_alone_decide_nothing_is_measured_for_the_choice():
    script = Script()
    _, _, stop = run(script, "params<=1M")
    assert (script.order, stop.why) == (["base"], "settled")


def test_a_strategy_is_measured_where_it_fills_the_budget():
    script = Script()
    sweep, _, _ = run(script, "latency<=1.63x")
    before = len(script.order)
    sweep.fill_budgets()
    (limit,) = sweep.limits
    rooms = [limit.value / latency(sweep.variants[name]) for name in script.order]
    assert any(1.06 < room < 1 / 0.86 for room in rooms)
    assert len(script.order) - before <= 2


def test_a_strategy_that_fills_by_counting_is_measured_once_all_the_same():
    script = Script()
    sweep, _, _ = run(script, "params<=2.3x")
    sweep.fill_budgets()
    assert script.order == ["base", "x2.2"]


def test_a_second_process_goes_to_what_the_choice_hangs_on():
    script = Script()
    run(script, "latency<=2.8x", most_processes=2)
    twice = {name for name in script.order if script.order.count(name) > 1} - {"base"}
    assert twice
    assert twice <= {"x2.2", "x2.6", "x3", "x3.5"}


def test_the_report_says_how_much_was_measured_and_why_no_more():
    sweep, options, stop = run(Script(), "latency<=2.3x")
    said = effort(sweep, options, stop)
    assert said.reason == "no further measurement is expected to change the choice by 0.01 points"
    shown = report_markdown([replace(report(*sweep.variants.values()), effort=said)])
    assert (
        f"measured {said.measured} of 15 variants, in {said.processes} processes; no fur" in shown
    )
    assert effort(sweep, options, None).stopped == "interrupted"


def test_other_metrics_are_told_in_their_own_unit():
    sweep, options, stop = run(Script(), "latency<=2.3x")
    loss = replace(sweep.base.accuracy, metric="loss", tie=0.03, lower_is_better=True)
    sweep.variants["base"] = replace(sweep.base, accuracy=loss)
    assert effort(sweep, options, stop).reason.endswith("by 0.001 loss")
