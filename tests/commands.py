"""The command line as a process of its own."""

import subprocess
import sys


def run(*arguments, stdin="", timeout=300, **kwargs):
    return subprocess.run(
        [sys.executable, "-P", "-m", "scaleprof", *arguments],
        capture_output=True, text=True, input=stdin, timeout=timeout, check=False, **kwargs,
    )  # fmt: skip
