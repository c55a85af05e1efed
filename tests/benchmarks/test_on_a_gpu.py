"""The run on a GPU, rehearsed with parts that need none."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import on_a_gpu
import psutil
import pytest
from on_a_gpu import INCOMPLETE, PARTS, Outcome, Part, results_of, run_all, table

GOOD = "print('noise'); print('results:'); print('a row'); print('summary: two rows')"
BAD = "import sys; print('it broke'); sys.exit(2)"
UNFINISHED = "import sys; print('summary: one of two'); sys.exit(3)"
# it cannot be asked to stop, and neither can what it started, in a session of its own
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                         start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""
OBEDIENT = """
import time
try:
    print("began", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    print("summary: what there was")
"""


@pytest.fixture
def rehearse(monkeypatch, tmp_path):
    """Run parts given as texts of Python, and return how each ended."""
    monkeypatch.setattr(on_a_gpu, "GRACE", 2.0)

    def rehearse(seconds=30.0, needs=(), **parts):
        given = {
            name: Part(seconds, lambda out, limit, text=text: ["-c", text], needs)
            for name, text in parts.items()
        }
        monkeypatch.setattr(on_a_gpu, "PARTS", given)
        return run_all(list(given), tmp_path, tmp_path / "scratch")

    return rehearse


def test_every_part_is_run_and_its_end_is_said(rehearse, tmp_path):
    outcomes = rehearse(good=GOOD, bad=BAD, unfinished=UNFINISHED)
    assert [(o.words, o.status, o.summary) for o in outcomes.values()] == [
        ("passed", 0, "two rows"),
        ("FAILED (2)", 1, "it broke"),
        ("not finished", INCOMPLETE, "one of two"),
    ]
    assert "noise" in (tmp_path / "log.txt").read_text()
    assert "noise" not in (tmp_path / "summary.txt").read_text().split("===== bad")[0]


def test_a_part_that_runs_over_is_ended_with_all_that_it_started(rehearse, tmp_path):
    outcomes = rehearse(stubborn=STUBBORN, after=GOOD, seconds=5.0)
    assert outcomes["stubborn"].words.startswith("CUT after")
    assert outcomes["stubborn"].status == INCOMPLETE
    assert outcomes["after"].status == 0
    child = int((tmp_path / "log.txt").read_text().split("\n===== after")[0].split()[-1])
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie"


def test_a_part_that_is_asked_to_stop_still_says_what_it_has(rehearse):
    (outcome,) = rehearse(obedient=OBEDIENT, seconds=5.0).values()
    assert (outcome.status, outcome.summary) == (INCOMPLETE, "what there was")


def test_what_a_part_leaves_over_is_for_those_after_it(rehearse, tmp_path):
    rehearse(first=GOOD, second=GOOD, seconds=30.0)
    limits = [
        int(line.split(", at most ")[1].split()[0])
        for line in (tmp_path / "log.txt").read_text().splitlines()
        if line.startswith("=====")
    ]
    assert limits[0] == 30
    # the first takes a second or so of its thirty
    assert limits[1] > 45


def test_a_part_whose_packages_are_missing_is_left_out_and_named(rehearse):
    (outcome,) = rehearse(good=GOOD, needs=("no_such_package",)).values()
    assert outcome.words == "LEFT OUT, needs no_such_package"
    assert outcome.status == INCOMPLETE


def test_an_interruption_keeps_what_was_done(rehearse, tmp_path):
    def interrupt():
        log = tmp_path / "log.txt"
        while not (log.exists() and "began" in log.read_text().splitlines()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    outcomes = rehearse(good=GOOD, obedient=OBEDIENT, never=GOOD)
    assert [outcome.words for outcome in outcomes.values()] == ["passed", "INTERRUPTED"]


def test_the_parts_together_stay_under_nine_minutes():
    assert sum(part.seconds for part in PARTS.values()) <= 530
    scripts = [part.command(Path("out"), 1.0)[0] for part in PARTS.values()]
    assert all(script == "-m" or Path(script).is_file() for script in scripts)


def test_the_end_of_a_log_is_the_result_where_none_is_marked():
    text = "\n".join(["noise"] * 60 + ["== 3 passed in 1 s =="])
    shown, summary = results_of(text)
    assert (len(shown.splitlines()), summary) == (40, "3 passed in 1 s")
    assert results_of("error: no such device\nhint: use cpu")[1] == "error: no such device"
    assert results_of("") == ("", "")


def test_the_table_has_a_line_for_each_part_and_their_sum():
    rows = table({"a": Outcome("passed", 0, 61.0, "fine"), "b": Outcome("FAILED (1)", 1, 2.0)})
    assert [row.split() for row in rows.splitlines()] == [
        ["a", "passed", "61", "s", "fine"],
        ["b", "FAILED", "(1)", "2", "s"],
        ["together", "63", "s"],
    ]


def test_without_a_gpu_one_line_says_so(tmp_path):
    script = Path(on_a_gpu.__file__)
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, str(script), "--out", str(tmp_path / "out")],
        capture_output=True, text=True, env=hidden, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: nothing to run, this needs an NVIDIA GPU that torch can use, found none"
    )
    assert not (tmp_path / "out").exists()
