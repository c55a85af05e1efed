"""``scaleprof check --rerun`` as a user runs it, from a report of their model to a verdict."""

import json
import os
import subprocess
import sys

from scaleprof.reports import read_report

NET = "import torch\n\ndef Net(width=16):\n    return torch.nn.Conv2d(3, width, 3)\n"


def scaleprof(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-P", "-m", "scaleprof", *arguments],
        capture_output=True, text=True, cwd=cwd, timeout=600, check=False,
        stdin=subprocess.DEVNULL, env=os.environ | {"GITHUB_ACTIONS": "false"},
    )  # fmt: skip


def test_an_undecided_report_is_measured_again(tmp_path):
    (tmp_path / "nets.py").write_text(NET)
    conditions = ("nets.py:Net", "--input", "3x64x64", "--device", "cpu", "--processes", "1")
    done = scaleprof("measure", *conditions, "--json", "now.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    recorded = read_report(str(tmp_path / "now.json")).variant("base").measurement.latency_s
    (tmp_path / "scaleprof.toml").write_text(
        f'[check]\nbudgets = ["latency<={recorded.p50 * 1e6}us"]\nrerun = "nets.py:Net"\n'
    )
    assert scaleprof("check", "now.json", "--rerun", "off", cwd=tmp_path).returncode == 3

    done = scaleprof(
        "check", "now.json", "--time-limit", "20s", "--rerun-output", "now.json", cwd=tmp_path
    )
    assert done.returncode in (0, 1, 3), done.stderr
    assert done.stderr == ""
    # on a machine that others use too, it may be that none of them counts, or that it is slower now
    assert "more process" in done.stdout or "than when the report was recorded" in done.stdout
    pooled = read_report(str(tmp_path / "now.json"))
    measurement = pooled.variant("base").measurement
    assert len(measurement.latency_s.processes) + measurement.discarded_processes >= len(
        recorded.processes
    )
    if "after" in done.stdout.partition(":")[2].partition("\n")[0]:
        assert "scaleprof check --rerun" in " ".join(pooled.notes)


def test_a_model_that_fails_when_it_is_measured_again_is_one_line(tmp_path):
    (tmp_path / "nets.py").write_text(NET)
    conditions = ("nets.py:Net", "--input", "3x64x64", "--device", "cpu", "--processes", "1")
    scaleprof("measure", *conditions, "--json", "now.json", cwd=tmp_path)
    # what was disturbed decides nothing, and is measured again
    report = json.loads((tmp_path / "now.json").read_text())
    report["variants"][0]["measurement"]["contended"] = True
    (tmp_path / "now.json").write_text(json.dumps(report))
    (tmp_path / "nets.py").write_text("raise RuntimeError('gone')")
    done = scaleprof(
        "check", "now.json", "--budget", "latency<=1s", "--rerun", "nets.py:Net", cwd=tmp_path
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    assert "RuntimeError: gone" in done.stderr
