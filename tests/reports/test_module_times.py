"""What a check says of the time of modules: where to look, beside the verdict."""

import json
from itertools import pairwise

import msgspec
import pytest
from factories import report, variant
from hostile import EVIL
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from scaleprof import check
from scaleprof.records import Check, Measurement, ModuleCost, Report, replace
from scaleprof.reports import read_report
from scaleprof.reports.comparison._modules import _around
from scaleprof.reports.github import annotations
from scaleprof.reports.html._figures import stages_figure
from scaleprof.reports.markdown import check_markdown
from scaleprof.reports.verdicts import check_text
from scaleprof.timing import summarise

GATE = "latency:+10%"


def recorded(latency_s, modules_s=None, *, macs=1000):
    """A report of the base, whose processes all agree."""
    measured = Measurement(
        status="ok", latency_s=summarise([[latency_s] * 20] * 6), modules_s=modules_s
    )
    return report(variant("base", measurement=measured, costs={"macs": macs}))


def held(then, now, gates=GATE):
    """Check modules that take one thing and then another, in a pass that takes as much longer."""
    taken = 0.1 + sum(now.values()) - sum(then.values())
    return check(recorded(taken, now), baseline=recorded(0.1, then), gates=gates)


def changes(then, now):
    (time,) = held(then, now).times
    return {module.path: pytest.approx(module.change_s) for module in time.modules}


BEFORE = {"stem": 0.01, "stages": 0.08, "stages.0": 0.04, "stages.1": 0.04}


def test_the_innermost_module_that_explains_a_change_is_named():
    now = {"stem": 0.01, "stages": 0.12, "stages.0": 0.04, "stages.1": 0.08}
    assert changes(BEFORE, now) == {"stages.1": 0.04}


def test_a_change_that_is_spread_evenly_is_named_where_it_comes_together():
    then = {"stages": 0.08} | {f"stages.{i}": 0.02 for i in range(4)}
    now = {"stages": 0.16} | {f"stages.{i}": 0.04 for i in range(4)}
    assert changes(then, now) == {"stages": 0.08}


def test_changes_that_cancel_are_both_named():
    assert changes(BEFORE, BEFORE | {"stages.0": 0.02, "stages.1": 0.06}) == {
        "stages.0": -0.02, "stages.1": 0.02,
    }  # fmt: skip


def test_the_largest_change_comes_first():
    (time,) = held({"a": 0.01, "b": 0.02, "c": 0.05}, {"a": 0.03, "b": 0.06, "c": 0.02}).times
    assert [module.path for module in time.modules] == ["b", "c", "a"]


def test_changes_of_less_than_one_per_cent_of_the_latency_are_left_out():
    assert changes({"a": 0.05, "b": 0.02}, {"a": 0.0509, "b": 0.04}) == {"b": 0.02}


def test_a_module_that_was_not_listed_changed_by_what_is_sure():
    # below 1 ms of 100 ms it is not listed: 30 ms less 1 ms; then 1.3 ms less 20 ms
    (time,) = held({"gone": 0.02}, {"new": 0.05}).times
    new, gone = time.modules
    assert (new.path, new.baseline_s, new.change_s) == ("new", None, pytest.approx(0.049))
    assert (gone.path, gone.now_s, gone.change_s) == ("gone", None, pytest.approx(-0.0187))


def test_a_dash_in_a_name_does_not_part_a_module_from_what_is_inside():
    names = ["a", "a-b", "a.b", "a.b.c", "ab", "b.c"]
    assert _around(dict.fromkeys(reversed(names))) == {
        "a": None, "a.b": "a", "a.b.c": "a.b", "a-b": None, "ab": None, "b.c": None,
    }  # fmt: skip


@given(st.sets(st.text(alphabet="a.-", max_size=6)))
def test_the_module_around_another_is_the_nearest_that_is_listed(paths):
    def nearest(path):
        parts = path.split(".")
        outer = [".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]
        return next((name for name in outer if name in paths), None)

    assert _around(dict.fromkeys(paths)) == {path: nearest(path) for path in paths}


NOW = {"stem": 0.012, "stages": 0.11, "stages.0": 0.04, "stages.1": 0.07}


def test_a_slower_model_says_in_which_module():
    result = held(BEFORE, NOW)
    (line,) = result.lines
    assert line.verdict == "fail"
    assert line.reason == "its graph is the same: it got slower, most in `stages.1` (+30.0 ms)"
    assert check_text(result).splitlines()[1:-2] == [
        "",
        "time by module of base, each in one process, with no interval:",
        "  stages.1: 40.0 ms → 70.0 ms (+30.0 ms)",
        "  stem: 10.0 ms → 12.0 ms (+2.00 ms)",
    ]
    assert "- stages.1: 40.0 ms → 70.0 ms (+30.0 ms)" in check_markdown(result).splitlines()
    assert "most in `stages.1` (+30.0 ms)" in annotations(result)[0]


def test_a_model_whose_graph_changed_shows_times_and_blames_no_module():
    now, then = recorded(0.15, NOW, macs=2000), recorded(0.1, BEFORE)
    result = check(now, baseline=then, gates=GATE)
    assert result.lines[0].reason == "its graph changed"
    assert "  stages.1: 40.0 ms → 70.0 ms (+30.0 ms)" in check_text(result)


def test_a_module_that_is_not_listed_is_shown_as_small():
    assert "  new: under 1 % → 50.0 ms (+49.0 ms)" in check_text(held({}, {"new": 0.05}))


def test_what_passes_keeps_its_times_for_programs_and_shows_none():
    result = held(BEFORE, BEFORE | {"stem": 0.012})
    assert result.verdict == "pass"
    assert [module.path for module in result.times[0].modules] == ["stem"]
    assert "by module" not in check_text(result) + check_markdown(result)


@pytest.mark.parametrize(
    ("then", "now", "gate"),
    [
        pytest.param(None, NOW, GATE, id="not-in-the-baseline"),
        pytest.param(BEFORE, None, GATE, id="not-in-the-report"),
        pytest.param(BEFORE, NOW, "macs:+0", id="no-gate-of-latency"),
        pytest.param(BEFORE, BEFORE, GATE, id="no-change"),
    ],
)
def test_without_times_on_both_sides_or_a_gate_of_latency_there_are_none(then, now, gate):
    result = check(recorded(0.15, now), baseline=recorded(0.1, then), gates=gate)
    assert result.times == ()


def test_no_verdict_rests_on_the_times_of_modules():
    with_times, without = (
        check(recorded(0.105, now), baseline=recorded(0.1, then), gates=GATE)
        for then, now in ((BEFORE, NOW), (None, None))
    )
    assert with_times.lines == without.lines
    assert with_times.times != without.times


def test_what_is_kept_of_many_modules_is_the_largest_changes():
    then = {f"m{i}": 0.01 for i in range(1000)}
    now = {f"m{i}": 0.02 + i * 1e-5 for i in range(1000)}
    (time,) = held(then, now).times
    found = [module.change_s for module in time.modules]
    assert len(found) == 20
    assert all(a >= b for a, b in pairwise(found))
    assert time.modules[0].path == "m999"


def test_names_of_modules_are_text_in_every_output():
    result = held({EVIL: 0.01}, {EVIL: 0.05})
    for text in (check_text(result), check_markdown(result), *annotations(result)):
        assert not any(character in text for character in "\x1b\x07\r\u202e")
        assert "##[" not in text
    assert not any(line.lstrip().startswith("::") for line in check_text(result).splitlines())
    assert "<img" not in check_markdown(result)


def test_the_record_obeys_its_schema():
    schema = msgspec.json.schema(Check)
    Draft202012Validator(schema).validate(json.loads(msgspec.json.encode(held(BEFORE, NOW))))


def test_a_report_of_before_is_read_and_has_no_times(tmp_path):
    path = tmp_path / "old.json"
    old = json.loads(msgspec.json.encode(recorded(0.1)))
    del old["variants"][0]["measurement"]["modules_s"]
    path.write_text(json.dumps(old))
    assert read_report(str(path)).variants[0].measurement.modules_s is None


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e300, "1 ms"])
def test_a_time_that_is_none_is_refused(seconds):
    bad = json.loads(msgspec.json.encode(recorded(0.1, {"stem": 0.01})))
    bad["variants"][0]["measurement"]["modules_s"]["stem"] = seconds
    with pytest.raises(msgspec.ValidationError, match="modules_s"):
        msgspec.convert(bad, Report, strict=True)


def test_the_page_shows_time_beside_cost_and_none_where_it_is_unknown():
    rows = tuple(
        ModuleCost(path=path, type="Conv2d", params=1, macs=1, activations=1, activation_bytes=4,
                   traffic_bytes=8)
        for path in ("", "stem", "head")
    )  # fmt: skip
    (base,) = recorded(0.1, {"stem": 0.06}).variants
    base = replace(base, cost=replace(base.cost, modules=rows))
    bars = {bar["name"]: bar["x"] for bar in stages_figure(base)["data"]}
    assert bars["time"] == [pytest.approx(60), None]
    unknown = replace(base, measurement=replace(base.measurement, modules_s=None))
    assert "time" not in {bar["name"] for bar in stages_figure(unknown)["data"]}
