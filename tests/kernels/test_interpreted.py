"""Run the tests in `interpreted`, in a session in which Triton interprets its kernels."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")
ROOT = Path(__file__).parents[2]


def test_kernels_agree_with_float64_in_the_interpreter():
    command = [sys.executable, "-m", "pytest", "-q", "-x", "tests/kernels/interpreted"]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    # 5 is "no tests were collected"
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
