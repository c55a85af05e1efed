"""Confidence and ladders on the command line: what is refused, and exit statuses."""

import json

import pytest
from commands import run

from scaleprof.cli.profile import _ladder_states
from scaleprof.records import Ladder, Rung

EXAMPLE = "profiles/examples/convnext_atto-cpu.json"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--confidence", "20%"], "a chance from 50% to", id="low"),
        pytest.param(["--confidence", "sure"], "a chance from 50% to", id="words"),
        pytest.param(["--ladder", "1ms,5"], "rung `5` of the ladder", id="no-unit"),
        pytest.param(["--ladder", "1ms,1ms"], "twice", id="twice"),
    ],
)
@pytest.mark.parametrize("command", ["select", "profile"])
def test_bad_values_are_refused_before_any_work(command, options, message):
    # the model is not looked at: there is none of this name
    done = run(command, EXAMPLE if command == "select" else "timm:nothing", *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert len([line for line in done.stderr.splitlines() if line]) <= 2


def test_a_recorded_report_gives_a_ladder(tmp_path):
    path = tmp_path / "report.json"
    done = run("select", EXAMPLE, "--ladder", "1x,1.5x,2x", "--confidence", "90%",
                  "--json", str(path))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "one family, no axis of which shrinks from rung to rung" in done.stdout
    ladder = json.loads(path.read_text())["ladder"]
    assert ladder["confidence"] == 0.9
    assert [rung["text"] for rung in ladder["rungs"]] == ["1x", "1.5x", "2x"]
    assert all(rung["variant"] for rung in ladder["rungs"])


def test_a_rung_that_nothing_meets_ends_with_status_1():
    done = run("select", EXAMPLE, "--ladder", "1us,2x")
    assert done.returncode == 1
    assert "no variant of `timm:convnext_atto` meets latency <= 1.00 µs" in done.stdout


def rung(variant, verified):
    return Rung(text="1ms", limit=0.001, variant=variant, verified=verified)


@pytest.mark.parametrize(
    ("rungs", "decided", "states"),
    [
        pytest.param([rung("a", True)], True, [True], id="verified"),
        pytest.param([rung("a", False), rung("b", None)], True, [False, None], id="missed"),
        pytest.param([rung(None, None)], True, [False], id="nothing"),
        pytest.param([rung(None, None)], False, [None], id="nothing-for-sure"),
    ],
)
def test_a_rung_holds_fails_or_is_open(rungs, decided, states):
    assert _ladder_states(Ladder(rungs=tuple(rungs), decided=decided)) == states
    assert _ladder_states(None) == []
