"""Which module takes the time of a variant: by a job of its own, after everything is measured."""

import os
from pathlib import Path

import pytest
from factories import variant

import scaleprof
from scaleprof.jobs import TIME_MODULES, ModulesReply
from scaleprof.profiler._bench import Bench
from scaleprof.profiler._options import Options
from scaleprof.profiler._stages import with_modules
from scaleprof.timing import StoppingRule
from scaleprof.workers import Done, Failure

NETS = os.path.relpath(Path(__file__).parents[1] / "models" / "nets.py")


class Crew:
    """Counts nothing; a process that times modules ends as it is told."""

    def __init__(self, outcome):
        self.outcome, self.asked = outcome, []

    def try_count(self, job, request, reply):
        return Failure(status="raised", reason="no costs here")

    def measure(self, job, request, reply):
        self.asked.append((job, request))
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def shares(**found):
    return Done(reply=ModulesReply(shares=found, busy_s=0.25), elapsed_s=1.0)


def bench_of(crew, *, deadline=1e9, **options):
    return Bench(crew, Options(**options), "cpu", deadline=deadline, rule=StoppingRule(), kept=None)


def finished(crew, *, chosen=None, latency_s=0.01, **options):
    """Measurements of the base and of another variant at the end of a job."""
    bench = bench_of(crew, **options)
    variants = {name: variant(name, latency_s=latency_s) for name in ("base", "a")}
    found = with_modules(crew, bench, variants, chosen, dtype="float32")
    return {name: found.get(name, variants[name]).measurement for name in variants}


def test_the_base_and_the_choice_get_times_and_nobody_else():
    crew = Crew(shares(stem=0.25, head=0.5))
    got = finished(crew, chosen="a")
    assert got["base"].modules_s == got["a"].modules_s == {"stem": 0.0025, "head": 0.005}
    assert finished(crew)["a"].modules_s is None
    assert [job for job, _ in crew.asked] == [TIME_MODULES] * 3


def test_their_passes_count_as_time_in_models():
    crew = Crew(shares(stem=0.25))
    bench = bench_of(crew)
    variants = {name: variant(name, latency_s=0.01) for name in ("base", "a")}
    with_modules(crew, bench, variants, "a", dtype="float32")
    assert bench.model_s == 2 * 0.25


def test_modules_below_one_per_cent_are_not_listed():
    assert finished(Crew(shares(a=0.01, b=0.0099)))["base"].modules_s == {"a": 0.0001}


@pytest.mark.parametrize(("latency_s", "passes"), [(1e-6, 100), (0.02, 50), (60.0, 5)])
def test_passes_take_about_a_second_within_bounds(latency_s, passes):
    crew = Crew(shares())
    finished(crew, latency_s=latency_s)
    assert [request.passes for _, request in crew.asked] == [passes]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        pytest.param({"step": "training"}, "backward pass", id="training"),
        pytest.param({"mode": "compile"}, "in mode compile", id="compiled"),
        pytest.param({"mode": "graph"}, "in mode graph", id="graph"),
        pytest.param({"deadline": 0.0}, "time limit", id="time-is-over"),
    ],
)
def test_where_modules_cannot_be_timed_no_process_starts_and_it_says_why(options, reason):
    crew = Crew(shares(stem=1.0))
    got = finished(crew, **options)["base"]
    assert got.modules_s is None
    assert reason in got.reasons["modules_s"]
    assert crew.asked == []


def test_a_process_that_fails_leaves_a_reason_and_the_measurement():
    got = finished(Crew(Failure(status="crashed", reason="was ended by SIGSEGV")))["base"]
    assert got.reasons["modules_s"] == "was ended by SIGSEGV"
    assert got.latency_s.p50 == 0.01


def test_an_interruption_keeps_the_measurements():
    got = finished(Crew(KeyboardInterrupt()), chosen="a")
    assert [m.latency_s.p50 for m in got.values()] == [0.01, 0.01]


def test_the_module_that_waits_is_the_one_that_takes_the_time():
    report = scaleprof.measure(f"{NETS}:Waits", inputs="3x32x32", device="cpu", processes=1,
                               time_limit=900)  # fmt: skip
    measured = report.variants[0].measurement
    assert max(measured.modules_s, key=measured.modules_s.get) == "slow"
    # each of the others would have to take as long as a sleep of 50 ms
    assert measured.modules_s["slow"] > 0.5 * measured.latency_s.p50
