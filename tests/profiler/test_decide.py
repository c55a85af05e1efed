"""When a check measures more, and what its verdicts then are worth: no clock, no device."""

import math
import random

import pytest
from factories import report, variant

from scaleprof.profiler._decide import LOOKS, MOST_ADDED, decide
from scaleprof.profiler._pooled import shift, with_added
from scaleprof.records import Measurement, Memory, replace
from scaleprof.reports.comparison import Named, judge
from scaleprof.timing import summarise

SAMPLES = 21


def measurement(latencies_s, **changes):
    settings = {
        "status": "ok",
        "latency_s": summarise([[latency_s] * SAMPLES for latency_s in latencies_s]),
        "peak_bytes": 4000,
        "peak_bytes_source": "planned",
        "memory": Memory(planned=4000, process=6_000_000),
    }
    return Measurement(**(settings | changes))


def recorded(*latencies_s, **changes):
    return report(variant("base", measurement=measurement(latencies_s, **changes)))


class Machine:
    """Stands for workers: every process of a variant takes the next latency."""

    def __init__(self, latencies_s, **changes):
        self._latencies_s = iter(latencies_s)
        self._changes = changes
        self.measured = {}
        self.asked = []

    def __call__(self, wanted):
        self.asked.append(dict(wanted))
        for name, more in wanted.items():
            taken = [next(self._latencies_s) for _ in range(more)]
            self.measured[name] = [*self.measured.get(name, []), *taken]
        return {name: measurement(all_, **self._changes) for name, all_ in self.measured.items()}


def held(now, baseline=None, *, gates=(), budgets=()):
    baselines = [Named(name="main", report=baseline)] if baseline is not None else []

    def judged(current):
        return judge(
            [Named(name="now", report=current)],
            baselines,
            gates=gates,
            budgets=budgets,
            looks=LOOKS,
        )

    return judged


def decided(now, baseline, gate, machine):
    return decide(now, held(now, baseline, gates=gate), machine)


def alike(centre, count, *, spread=0.01, seed=0):
    chance = random.Random(seed)
    return [centre * math.exp(chance.gauss(0, spread)) for _ in range(count)]


def test_an_undecided_line_is_decided_by_more_processes_of_the_report():
    baseline, now = recorded(*alike(1.0, 6)), recorded(*alike(1.0, 2, seed=1))
    assert held(now, baseline, gates="latency:+5%")(now).check.verdict == "inconclusive"
    machine = Machine(alike(1.0, 60, seed=2))
    found = decided(now, baseline, "latency:+5%", machine)
    (line,) = found.check.lines
    assert (found.check.verdict, line.verdict) == ("pass", "pass")
    assert line.added_processes == found.processes == len(machine.measured["base"])
    assert line.processes == (6, 2 + line.added_processes)
    # the baseline is as it was
    assert len(found.report.variant("base").measurement.latency_s.processes) == line.processes[1]


def test_a_slower_model_fails_once_it_is_measured_enough():
    baseline, now = recorded(*alike(1.0, 6)), recorded(*alike(1.1, 2, seed=1))
    found = decided(now, baseline, "latency:+5%", Machine(alike(1.1, 60, seed=2)))
    assert found.check.verdict == "fail"


def test_what_is_decided_is_not_measured():
    baseline, now = recorded(*alike(1.0, 6)), recorded(*alike(1.3, 6))
    machine = Machine([])
    found = decided(now, baseline, "latency:+5%", machine)
    assert (found.check.verdict, machine.asked, found.report) == ("fail", [], now)


@pytest.mark.parametrize(
    ("rule", "baseline"),
    [
        pytest.param(
            {"gates": "memory.process:+5%"},
            recorded(1.0, memory=Memory(planned=4000, process=5_800_000)),
            id="one-number",
        ),
        pytest.param(
            {"gates": "latency:+5%"}, recorded(1.0, 1.0, contended=True), id="disturbed-baseline"
        ),
        pytest.param({"gates": "latency:+5%"}, report(variant("base")), id="unmeasured-baseline"),
        pytest.param({"gates": "energy:+5%"}, recorded(1.0, 1.0), id="unknown-energy"),
    ],
)
def test_what_more_processes_cannot_decide_is_not_measured(rule, baseline):
    now, machine = recorded(1.0, 1.0), Machine([])
    found = decide(now, held(now, baseline, **rule), machine)
    assert (found.check.verdict, machine.asked) == ("inconclusive", [])


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(recorded(2.0, 2.0, contended=True), id="disturbed"),
        pytest.param(recorded(2.0, 2.0, noisy=True), id="noisy"),
        pytest.param(report(variant("base")), id="unmeasured"),
    ],
)
def test_a_report_that_no_verdict_may_rest_on_gets_processes_that_one_may(now):
    machine = Machine(alike(1.0, 60) if now.variants[0].measurement is None else alike(2.0, 60))
    found = decide(now, held(now, budgets="latency<=3s"), machine)
    (line,) = found.check.lines
    assert line.verdict == "pass"
    assert line.added_processes >= 6


def test_no_more_are_measured_than_help():
    # the limit is where both are: nothing decides this
    same = [1.0] * 6
    machine = Machine(alike(1.0, 1000, spread=0.04))
    found = decided(recorded(*same), recorded(*same), "latency:-4%", machine)
    assert sum(asked["base"] for asked in machine.asked) <= MOST_ADDED
    assert len(machine.asked) <= LOOKS - 1
    assert found.check.verdict in ("fail", "inconclusive")


def test_a_relative_budget_measures_the_base_beside_the_variant():
    base = variant("base", measurement=measurement(alike(1.0, 2)))
    wide = variant("w", measurement=measurement(alike(1.85, 2)))
    now = report(base, wide)

    def judged(current):
        return judge([Named(name="now", report=current)], [], budgets="latency<=2x", variant="w",
                     looks=LOOKS)  # fmt: skip

    machine = Machine([])
    machine.__class__ = type("Two", (Machine,), {"__call__": _two})
    found = decide(now, judged, machine)
    assert machine.asked[0].keys() == {"base", "w"}
    assert found.check.verdict == "pass"


def _two(machine, wanted):
    machine.asked.append(dict(wanted))
    centres = {"base": 1.0, "w": 1.85}
    return {name: measurement(alike(centres[name], more, seed=3)) for name, more in wanted.items()}


def test_a_machine_that_is_not_what_it_was_decides_nothing():
    baseline, now = recorded(*alike(1.0, 6)), recorded(*alike(1.0, 2, seed=1))
    found = decided(now, baseline, "latency:+5%", Machine(alike(1.2, 60, seed=2)))
    assert found.check.verdict == "inconclusive"
    assert found.report == now
    assert found.check.lines[0].added_processes == 0
    assert "slower than when the report was recorded" in found.check.notes[-1]


def test_processes_that_others_disturbed_are_named_and_do_not_count():
    baseline, now = recorded(*alike(1.0, 6)), recorded(*alike(1.0, 2, seed=1))
    machine = Machine(alike(1.5, 60), contended=True)
    found = decided(now, baseline, "latency:+5%", machine)
    assert found.report.variants == now.variants
    assert found.check.verdict == "inconclusive"
    assert "do not count: others disturbed them" in found.check.notes[-1]


def test_scatter_that_more_processes_show_forgets_no_verdict():
    baseline, now = recorded(*[1.0] * 2), recorded(1.0)
    # as many fast as slow ones, so that they are no other machine
    wild = Machine([1.3 ** (-1) ** i for i in range(60)])
    found = decided(now, baseline, "latency:+5%", wild)
    assert found.check.verdict == "inconclusive"
    assert "below the noise floor" in found.check.notes[-1]


def test_pooling_keeps_all_samples_in_the_order_of_their_processes():
    before = variant("base", measurement=measurement([1.0, 1.1], first_call_s=(9.0, 9.0)))
    after, count = with_added(before, measurement([1.2], first_call_s=(8.0,), drift=(1.1,)))
    got = after.measurement
    assert count == 1
    assert got.latency_s == summarise([[1.0] * SAMPLES, [1.1] * SAMPLES, [1.2] * SAMPLES])
    assert got.first_call_s == (9.0, 9.0, 8.0)
    assert got.drift == (1.0, 1.0, 1.1)


def test_the_largest_memory_of_all_processes_is_kept():
    before = measurement([1.0], memory=Memory(planned=1, allocated=10, process=30), peak_bytes=10)
    added = measurement([1.0], memory=Memory(planned=1, allocated=20, process=20), peak_bytes=20)
    after, _ = with_added(variant("base", measurement=before), added)
    assert after.measurement.memory == Memory(planned=1, allocated=20, process=30)
    assert after.measurement.peak_bytes == 20


def test_disturbed_processes_give_way_to_quiet_ones():
    before = variant("base", measurement=measurement([2.0, 2.0], contended=True))
    after, count = with_added(before, measurement([1.0]))
    assert (count, after.measurement.latency_s.p50) == (1, 1.0)
    assert after.measurement.discarded_processes == 2
    quiet = replace(before, measurement=measurement([1.0]))
    assert with_added(quiet, measurement([2.0], contended=True)) == (quiet, 0)


@pytest.mark.parametrize(("now", "moved"), [(1.0, False), (1.02, False), (1.3, True), (0.7, True)])
def test_only_a_change_beyond_the_scatter_of_processes_is_a_change_of_the_machine(now, moved):
    then = measurement([1.0 + i / 1e4 for i in range(6)])
    after = measurement([now + i / 1e4 for i in range(6)])
    change = shift(then, after)
    assert (change is not None) == moved
    if moved:
        assert change == pytest.approx(now - 1, rel=0.01)


def test_a_host_that_the_yardstick_shows_to_be_slower_is_no_change_of_the_machine():
    then = measurement([1.0] * 6, yardsticks_s=(0.001,) * 6)
    slow = measurement([1.2] * 6, yardsticks_s=(0.0012,) * 6)
    assert shift(then, slow) is None
    assert shift(then, measurement([1.2] * 6, yardsticks_s=(0.001,) * 6)) is not None


def test_pooled_processes_keep_their_yardsticks():
    then = variant("base", measurement=measurement([1.0] * 2, yardsticks_s=(0.001, 0.001)))
    after, _ = with_added(then, measurement([1.2] * 2, yardsticks_s=(0.0012, 0.0012)))
    assert after.measurement.yardsticks_s == (0.001, 0.001, 0.0012, 0.0012)
    assert after.measurement.latency_s.p50 == pytest.approx(1.1)


def test_processes_without_a_yardstick_are_pooled_as_they_are():
    then = variant("base", measurement=measurement([1.0] * 2))
    after, _ = with_added(then, measurement([1.0], yardsticks_s=(0.002,)))
    assert after.measurement.yardsticks_s == ()
    assert after.measurement.latency_s.samples == (1.0,) * 3 * SAMPLES


@pytest.mark.parametrize(
    ("true_change", "wrong"),
    [pytest.param(0.10, ("fail", "pass"), id="at-the-limit"),
     pytest.param(0.00, ("fail",), id="the-same"),
     pytest.param(0.20, ("pass",), id="slower")],
)  # fmt: skip
def test_looking_again_until_a_line_is_decided_errs_no_more_often_than_one_look_may(
    true_change, wrong
):
    chance, errors, runs = random.Random(7), 0, 150
    for _ in range(runs):

        def drawn(centre, count):
            return [centre * math.exp(chance.gauss(0, 0.04)) for _ in range(count)]

        baseline, now = recorded(*drawn(1.0, 6)), recorded(*drawn(1 + true_change, 3))
        found = decided(now, baseline, "latency:+10%", Machine(drawn(1 + true_change, 100)))
        errors += found.check.verdict in wrong
    # 5 % of 150 are 7.5; 15 would be three standard deviations more
    assert errors <= 15
