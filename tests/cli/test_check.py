"""``scaleprof check`` as CI runs it: streams, exit statuses, settings, GitHub Actions."""

import json
import os
import subprocess
import sys

import pytest
from factories import report, variant
from jsonschema import Draft202012Validator

from scaleprof.records import Measurement, replace
from scaleprof.reports import write_json
from scaleprof.timing import summarise

ACTIONS = {"GITHUB_ACTIONS": "true"}
EVIL = "nets.py:Net\n::error::owned %0A##[error]\x1b[2J"


def run(*arguments, cwd, environment=None):
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("GITHUB_")}
    return subprocess.run(
        [sys.executable, "-P", "-m", "scaleprof", "check", *arguments],
        capture_output=True, text=True, cwd=cwd, timeout=60, check=False,
        stdin=subprocess.DEVNULL, env=inherited | (environment or {}),
    )  # fmt: skip


def profile(latency_s, *, macs=1000):
    measured = Measurement(
        status="ok",
        latency_s=summarise([[latency_s] * 20] * 6),
        peak_bytes=4000,
        peak_bytes_source="planned",
    )
    return report(variant("base", measurement=measured, costs={"macs": macs}))


@pytest.fixture
def folder(tmp_path):
    recorded = {
        "main": profile(0.0100),
        "same": profile(0.0101),
        "slow": profile(0.0150),
        "near": profile(0.0110),
        "more": profile(0.0100, macs=1001),
    }
    other = replace(recorded["main"], context=replace(recorded["main"].context, dtype="float16"))
    evil = replace(recorded["slow"], base=replace(recorded["slow"].base, model=EVIL))
    for name, made in (recorded | {"other": other, "evil": evil}).items():
        write_json(made, str(tmp_path / f"{name}.json"))
    return tmp_path


GATES = ("--baseline", "main.json", "--gate", "latency.p50:+10%", "--gate", "macs:+0")


@pytest.mark.parametrize(
    ("name", "status", "verdict"),
    [
        pytest.param("same", 0, "check: pass (2 pass)", id="pass"),
        pytest.param("slow", 1, "check: fail (1 fail, 1 pass)", id="slower"),
        pytest.param("more", 1, "graph of base changed: MACs", id="another-graph"),
        pytest.param("near", 3, "check: inconclusive (1 inconclusive, 1 pass)", id="undecided"),
    ],
)
def test_the_verdict_is_the_exit_status(folder, name, status, verdict):
    done = run(f"{name}.json", *GATES, cwd=folder)
    assert done.returncode == status, done.stderr
    assert verdict in done.stdout
    assert done.stderr == ""


def test_a_failure_in_one_of_several_reports_wins(folder):
    done = run("near.json", "slow.json", "same.json", *GATES, cwd=folder)
    assert done.returncode == 1
    assert "check: fail (1 fail, 1 inconclusive, 4 pass)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("same.json",), "nothing to check", id="nothing"),
        pytest.param(("same.json", "--gate", "macs:+0"), "no baseline", id="no-baseline"),
        pytest.param(("same.json", *GATES, "--gate", "macs"), "is not a gate", id="bad-gate"),
        pytest.param(("same.json", "--budget", "macs"), "is not a budget", id="bad-budget"),
        pytest.param(("same.json", *GATES, "--gate", "latency:+0.1%"), "noise floor", id="noise"),
        pytest.param(("other.json", *GATES), "dtype: float32, now float16", id="other-conditions"),
        pytest.param(("same.json", *GATES, "--variant", "x"), "no report holds", id="no-variant"),
        pytest.param(("none.json", *GATES), "cannot read `none.json`", id="no-file"),
        pytest.param(("same.json", *GATES, "--json", "a/b"), "cannot write", id="no-folder"),
        pytest.param(
            ("same.json", *GATES, "--json", "-", "--markdown", "-"),
            "both write to standard output",
            id="both-on-stdout",
        ),
        pytest.param(
            ("same.json", *GATES, "--json", "a", "--junit", "a"),
            "both write to `a`",
            id="both-in-one-file",
        ),
    ],
)
def test_what_cannot_be_checked_is_bad_input(folder, arguments, message):
    done = run(*arguments, cwd=folder)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line]
    assert lines[0].startswith("error: ")
    assert [line.startswith("hint: ") for line in lines[1:]] in ([], [True])


def test_other_conditions_are_compared_when_allowed(folder):
    done = run("other.json", *GATES, "--allow-different", cwd=folder)
    assert done.returncode == 0
    assert "note: conditions differ: dtype: float32, now float16" in done.stdout


def test_json_and_markdown_go_where_they_are_sent(folder):
    done = run("slow.json", *GATES, "--json", "check.json", "--markdown", "-", cwd=folder)
    assert done.returncode == 1
    assert done.stdout.startswith("### scaleprof check: fail")
    written = json.loads((folder / "check.json").read_text())
    assert (written["schema"], written["verdict"]) == ("scaleprof.check/1", "fail")
    schema = subprocess.run([sys.executable, "-m", "scaleprof", "schema", "check"],
                            capture_output=True, text=True, check=True)  # fmt: skip
    Draft202012Validator(json.loads(schema.stdout)).validate(written)


def test_junit_on_standard_output_is_all_there_is(folder):
    done = run("slow.json", *GATES, "--junit", "-", cwd=folder)
    assert done.returncode == 1
    assert done.stdout.startswith("<?xml")
    assert done.stdout.endswith("</testsuites>\n")


def test_json_on_standard_output_is_all_there_is(folder):
    done = run("slow.json", *GATES, "--json", "-", cwd=folder, environment=ACTIONS)
    assert json.loads(done.stdout)["verdict"] == "fail"
    assert "::error" in done.stderr


def test_settings_of_the_folder_hold_unless_flags_say_otherwise(folder):
    (folder / "pyproject.toml").write_text(
        '[tool.scaleprof.check]\ngates = ["macs:+0"]\nbaseline = "main.json"\n'
    )
    assert run("more.json", cwd=folder).returncode == 1
    assert run("slow.json", cwd=folder).returncode == 0
    assert run("slow.json", "--gate", "latency:+10%", cwd=folder).returncode == 1
    assert run("more.json", "--baseline", "more.json", cwd=folder).returncode == 0


@pytest.mark.parametrize("flags", [(), ("--rerun", "nets.py:Third")], ids=["settings", "flag"])
def test_a_report_of_another_model_is_not_measured_again(folder, flags):
    (folder / "scaleprof.toml").write_text('[check]\nrerun = "nets.py:Other"\n')
    done = run("near.json", *GATES, *flags, cwd=folder)
    assert done.returncode == 2
    assert "error: `near.json` is of model `nets.py:Net`, not of `nets.py:" in done.stderr
    assert done.stdout == ""


def test_measuring_again_can_be_switched_off(folder):
    (folder / "scaleprof.toml").write_text('[check]\nrerun = "nets.py:Other"\n')
    assert run("near.json", *GATES, "--rerun", "off", cwd=folder).returncode == 3


def test_a_report_is_not_written_where_nothing_may_be_measured(folder):
    done = run("near.json", *GATES, "--rerun-output", "more.json", cwd=folder)
    assert done.returncode == 2
    assert "is written by a rerun" in done.stderr


def test_nothing_is_measured_where_all_is_decided(folder):
    arguments = ("slow.json", *GATES, "--rerun", "nets.py:Net", "--rerun-output", "more.json")
    done = run(*arguments, cwd=folder)
    assert done.returncode == 1
    assert (folder / "more.json").read_bytes() == (folder / "slow.json").read_bytes()


def test_an_unknown_setting_is_bad_input(folder):
    (folder / "scaleprof.toml").write_text('[check]\ngate = "macs:+0"\n')
    done = run("more.json", *GATES, cwd=folder)
    assert done.returncode == 2
    assert "unknown field `gate`" in done.stderr


def test_github_gets_annotations_and_a_summary(folder):
    summary = folder / "summary.md"
    environment = ACTIONS | {"GITHUB_STEP_SUMMARY": str(summary)}
    done = run("slow.json", "near.json", *GATES, cwd=folder, environment=environment)
    assert done.returncode == 1
    commands = done.stderr.splitlines()
    assert [line.partition(" ")[0] for line in commands] == ["::error", "::warning"]
    assert commands[0].startswith("::error title=scaleprof check%3A latency.p50%3A+10%25::")
    assert "::" not in done.stdout
    assert summary.read_text().startswith("### scaleprof check: fail")


def test_an_error_is_annotated_too(folder):
    done = run("other.json", *GATES, cwd=folder, environment=ACTIONS)
    assert done.returncode == 2
    assert done.stderr.startswith("::error title=scaleprof check::")


def test_a_summary_that_cannot_be_written_changes_no_verdict(folder):
    done = run("same.json", *GATES, cwd=folder, environment={"GITHUB_STEP_SUMMARY": str(folder)})
    assert done.returncode == 0
    assert "warning: cannot write the summary" in done.stderr


@pytest.mark.parametrize("allowed", [(), ("--allow-different",)], ids=["refused", "allowed"])
def test_a_hostile_report_gives_no_command_to_github_or_the_terminal(folder, allowed):
    done = run("evil.json", *GATES, *allowed, cwd=folder, environment=ACTIONS)
    for line in (done.stdout + done.stderr).splitlines():
        assert not line.startswith("::error::")
        assert "##[" not in line
        assert "\x1b" not in line


def test_checking_imports_neither_torch_nor_numpy(folder):
    code = (
        "import sys; sys.argv = ['scaleprof', 'check', 'same.json', "
        f"{', '.join(map(repr, GATES))}]\n"
        "from scaleprof.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          check=True, cwd=folder)  # fmt: skip
    assert not {"torch", "numpy", "scipy", "rich"} & set(done.stdout.splitlines()[-1].split())


def test_lines_break_between_words_at_a_terminal_and_not_in_a_log(folder):
    pty = pytest.importorskip("pty")
    told, terminal = pty.openpty()
    command = [sys.executable, "-P", "-m", "scaleprof", "check", "near.json", *GATES]
    subprocess.run(command, cwd=folder, stdout=terminal, stderr=subprocess.PIPE, check=False,
                   env=os.environ | {"COLUMNS": "60"})  # fmt: skip
    shown = os.read(told, 65536).decode().replace("\r\n", "\n")
    os.close(told)
    os.close(terminal)
    assert max(map(len, shown.splitlines())) <= 60
    logged = run("near.json", *GATES, cwd=folder).stdout
    assert shown.split() == logged.split()
    assert max(map(len, logged.splitlines())) > 60
