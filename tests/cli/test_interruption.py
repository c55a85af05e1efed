import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

NETS = str(Path(__file__).parents[1] / "models" / "nets.py")
# far beyond what the slowest machine needs; reaching it means that nothing is measured at all
PATIENCE_S = 240


def start(tmp_path):
    notes, path = tmp_path / "notes", tmp_path / "report.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "scaleprof", "profile", f"{NETS}:Noted", "--input", "3x64x64",
         "--device", "cpu", "--budget", "latency<=1000000x", "--time-limit", "15min",
         "--json", str(path)],
        env=os.environ | {"NOTES": str(notes)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # a shell that starts tests in the background has them ignore what interrupts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE_S
    while not notes.exists() or len(notes.read_text().splitlines()) < 4:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process, path


def test_an_interrupted_profile_keeps_what_it_measured(tmp_path):
    process, path = start(tmp_path)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 3, err
    assert "interrupted" in out
    assert "Traceback" not in err
    report = json.loads(path.read_text())
    measured = [v for v in report["variants"] if v["measurement"]]
    assert measured[0]["id"] == "base"
    assert report["selection"]["verified"] is None
    # no worker outlives the command
    assert not [c for c in children if c.is_running() and c.status() != psutil.STATUS_ZOMBIE]


def test_a_terminated_profile_ends_like_an_interrupted_one(tmp_path):
    process, path = start(tmp_path)
    process.terminate()
    process.communicate()
    assert process.returncode == 3
    assert path.exists()


def test_a_killed_profile_leaves_neither_half_a_file_nor_a_worker(tmp_path):
    process, path = start(tmp_path)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert not path.exists()
    _, alive = psutil.wait_procs(children, timeout=PATIENCE_S)
    assert not alive
