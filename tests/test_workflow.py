"""The workflow of the README, step by step, as a runner of GitHub Actions would run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from junitparser import JUnitXml

from scaleprof.reports import read_report

ROOT = Path(__file__).parents[1]
NET = "import torch\n\ndef Net(width={width}):\n    return torch.nn.Conv2d(3, width, 3)\n"
# what the runner installs is here already; one process instead of six, which is a matter of time
PROGRAMS = {
    "pip": "exit 0",
    "scaleprof": 'case "$1" in measure) set -- "$@" --processes 1 --time-limit 900s;; esac\n'
    f'exec {sys.executable} -P -m scaleprof "$@"',
}


def workflow():
    (text,) = re.findall(r"```yaml\n(name: .*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return yaml.safe_load(text)


def git(*arguments, cwd):
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    """A branch that changes nothing, in a clone as `actions/checkout` leaves it."""
    origin, work = tmp_path / "origin", tmp_path / "work"
    origin.mkdir()
    git("init", "--initial-branch=main", cwd=origin)
    (origin / "nets.py").write_text(NET.format(width=4))
    git("add", ".", cwd=origin)
    git("commit", "--message=net", cwd=origin)
    git("clone", str(origin), str(work), cwd=tmp_path)
    (tmp_path / "bin").mkdir()
    for name, body in PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/bash\n{body}\n")
        program.chmod(0o755)
    return work


def run_steps(checkout):
    """Run the steps in order; after one that failed, only those that run always."""
    job = workflow()["jobs"]["gate"]
    folder = checkout.parent
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    environment = kept | job["env"] | {
        "GITHUB_ACTIONS": "true",
        "GITHUB_BASE_REF": "main",
        "GITHUB_WORKSPACE": str(checkout),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "RUNNER_TEMP": str(folder),
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
    }  # fmt: skip
    done, failed = {}, False
    for step in job["steps"]:
        if "run" not in step or (failed and step.get("if") != "always()"):
            continue
        script = folder / "step.sh"
        script.write_text(step["run"])
        # the shell of a step, as GitHub documents it
        done[step["name"]] = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=checkout, env=environment, capture_output=True, text=True, check=False,
            timeout=600,
        )  # fmt: skip
        failed = failed or done[step["name"]].returncode != 0
    return done


@pytest.mark.slow
def test_a_branch_that_changes_nothing_passes(checkout):
    done = run_steps(checkout)
    assert [step.returncode for step in done.values()] == [0] * 5, done
    assert read_report(str(checkout / "main.json")).variant("base").cost.params == 112
    cases = [case for suite in JUnitXml.fromfile(str(checkout / "check.xml")) for case in suite]
    failed = [case.name for case in cases if case.is_failure]
    assert (len(cases), failed) == (3, [])
    summary = (checkout.parent / "summary.md").read_text()
    assert summary.startswith("### scaleprof check: ")
    assert (checkout / "report.html").stat().st_size > 0


def test_a_branch_that_grows_the_model_fails_and_is_drawn_all_the_same(checkout):
    (checkout / "nets.py").write_text(NET.format(width=8))
    done = run_steps(checkout)
    held = done["Hold one against the other"]
    assert held.returncode == 1
    assert "::error title=scaleprof check%3A macs%3A+0::" in held.stderr
    assert "graph of base changed" in held.stdout
    assert done["Draw both"].returncode == 0


def test_what_is_not_run_here_is_what_github_provides():
    steps = workflow()["jobs"]["gate"]["steps"]
    assert [step["uses"].split("@")[0] for step in steps if "uses" in step] == [
        "actions/checkout", "actions/upload-artifact"]  # fmt: skip
