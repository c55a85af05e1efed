"""How much CPU time do the commands take that need no torch?

    python benchmarks/how_long_does_starting_take.py

Runs each command in a process of its own, and takes the median of its user and system time.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

REPORT = str(Path(__file__).parents[1] / "profiles" / "examples" / "convnext_atto-cpu.json")
RUNS = 15
COMMANDS = {
    # arguments: CPU seconds at most
    ("--help",): 0.2,
    ("schema",): 0.3,
    ("check", REPORT, "--baseline", REPORT, "--gate", "latency:+20%", "--variant", "base"): 0.3,
    ("select", REPORT, "--budget", "latency<=1.5x"): 1.0,
}


def cpu_seconds(arguments: tuple[str, ...]) -> float:
    command = [sys.executable, "-m", "scaleprof", *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    for arguments, limit in COMMANDS.items():
        median = statistics.median(cpu_seconds(arguments) for _ in range(RUNS))
        print(f"scaleprof {arguments[0]:8s} {1e3 * median:4.0f} ms (limit {1e3 * limit:.0f} ms)")
        assert median < limit


if __name__ == "__main__":
    main()
