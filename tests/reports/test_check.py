"""Gates and budgets on reports made by hand, and how often their verdicts are wrong."""

import json
import math
import random
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from factories import report, variant
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from scipy import stats

from scaleprof import check
from scaleprof.errors import BudgetError, GateError, InputError, ReportError
from scaleprof.records import (
    Calibration,
    Check,
    Measurement,
    Memory,
    ModuleCost,
    OperatorCost,
    Selection,
    replace,
)
from scaleprof.reports.comparison import (
    MOST_PROCESSES,
    Noise,
    Timing,
    noise_of,
    parse_gate,
    read_settings,
    student_quantile,
    timing_of,
)
from scaleprof.reports.github import annotations, append_summary, workflow_command
from scaleprof.reports.markdown import check_markdown
from scaleprof.reports.verdicts import check_text
from scaleprof.selection import METRICS
from scaleprof.timing import midmean, summarise

EVIL = "a\n::error::owned\r\n##[error]x %0A \x1b[2J\x1b]0;t\x07 | <b>&`*[l](http://e)\u202e @team"


def measurement(processes, **changes):
    settings = {
        "status": "ok",
        "latency_s": summarise(processes),
        "peak_bytes": 4000,
        "peak_bytes_source": "planned",
        "memory": Memory(planned=4000, process=6_000_000),
    }
    return Measurement(**(settings | changes))


def timed(latency_s, *, processes=6, samples=20, identifier="base", costs=None, **changes):
    """A variant whose processes all agree."""
    measured = measurement([[latency_s] * samples] * processes, **changes)
    return variant(identifier, measurement=measured, costs=costs)


def one(*arguments, **keywords):
    (line,) = check(*arguments, **keywords).lines
    return line


def gated(baseline_s, now_s, gate, **keywords):
    return one(report(timed(now_s)), baseline=report(timed(baseline_s)), gates=gate, **keywords)


@pytest.mark.parametrize(
    ("text", "baseline", "limit"),
    [
        pytest.param("latency.p50:+3%", 100, 103, id="share"),
        pytest.param("latency:-5%", 100, 95, id="must-improve"),
        pytest.param("memory.planned:+0", 2**62 + 1, 2**62 + 1, id="nothing"),
        pytest.param("memory.planned:+0%", 7, 7, id="nothing-as-a-share"),
        pytest.param("memory.planned:+0MiB", 7, 7, id="nothing-with-a-unit"),
        pytest.param("memory:+2MiB", 0, 2**21, id="bytes"),
        pytest.param("params:+1.5k", 10, 1510, id="count"),
        pytest.param(" macs : +10 ", 10, 20, id="spaces"),
        pytest.param("throughput:-3%", 100, 97, id="more-is-better"),
    ],
)
def test_a_gate_allows_what_it_says(text, baseline, limit):
    assert parse_gate(text).limit(Fraction(baseline)) == limit


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("latency", "is not a gate", id="no-threshold"),
        pytest.param("latency:3%", "is not a gate", id="no-sign"),
        pytest.param("latency<=3%", "is not a gate", id="a-budget"),
        pytest.param("", "is not a gate", id="nothing"),
        pytest.param("speed:+3%", "unknown metric `speed`", id="unknown-metric"),
        pytest.param("latency:+3", "a unit is missing", id="no-unit"),
        pytest.param("latency:+3MiB", "unknown unit", id="other-unit"),
        pytest.param("latency:+1e999ms", "positive number", id="infinite"),
        pytest.param("latency:+%", "expected a number", id="no-number"),
        pytest.param("latency:-100%", "less than nothing", id="all-of-it"),
        pytest.param("latency:+" + "9" * 5000 + "%", "expected a number|unknown", id="endless"),
    ],
)
def test_a_bad_gate_is_one_line_with_a_hint(text, message):
    with pytest.raises(GateError, match=message) as caught:
        parse_gate(text)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@given(st.text(max_size=30))
def test_no_text_of_a_gate_breaks_the_parser(text):
    try:
        gate = parse_gate(text)
    except GateError:
        return
    assert gate.metric in text


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 17, 30, 200])
def test_the_quantile_of_t_is_that_of_scipy(confidence, degrees):
    want = stats.t.ppf((1 + confidence) / 2, degrees)
    assert student_quantile(confidence, degrees) == pytest.approx(want, rel=1e-9)


def test_the_spread_weighs_the_recorded_one_like_three_degrees():
    # processes 1 and e apart: squares 2 * 0.5**2 on 1 degree; (3 * 0.04**2 + 0.5) / 4
    noise = noise_of([Timing(logs=(0.0, 1.0), within=0.0)], confidence=0.95)
    assert noise.degrees == 4
    assert noise.spread == pytest.approx(math.sqrt((3 * 0.0016 + 0.5) / 4))


def test_the_interval_of_a_ratio_is_that_of_students_t():
    noise = Noise(spread=0.1, degrees=10, confidence=0.95)
    two, three = (Timing(logs=(0.0,) * n, within=0.0) for n in (2, 3))
    want = stats.t.ppf(0.975, 10) * 0.1 * math.sqrt(1 / 2 + 1 / 3)
    assert noise.estimate(two, three).half_width() == pytest.approx(want)


def test_the_processes_that_would_decide_do_and_one_less_does_not():
    noise = Noise(spread=0.04, degrees=5, confidence=0.95)
    one = Timing(logs=(0.0, 0.0), within=0.001)
    found = noise.estimate(one, one)
    more = found.processes_to_decide(0.03)
    assert found.half_width(more=more) < 0.03 <= found.half_width(more=more - 1)


def test_percentiles_are_taken_in_each_process():
    # nine samples are the fewest that have a 90th percentile at position (n + 1) * 0.9 = 9
    samples = [*range(1, 10), *range(11, 20), 1, 2]
    latency = replace(summarise([samples]), processes=(9, 9, 2))
    timing = timing_of(measurement([[1.0]], latency_s=latency), 90)
    assert timing.logs == pytest.approx((math.log(9), math.log(19)))


def test_counts_gate_exactly():
    # one parameter in 2**62 is lost in a float, and is still one parameter more
    then, now = (report(variant("base", costs={"params": 2**62 + i})) for i in (0, 1))
    assert one(now, baseline=then, gates="params:+0").verdict == "fail"
    assert one(then, baseline=then, gates="params:+0").verdict == "pass"
    assert one(then, baseline=now, gates="params:+0").verdict == "pass"


@given(
    st.integers(0, 2**53),
    st.integers(0, 2**53),
    st.integers(0, 500),
)
def test_exact_gates_agree_with_the_definition(then, now, percent):
    reports = [report(variant("base", costs={"macs": macs})) for macs in (then, now)]
    line = one(reports[1], baseline=reports[0], gates=f"macs:+{percent}%")
    assert (line.verdict == "pass") == (100 * now <= (100 + percent) * then)


@pytest.mark.parametrize(
    ("now_s", "gate", "verdict"),
    [
        pytest.param(0.0100, "latency.p50:+10%", "pass", id="the-same"),
        pytest.param(0.0125, "latency.p50:+10%", "fail", id="slower"),
        pytest.param(0.0110, "latency.p50:+10%", "inconclusive", id="just-at-the-limit"),
        pytest.param(0.0100, "latency:+1ms", "pass", id="absolute"),
        pytest.param(0.0080, "latency:-10%", "pass", id="improved"),
        pytest.param(0.0100, "latency:-10%", "fail", id="not-improved"),
        pytest.param(0.0100, "throughput:-10%", "pass", id="throughput-the-same"),
        pytest.param(0.0125, "throughput:-10%", "fail", id="throughput-fell"),
        pytest.param(0.0080, "throughput:+10%", "pass", id="throughput-rose"),
    ],
)
def test_timings_gate_by_their_interval(now_s, gate, verdict):
    line = gated(0.010, now_s, gate)
    assert line.verdict == verdict
    low, high = line.change_interval
    assert low < line.change < high
    assert line.change == pytest.approx(
        now_s / 0.010 - 1 if line.metric != "throughput" else 0.010 / now_s - 1
    )
    assert (line.more_processes is not None) == (verdict == "inconclusive" and now_s != 0.0110)


def test_an_undecided_line_says_how_many_processes_would_decide():
    line = gated(0.010, 0.0108, "latency:+10%")
    assert line.verdict == "inconclusive"
    assert f"about {line.more_processes} more process" in line.reason
    more = line.more_processes + 6
    pair = [report(timed(latency, processes=more)) for latency in (0.010, 0.0108)]
    assert one(pair[1], baseline=pair[0], gates="latency:+10%").verdict == "pass"


def test_many_samples_of_one_process_decide_no_more_than_the_process():
    pair = [report(timed(0.010, processes=1, samples=n)) for n in (20, 2000)]
    widths = [one(r, baseline=r, gates="latency:+20%").change_interval for r in pair]
    assert widths[0] == pytest.approx(widths[1])


def test_scatter_between_processes_widens_the_interval():
    calm = report(timed(0.010))
    wild = report(
        variant("base", measurement=measurement([[0.010 * f] * 20 for f in (0.8, 1, 1.25) * 2]))
    )
    assert one(calm, baseline=calm, gates="latency:+10%").verdict == "pass"
    assert one(wild, baseline=calm, gates="latency:+10%").verdict == "inconclusive"


def on_a_host(hosts, *, latency_s=0.010, slope=1.0, drift=()):
    """A base whose processes follow the speed of their host."""
    processes = [
        [latency_s * host**slope / divided] * 20
        for host, divided in zip(hosts, drift or [1.0] * len(hosts), strict=True)
    ]
    yardsticks = tuple(0.0015 * host for host in hosts)
    measured = measurement(processes, yardsticks_s=yardsticks, drift=tuple(drift))
    return variant("base", measurement=measured)


UNSTEADY = (1.0, 1.3, 0.9, 1.1, 1.25, 0.95)


def test_what_the_host_did_to_processes_does_not_widen_the_interval():
    told = report(on_a_host(UNSTEADY))
    (measured,) = (variant.measurement for variant in told.variants)
    untold = report(variant("base", measurement=replace(measured, yardsticks_s=())))
    assert one(told, baseline=told, gates="latency:+5%").verdict == "pass"
    assert one(untold, baseline=untold, gates="latency:+10%").verdict == "inconclusive"


@pytest.mark.parametrize("slope", [0.6, 0.9, 1.2])
@pytest.mark.parametrize("gate", ["latency:+10%", "throughput:-10%"])
def test_a_host_that_is_slower_than_for_the_baseline_is_taken_out_and_told(slope, gate):
    then = report(on_a_host(UNSTEADY, slope=slope))
    now = report(on_a_host([1.2 * host for host in UNSTEADY], slope=slope))
    result = check(now, baseline=then, gates=gate)
    (line,) = result.lines
    assert line.verdict == "pass"
    # what is known of slopes beforehand draws the fit a little towards it
    assert line.change == pytest.approx(0.0, abs=0.02)
    assert line.host_change == pytest.approx(0.2)
    assert any("20% slower" in note for note in result.notes)


def test_a_slower_model_on_a_faster_host_fails():
    then = report(on_a_host(UNSTEADY))
    now = report(on_a_host([host / 1.2 for host in UNSTEADY], latency_s=0.012))
    line = one(now, baseline=then, gates="latency:+5%")
    assert line.verdict == "fail"
    assert line.change == pytest.approx(0.2, abs=0.02)


def test_where_a_sentinel_has_shown_drift_the_yardstick_is_not_used_again():
    then = report(on_a_host(UNSTEADY))
    corrected = report(on_a_host(UNSTEADY, drift=UNSTEADY))
    line = one(corrected, baseline=then, gates="latency:+30%")
    assert line.host_change is None


def test_other_variants_do_not_tell_how_one_follows_the_host():
    def pair(factor):
        hosts = [factor * host for host in UNSTEADY]
        steep = replace(on_a_host(hosts, slope=1.0), id="w")
        return report(on_a_host(hosts, slope=0.5), steep)

    then, now = pair(1.0), pair(1.2)
    lines = check(now, baseline=then, gates="latency:+30%", variant="all").lines
    for line in lines:
        low, high = line.change_interval
        assert low < 0.0 < high


def test_a_host_far_from_what_it_was_leaves_a_line_undecided_as_slopes_differ():
    then, now = report(on_a_host([1.0] * 6)), report(on_a_host([1.6] * 6))
    line = one(now, baseline=then, gates="latency:+5%")
    assert line.verdict == "inconclusive"
    assert line.more_processes is None
    assert "the host was 60% slower" in line.reason


def test_variants_without_a_yardstick_say_nothing_of_what_it_leaves():
    told = on_a_host(UNSTEADY)
    wild = variant("w", measurement=measurement([[t] * 20 for t in (0.01, 0.02, 0.04)]))
    lines = [
        one(each, baseline=each, gates="latency:+5%") for each in (report(told), report(told, wild))
    ]
    assert lines[0].change_interval == lines[1].change_interval


@pytest.mark.parametrize("processes", [1, 2, 3, 6])
def test_a_variant_with_noisy_samples_does_not_get_the_interval_of_quiet_ones(processes):
    draw = random.Random(0)

    def drawn(count, samples, deviation):
        logs = [[draw.gauss(0, deviation) for _ in range(samples)] for _ in range(count)]
        drawn_s = [[0.01 * math.exp(log) for log in own] for own in logs]
        return measurement(drawn_s, yardsticks_s=(0.001,) * count)

    def both():
        quiet = [variant(f"q{i}", measurement=drawn(6, 20, 0.01)) for i in range(5)]
        return report(variant("base", measurement=drawn(processes, 12, 0.2)), *quiet)

    missed = 0
    for _ in range(100):
        low, high = one(both(), baseline=both(), gates="latency:+100%").change_interval
        missed += not low <= 0.0 <= high
    # 5 of 100 may miss; 12 do so by chance one time in 250
    assert missed < 12


def test_a_host_that_changes_its_speed_midway_is_followed():
    def flipping(slow_shares):
        """Each process has 20 samples: so many on a host a third slower, the others not."""
        processes, yardsticks = [], []
        for slow in slow_shares:
            host = sorted([1.3] * slow + [1.0] * (20 - slow))
            processes.append([0.010 * speed for speed in host])
            yardsticks.append(0.0015 * midmean(host))
        return report(
            variant("base", measurement=measurement(processes, yardsticks_s=tuple(yardsticks)))
        )

    then, now = flipping((7, 8, 9, 11, 12, 13)), flipping((11, 12, 13, 12, 11, 13))
    line = one(now, baseline=then, gates="latency:+5%")
    assert line.verdict == "pass"
    assert line.change == pytest.approx(0.0, abs=0.02)
    assert line.now / line.baseline > 1.04


def test_the_middle_of_one_side_is_not_held_against_the_median_of_the_other():
    skewed = [[0.010] * 12 + [0.020] * 8] * 6
    told = measurement(skewed, yardsticks_s=(0.001,) * 6)
    untold = measurement(skewed)
    assert math.exp(timing_of(told, 50).centre) > 0.011
    then, now = (report(variant("base", measurement=each)) for each in (untold, told))
    assert one(now, baseline=then, gates="latency:+10%").change == pytest.approx(0.0)


def test_a_budget_is_held_against_medians_whatever_the_yardstick():
    # the middles are one and the same, the medians far apart
    skewed = [[0.010] * 11 + [0.020] * 9, [0.010] * 9 + [0.020] * 11] * 3
    told = report(variant("base", measurement=measurement(skewed, yardsticks_s=(0.001,) * 6)))
    untold = report(variant("base", measurement=measurement(skewed)))
    lines = [one(each, budgets="latency<=1s") for each in (told, untold)]
    assert lines[0].now == lines[1].now == pytest.approx(math.sqrt(0.010 * 0.020))
    assert lines[0].now_interval == lines[1].now_interval


def test_a_process_without_samples_has_no_middle():
    told = measurement([[0.01] * 20, [0.01] * 20], yardsticks_s=(0.001, 0.001))
    emptied = replace(told, latency_s=replace(told.latency_s, processes=(40, 0)))
    timing = timing_of(emptied, 50)
    assert (timing.processes, timing.host) == (1, ())


def test_across_versions_the_yardstick_is_another_one():
    then = report(on_a_host(UNSTEADY))
    now = report(on_a_host([2 * host for host in UNSTEADY]))
    now = replace(now, context=replace(now.context, versions={"torch": "0.1"}))
    line = one(now, baseline=then, gates="latency:+10%", allow_different=True)
    assert (line.verdict, line.host_change) == ("fail", None)


def test_only_the_median_is_known_to_follow_the_yardstick():
    told = report(on_a_host(UNSTEADY))
    line = one(told, baseline=told, gates="latency.p90:+60%")
    assert line.host_change is None


def test_intervals_with_a_yardstick_cover_the_truth_as_often_as_they_say():
    draw = random.Random(0)
    missed = 0
    for _ in range(400):
        slope = draw.gauss(0.9, 0.2)
        sides = []
        for centre in (1.0, math.exp(draw.gauss(0, 0.1))):
            hosts = [centre * math.exp(draw.gauss(0, 0.08)) for _ in range(6)]
            times = [0.01 * h**slope * math.exp(draw.gauss(0, 0.03)) for h in hosts]
            measured = measurement([[t] * 20 for t in times], yardsticks_s=tuple(hosts))
            sides.append(report(variant("base", measurement=measured)))
        low, high = one(sides[1], baseline=sides[0], gates="latency:+60%").change_interval
        missed += not low <= 0.0 <= high
    # 5 % may miss; a third more is three standard deviations of so many pairs
    assert missed / 400 < 0.085


@pytest.mark.parametrize("side", ["baseline", "now"])
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"contended": True}, id="contended"),
        pytest.param({"noisy": True, "processes": 2}, id="noisy"),
        pytest.param({"status": "out_of_memory"}, id="failed"),
    ],
)
def test_a_disturbed_measurement_neither_passes_nor_fails(side, changes):
    for factor in (1.0, 3.0):
        good, bad = report(timed(0.01)), report(timed(0.01 * factor, **changes))
        then, now = (bad, good) if side == "baseline" else (good, bad)
        result = check(now, baseline=then, gates=["latency:+10%", "macs:+0"])
        assert [line.verdict for line in result.lines] == ["inconclusive", "pass"]
        assert result.verdict == "inconclusive"
        assert result.lines[0].more_processes is None


def test_several_noisy_processes_show_their_noise():
    noisy = report(timed(0.01, noisy=True, processes=3))
    assert one(noisy, baseline=noisy, gates="latency:+20%").verdict == "pass"
    apart = measurement([[time_s] * 20 for time_s in (0.010, 0.013, 0.008)], noisy=True)
    wild = report(variant("base", measurement=apart))
    assert one(wild, baseline=wild, gates="latency:+20%").verdict == "inconclusive"


def test_percentiles_need_their_samples():
    few, many = (report(timed(0.01, samples=samples)) for samples in (10, 20))
    assert "needs 64 samples" in one(few, baseline=many, gates="latency.p90:+20%").reason
    assert one(many, baseline=many, gates="latency.p90:+20%").verdict == "pass"


def test_samples_that_do_not_add_up_decide_nothing():
    latency = replace(summarise([[0.01] * 20] * 3), processes=(20, 20))
    odd = report(variant("base", measurement=measurement([[1.0]], latency_s=latency)))
    assert "do not add up" in one(odd, baseline=odd, gates="latency:+20%").reason


def test_numbers_at_the_ends_of_their_range_are_judged_without_an_error():
    tiny = summarise([[5e-324] * 20] * 3)
    small = report(variant("base", measurement=measurement([[1.0]], latency_s=tiny)))
    large = report(timed(1e9))
    assert one(large, baseline=small, gates="latency:+20%").verdict == "fail"
    assert one(small, baseline=large, gates="latency:+20%").verdict == "pass"


EXTREMES = st.sampled_from([5e-324, 1e-9, 0.01, 0.0101, 1.0, 1e9])
SIZES = st.sampled_from([0, 1, 4000, 2**63 - 1])
RULES = [f"{metric}:{change}" for metric in METRICS for change in ("+60%", "-60%")]
BOUNDS = [f"{name}{metric.bound}{limit}x" for name, metric in METRICS.items()
          for limit in ("1", "1e308", "1e-300")]  # fmt: skip


@st.composite
def odd_reports(draw):
    """Reports that could be read from a file, and that nothing honest would write."""
    latency = summarise(
        [[draw(EXTREMES) for _ in range(8)] for _ in range(draw(st.integers(1, 3)))]
    )
    latency = replace(latency, processes=draw(st.sampled_from([latency.processes, (), (0, 8)])))
    measured = measurement(
        [[1.0]], latency_s=latency, peak_bytes=draw(SIZES),
        energy_j=draw(st.sampled_from([None, -1.0, 0.0, math.nan, math.inf, 1e308, 1.0])),
        memory=Memory(planned=1, process=draw(SIZES), allocated=draw(SIZES)),
        yardsticks_s=tuple(draw(st.lists(EXTREMES, max_size=3))),
        drift=tuple(draw(st.lists(EXTREMES, max_size=3))),
    )  # fmt: skip
    costs = {name: draw(SIZES) for name in ("params", "macs", "activations", "peak_bytes")}
    return report(variant("base", measurement=measured, costs=costs), batch=draw(st.sampled_from(
        [1, 10**400])))  # fmt: skip


@given(odd_reports(), odd_reports(), st.sampled_from(RULES), st.sampled_from(BOUNDS))
def test_no_report_breaks_a_check(then, now, gate, bound):
    try:
        result = check(now, baseline=then, gates=gate, budgets=bound, allow_different=True)
    except GateError:
        # finer than the noise
        return
    assert msgspec.json.decode(msgspec.json.encode(result), type=Check).verdict == result.verdict
    assert check_text(result)
    assert check_markdown(result)


def test_a_failure_wins_over_what_is_undecided():
    then = report(timed(0.01, costs={"macs": 10}))
    now = report(timed(0.011, costs={"macs": 11}))
    result = check(now, baseline=then, gates=["latency:+10%", "macs:+0"])
    assert [line.verdict for line in result.lines] == ["inconclusive", "fail"]
    assert result.verdict == "fail"


def test_the_memory_of_a_cpu_needs_no_measurement():
    then, now = (report(variant("base", costs={"peak_bytes": n})) for n in (4000, 4001))
    assert one(now, baseline=then, gates="memory:+0").verdict == "fail"
    assert one(now, baseline=then, gates="memory.planned:+1B").verdict == "pass"
    assert one(now, baseline=then, gates="memory.allocated:+0").verdict == "inconclusive"


def test_the_growth_of_a_process_has_an_interval():
    then, now = (
        report(timed(0.01, memory=Memory(planned=1, process=size))) for size in (10**7, 2 * 10**7)
    )
    assert one(then, baseline=then, gates="memory.process:+10%").verdict == "pass"
    line = one(now, baseline=then, gates="memory.process:+10%")
    assert (line.verdict, line.now) == ("fail", 2 * 10**7)
    # it is observed once in a report: more processes would not decide
    with pytest.raises(GateError, match="noise floor"):
        check(then, baseline=then, gates="memory.process:+2%")


def test_a_flag_cannot_hide_another_device():
    then = report(timed(0.01))
    context = replace(then.context, flags={"device": "x", "threads": 2})
    device = replace(then.context.device, name="another CPU")
    pair = [
        replace(then, context=context),
        replace(then, context=replace(context, device=device)),
    ]
    with pytest.raises(ReportError, match="device: a CPU, now another CPU"):
        check(pair[1], baseline=pair[0], gates="macs:+0")


@pytest.mark.parametrize(
    ("budget", "verdict"),
    [
        pytest.param("latency<=15ms", "pass", id="met"),
        pytest.param("latency<=8ms", "fail", id="missed"),
        pytest.param("latency<=10.1ms", "inconclusive", id="too-near"),
        pytest.param("throughput>=80/s", "pass", id="throughput"),
        pytest.param("macs<=1000", "pass", id="exact-and-equal"),
        pytest.param("macs<=999", "fail", id="exact"),
        pytest.param("latency<=1x", "pass", id="the-base-is-as-fast-as-itself"),
        pytest.param("latency<=0.99x", "fail", id="the-base-is-no-faster-than-itself"),
    ],
)
def test_budgets_need_no_baseline(budget, verdict):
    assert one(report(timed(0.010)), budgets=budget).verdict == verdict


def test_a_calibrated_machine_decides_what_another_could_not():
    # 3 % slower in ten processes each: within the noise that is assumed of a machine, and far
    # beyond that of one whose fresh processes were found to be 0.1 % apart
    calibration = Calibration(
        measured_at="now", model="m", latencies_s=(1.0,) * 16, spread=0.001, smallest_effect=0.001
    )

    def of(latency_s, known):
        plain = report(timed(latency_s, processes=10))
        return replace(plain, context=replace(plain.context, calibration=known))

    def verdict(known):
        gate = "latency.p50:+1%" if known else "latency.p50:+5%"
        return one(of(1.03, known), baseline=of(1.0, known), gates=gate)

    assert verdict(calibration).verdict == "fail"
    wide, narrow = verdict(None).change_interval, verdict(calibration).change_interval
    assert narrow[1] - narrow[0] < wide[1] - wide[0]


def test_a_relative_budget_counts_the_noise_of_the_base_too():
    scaled = report(timed(0.010), timed(0.018, identifier="v"))
    line = one(scaled, budgets="latency<=2.5x", variant="v")
    assert (line.verdict, line.baseline) == ("pass", pytest.approx(0.010))
    assert one(scaled, budgets="latency<=1.8x", variant="v").verdict == "inconclusive"
    assert one(scaled, budgets="latency<=1.5x", variant="v").verdict == "fail"


def selecting(result, identifier):
    return replace(
        result,
        selection=Selection(variant=identifier, budgets=(), verified=None, verification=None),
    )


def test_the_selected_variant_is_checked_else_the_base():
    plain = report(timed(0.01), timed(0.02, identifier="v"))
    assert one(plain, baseline=plain, gates="macs:+0").variant == "base"
    chosen = selecting(plain, "v")
    assert one(chosen, baseline=chosen, gates="macs:+0").variant == "v"
    assert one(chosen, baseline=chosen, gates="macs:+0", variant="base").variant == "base"
    assert one(chosen, baseline=plain, gates="macs:+0").variant == "v"


def test_another_choice_than_the_baselines_is_told():
    plain = report(timed(0.01), timed(0.02, identifier="v"))
    result = check(selecting(plain, "v"), baseline=selecting(plain, "base"), gates="macs:+0")
    assert "selects `v`, its baseline `base`" in result.notes[0]


@pytest.mark.parametrize("missing", ["baseline", "now"])
def test_a_variant_missing_on_either_side_is_named_and_undecided(missing):
    both = report(timed(0.01), timed(0.02, identifier="v"))
    base = report(timed(0.01))
    then, now = (base, both) if missing == "baseline" else (both, base)
    result = check(now, baseline=then, gates="macs:+0", variant="all")
    assert [(line.variant, line.verdict) for line in result.lines] == [
        ("base", "pass"),
        ("v", "inconclusive"),
    ]
    assert "there is no such variant in" in result.lines[1].reason
    assert one(now, baseline=then, gates="macs:+0", variant="v").verdict == "inconclusive"


def test_a_variant_that_no_report_holds_is_refused():
    plain = report(timed(0.01))
    with pytest.raises(InputError, match="no report holds a variant `w`"):
        check(plain, baseline=plain, gates="macs:+0", variant="w")


def test_variants_that_nobody_measured_do_not_hold_up_the_rest():
    some = report(timed(0.01), variant("v"), variant("w"))
    result = check(some, baseline=some, gates=["latency:+10%", "macs:+0"], variant="all")
    assert [line.variant for line in result.lines] == ["base", "base", "v", "w"]
    assert result.notes == (
        "2 lines are left out, of variants that were not measured on either side",
    )
    assert one(some, baseline=some, gates="latency:+10%", variant="v").verdict == "inconclusive"


def test_more_lines_make_each_interval_wider():
    many = report(timed(0.01), *(timed(0.01, identifier=f"v{i}") for i in range(30)))
    alone = one(many, baseline=many, gates="latency:+10%")
    together = check(many, baseline=many, gates="latency:+10%", variant="all")
    assert together.timed_lines == 31
    assert together.lines[0].change_interval[1] > alone.change_interval[1]


def recorded(rng, latency_s, *, processes=6, between=0.02, within=0.01, unlucky=0.0, variants=1):
    """A report as a machine would record it; an unlucky process is slower by a tenth."""

    def one_process():
        slow = 1.1 if rng.random() < unlucky else 1.0
        level = latency_s * slow * math.exp(rng.gauss(0.0, between))
        return [level * math.exp(abs(rng.gauss(0.0, within))) for _ in range(15)]

    return report(
        *(
            variant(
                f"v{i}" if i else "base",
                measurement=measurement([one_process() for _ in range(processes)]),
            )
            for i in range(variants)
        )
    )


def verdicts(seed, factor, gate, *, pairs, **machine):
    """Count the verdicts on pairs of reports that truly differ by a factor."""
    rng, count = random.Random(seed), {"pass": 0, "fail": 0, "inconclusive": 0, "refused": 0}
    for _ in range(pairs):
        then, now = (recorded(rng, latency, **machine) for latency in (0.010, 0.010 * factor))
        chosen = "all" if machine.get("variants", 1) > 1 else None
        try:
            count[check(now, baseline=then, gates=gate, variant=chosen).verdict] += 1
        except GateError:
            count["refused"] += 1
    return count


MACHINES = [
    pytest.param({"between": 0.003}, id="quiet"),
    pytest.param({"between": 0.02}, id="usual"),
    pytest.param({"between": 0.04, "processes": 3}, id="shared"),
    pytest.param({"between": 0.02, "unlucky": 0.1}, id="unlucky"),
    pytest.param({"between": 0.08, "processes": 4}, id="worse-than-recorded"),
    pytest.param({"between": 0.04, "processes": 1}, id="one-process"),
]


@pytest.mark.parametrize("machine", MACHINES)
def test_the_same_thing_measured_again_fails_in_at_most_one_of_a_hundred(machine):
    count = verdicts(1, 1.0, "latency.p50:+10%", pairs=300, **machine)
    assert count["fail"] <= 3


@pytest.mark.parametrize("machine", MACHINES)
def test_a_slowdown_twice_the_threshold_passes_in_at_most_one_of_a_hundred(machine):
    count = verdicts(2, 1.2, "latency.p50:+10%", pairs=300, **machine)
    assert count["pass"] <= 3


def test_a_slowdown_of_a_tenth_is_called_where_the_samples_allow_it():
    count = verdicts(3, 1.1, "latency.p50:+3%", pairs=300, between=0.01, processes=8)
    assert count["fail"] >= 285
    assert count["pass"] == 0


def test_the_same_thing_passes_where_the_samples_allow_it():
    count = verdicts(4, 1.0, "latency.p50:+5%", pairs=300, between=0.01, processes=8)
    assert count["pass"] >= 285
    assert count["fail"] == 0


def test_a_change_at_the_threshold_is_called_wrongly_at_the_stated_rate():
    # each side may be wrong in 2.5 of 100; 4 standard deviations above that in 400 pairs is 22
    count = verdicts(5, 1.05, "latency.p50:+5%", pairs=400, between=0.04, processes=6)
    assert count["pass"] <= 22
    assert count["fail"] <= 22


def test_the_error_rate_is_held_over_a_whole_report():
    # all 12 variants are at their threshold: any fail is wrong, in at most 2.5 of 100 reports
    machine = {"between": 0.04, "processes": 3, "variants": 12}
    count = verdicts(6, 1.10, "latency.p50:+10%", pairs=100, **machine)
    # 4 standard deviations above 2.5
    assert count["fail"] <= 8


def test_a_threshold_below_the_noise_is_refused_with_the_floor():
    with pytest.raises(GateError, match=r"noise floor of these two reports, \d\.\d\d%") as caught:
        gated(0.010, 0.010, "latency.p50:+0.5%")
    # what the hint proposes is accepted
    proposed = caught.value.hint.split()[1]
    assert gated(0.010, 0.010, proposed).verdict in ("pass", "inconclusive")


@pytest.mark.parametrize(
    "gate", ["latency:+0", "latency:-0.1%", "latency:+1us", "throughput:-0.1%"]
)
def test_every_form_of_a_threshold_below_the_noise_is_refused(gate):
    with pytest.raises(GateError, match="noise floor"):
        gated(0.010, 0.010, gate)


def test_the_floor_is_what_the_most_processes_could_tell():
    noise = Noise(spread=0.04, degrees=10, confidence=0.95)
    few, most = (Timing(logs=(0.0,) * n, within=0.0) for n in (2, MOST_PROCESSES))
    more = Noise(spread=0.04, degrees=10 + 2 * (MOST_PROCESSES - 2), confidence=0.95)
    assert noise.estimate(few, few).floor() == pytest.approx(
        math.expm1(more.estimate(most, most).half_width())
    )


def test_a_clear_regression_fails_whatever_the_number_of_processes():
    pair = [report(timed(latency, processes=1)) for latency in (0.010, 0.020)]
    assert one(pair[1], baseline=pair[0], gates="latency:+5%").verdict == "fail"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        pytest.param({"dtype": "bfloat16"}, "dtype: float32, now bfloat16", id="dtype"),
        pytest.param({"layout": "nhwc"}, "layout: nchw, now nhwc", id="layout"),
        pytest.param({"mode": "compile"}, "mode: eager, now compile", id="mode"),
        pytest.param({"kernels": "triton"}, "kernels: torch, now triton", id="kernels"),
        pytest.param({"batch": 8}, "batch: 1, now 8", id="batch"),
        pytest.param({"flags": {"threads": 4}}, "flag threads: 2, now 4", id="threads"),
        pytest.param(
            {"flags": {"threads": 2, "tf32": True}}, "flag tf32: unknown, now True", id="flag"
        ),
        pytest.param({"versions": {"torch": "2.1"}}, "version of torch: 2.0, now 2.1", id="torch"),
        pytest.param({"platform": "Darwin"}, "platform: Linux x86_64, now Darwin", id="platform"),
    ],
)
def test_reports_of_other_conditions_are_refused_unless_allowed(change, name):
    then = report(timed(0.01))
    now = replace(then, context=replace(then.context, **change))
    with pytest.raises(ReportError, match=name):
        check(now, baseline=then, gates="macs:+0")
    allowed = check(now, baseline=then, gates="macs:+0", allow_different=True)
    assert (allowed.verdict, allowed.differences) == ("pass", (name,))
    # a budget compares with nothing
    assert check(now, budgets="macs<=10k").verdict == "pass"


def test_another_device_is_refused_by_name():
    then = report(timed(0.01))
    device = replace(then.context.device, name="another CPU")
    now = replace(then, context=replace(then.context, device=device))
    with pytest.raises(ReportError, match="device: a CPU, now another CPU"):
        check(now, baseline=then, gates="macs:+0")


def test_versions_that_take_no_part_are_let_be_and_ours_is_noted():
    then = report(timed(0.01))
    versions = {"torch": "2.0", "numpy": "9", "scaleprof": "9"}
    now = replace(then, context=replace(then.context, versions=versions))
    result = check(now, baseline=then, gates="macs:+0")
    assert result.differences == ()
    assert "recorded by scaleprof 9" in result.notes[0]


def test_what_asks_for_nothing_is_refused():
    plain = report(timed(0.01))
    with pytest.raises(InputError, match="nothing to check"):
        check(plain, baseline=plain)
    with pytest.raises(InputError, match="no report"):
        check([], budgets="macs<=1")
    with pytest.raises(GateError, match="no baseline"):
        check(plain, gates="macs:+0")
    with pytest.raises(BudgetError):
        check(plain, budgets="macs")


def test_each_report_meets_the_baseline_of_its_model():
    one_model = report(timed(0.01, costs={"macs": 5}))
    other = replace(
        report(timed(0.01, costs={"macs": 7})), base=replace(one_model.base, model="other")
    )
    result = check([one_model, other], baseline=[other, one_model], gates="macs:+0")
    assert [line.baseline for line in result.lines] == [5, 7]
    third = replace(other, base=replace(other.base, model="third"))
    with pytest.raises(ReportError, match="no baseline is of the model"):
        check(third, baseline=[other, one_model], gates="macs:+0")
    with pytest.raises(ReportError, match="model: other, now third"):
        check(third, baseline=other, gates="macs:+0")


def with_graph(macs, operators, modules=None, latency_s=0.01):
    rows = tuple(
        OperatorCost(operator=name, kind="counted", calls=1, macs=count, activations=1,
                     read_bytes=1, written_bytes=1)
        for name, count in operators.items()
    )  # fmt: skip
    parts = modules and tuple(
        ModuleCost(path=path, type="Conv2d", params=1, macs=count, activations=1,
                   activation_bytes=4, traffic_bytes=8)
        for path, count in modules.items()
    )  # fmt: skip
    made = timed(latency_s, costs={"macs": macs})
    return report(replace(made, cost=replace(made.cost, operators=rows, modules=parts)))


def test_a_changed_graph_is_told_by_operator_and_module():
    then = with_graph(10, {"aten::conv2d": 10, "aten::gelu": 0}, {"stem": 4, "head": 6})
    now = with_graph(15, {"aten::conv2d": 12, "aten::linear": 3}, {"stem": 4, "head": 11})
    (graph,) = check(now, baseline=then, gates="latency:+50%").graphs
    assert [(c.quantity, c.baseline, c.now) for c in graph.counts] == [("macs", 10, 15)]
    assert [part.name for part in graph.operators] == ["aten::linear", "aten::conv2d", "aten::gelu"]
    assert [part.name for part in graph.modules] == ["head"]


def test_modules_are_left_out_where_one_report_has_none():
    then, now = with_graph(10, {"a": 10}), with_graph(11, {"a": 11}, {"stem": 4})
    (graph,) = check(now, baseline=then, gates="macs:+50%").graphs
    assert graph.modules is None


def test_operators_of_equal_cost_still_are_another_graph():
    then, now = with_graph(10, {"aten::gelu": 0}), with_graph(10, {"aten::relu": 0})
    (graph,) = check(now, baseline=then, gates="macs:+0").graphs
    assert graph.counts == ()
    assert {part.name for part in graph.operators} == {"aten::gelu", "aten::relu"}


@pytest.mark.parametrize(
    ("macs", "latency_s", "reason"),
    [
        pytest.param(10, 0.02, "its graph is the same: it got slower", id="slower"),
        pytest.param(10, 0.01, "its graph is the same", id="not-improved"),
        pytest.param(20, 0.02, "its graph changed", id="another-model"),
    ],
)
def test_a_failure_says_whether_the_model_changed(macs, latency_s, reason):
    then, now = with_graph(10, {}), with_graph(macs, {}, latency_s=latency_s)
    line = one(now, baseline=then, gates="latency:-10%")
    assert (line.verdict, line.reason) == ("fail", reason)


def write(folder, name, text):
    (folder / name).write_text(text)


SETTINGS = 'gates = ["macs:+0"]\nbudgets = ["macs<=1"]\nvariant = "base"\nbaseline = "main.json"\n'


@pytest.mark.parametrize(
    ("name", "table"), [("scaleprof.toml", "check"), ("pyproject.toml", "tool.scaleprof.check")]
)
def test_settings_are_read_from_the_folder(tmp_path, name, table):
    write(tmp_path, name, f'[models."a"]\nx = 1\n[{table}]\n{SETTINGS}')
    settings = read_settings(tmp_path)
    assert settings.gates == ("macs:+0",)
    assert settings.budgets == ("macs<=1",)
    assert settings.variant == "base"
    assert settings.baselines == ("main.json",)


def test_a_folder_without_settings_has_none(tmp_path):
    write(tmp_path, "pyproject.toml", "[tool.scaleprof.models]\n")
    assert read_settings(tmp_path).gates == ()
    assert read_settings(tmp_path).baselines == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('[check]\ngate = ["macs:+0"]', "unknown field `gate`", id="unknown-key"),
        pytest.param('[check]\ngates = "macs:+0"', "Expected `array`", id="wrong-type"),
        pytest.param("check = 3", "Expected `object`", id="no-table"),
        pytest.param("[check", "cannot read `scaleprof.toml`", id="not-toml"),
    ],
)
def test_a_bad_setting_is_one_line_with_a_hint(tmp_path, text, message):
    write(tmp_path, "scaleprof.toml", text)
    with pytest.raises(InputError, match=message) as caught:
        read_settings(tmp_path)
    assert caught.value.hint


def a_check():
    """One line of each verdict, from reports whose every string is hostile."""
    then = with_graph(10, {EVIL: 10}, {EVIL: 1})
    now = with_graph(12, {EVIL: 12}, {EVIL: 2}, latency_s=0.0105)
    then, now = (
        replace(r, base=replace(r.base, model=EVIL), context=replace(
            r.context, versions={EVIL: f"{EVIL}{i}", "scaleprof": f"{EVIL}{i}"}))
        for i, r in enumerate((then, now))
    )  # fmt: skip
    variants = [(*r.variants, replace(r.variants[0], id=EVIL)) for r in (then, now)]
    then, now = (replace(r, variants=v) for r, v in zip((then, now), variants, strict=True))
    return check(now, baseline=then, gates=["macs:+0", "latency:+10%", "params:+0"],
                 variant="all", allow_different=True)  # fmt: skip


def test_what_is_written_obeys_the_published_schema():
    schema = msgspec.json.schema(Check)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(json.loads(msgspec.json.encode(a_check())))


@pytest.mark.parametrize("show", [check_text, check_markdown], ids=["text", "markdown"])
def test_hostile_text_stays_text(show):
    text = show(a_check())
    assert not any(character in text for character in "\x1b\x07\r\u202e")
    assert "##[" not in text
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())


def test_markdown_opens_neither_cells_nor_tags_nor_links():
    text = check_markdown(a_check())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(a_check().lines)
    assert all(row.replace(r"\|", "").count("|") == 10 for row in rows)
    assert "<b>" not in text
    assert "@team" not in text
    assert "[l]" not in text


def test_every_line_that_did_not_pass_is_one_annotation():
    result = a_check()
    found = annotations(result)
    failing = sum(line.verdict != "pass" for line in result.lines)
    assert len(found) == failing + len(result.differences)
    for line in found:
        assert line.startswith(("::error title=", "::warning title="))
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line
        # a percent sign is the start of an escape and nothing else
        assert all(line[i : i + 3] in ("%25", "%3A", "%2C") for i in range(len(line))
                   if line[i] == "%")  # fmt: skip


@given(st.text(), st.text())
def test_no_text_escapes_from_its_workflow_command(title, message):
    line = workflow_command("error", title, message)
    assert len(line.splitlines()) == 1
    # the title ends where the message begins, at the first `::` after the name
    assert line.removeprefix("::error title=").split("::", 1)[0].count(":") == 0


def test_the_summary_of_the_job_is_appended_to(tmp_path):
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    assert append_summary(a_check(), {"GITHUB_STEP_SUMMARY": str(path)}) is None
    assert path.read_text().startswith("before\n### scaleprof check: fail")
    assert append_summary(a_check(), {}) is None
    assert "cannot write" in append_summary(a_check(), {"GITHUB_STEP_SUMMARY": str(tmp_path)})


def test_a_check_is_shown_as_recorded(overwrite):
    then = with_graph(10_000_000, {"aten::conv2d": 10_000_000})
    now = with_graph(12_000_000, {"aten::conv2d": 12_000_000}, latency_s=0.0105)
    result = check(
        now,
        baseline=then,
        gates=["latency.p50:+10%", "macs:+0", "memory.planned:+0"],
        budgets=["latency<=20ms", "latency<=1x"],
    )
    path = Path(__file__).with_name("snapshots") / "check.txt"
    text = check_text(result) + "\n" + check_markdown(result)
    if overwrite:
        path.write_text(text)
    assert text == path.read_text()


def test_numbers_that_look_alike_are_shown_in_full():
    then, now = (report(variant("base", costs={"params": n})) for n in (28_589_128, 28_589_129))
    text = check_text(check(now, baseline=then, gates="params:+0"))
    assert "28,589,128 → 28,589,129, +0.00 %, limit 28,589,128, fail" in text
