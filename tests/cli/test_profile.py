"""``scaleprof profile`` as a user runs it, down to a choice that was measured again."""

import json
from pathlib import Path

from commands import run
from jsonschema import Draft202012Validator

NETS = str(Path(__file__).parents[1] / "models" / "nets.py")


def test_a_profile_prints_the_choice_and_writes_the_report(tmp_path):
    path = tmp_path / "report.json"
    done = run(
        "profile", f"{NETS}:Net(width=32)", "--input", "3x64x64", "--device", "cpu",
        "--budget", "latency<=1000000x", "--strategies", "w", "--multipliers", "2",
        "--base-accuracy", "60", "--time-limit", "15min", "--batch", "2", "--json", str(path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "verified" in done.stdout
    assert "runpy.run_path(" in done.stdout
    content = json.loads(path.read_text())
    Draft202012Validator(json.loads(run("schema").stdout)).validate(content)
    assert content["context"]["command"].startswith("scaleprof profile")
    assert content["context"]["batch"] == 2
    assert content["selection"]["verified"] is True


def test_a_budget_that_nothing_meets_fails_with_the_nearest_miss(tmp_path):
    path = tmp_path / "report.json"
    done = run(
        "profile", f"{NETS}:Net(width=32)", "--input", "3x64x64", "--device", "cpu",
        "--budget", "params<=10", "--strategies", "w", "--multipliers", "0.5",
        "--time-limit", "15min", "--json", str(path),
    )  # fmt: skip
    assert done.returncode == 1
    assert "the nearest" in done.stderr
    # what was measured is kept
    assert json.loads(path.read_text())["selection"] is None
