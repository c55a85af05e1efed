"""Run on a GPU, in one call, what cannot run without: the tests marked `gpu` and the benchmarks.

    python benchmarks/on_a_gpu.py --out results

Needs torch, Triton and pytest; for what measures whole models (timers beside each other, and a
profile, which is then a candidate for ``profiles/``), timm and msgspec too, and is left out
without them. Writes the logs, the tests' results as JUnit XML and the benchmark's
files into the folder, prints a short table last, and exits with 1 if anything failed. All parts
together stop before ten minutes are over, and what they wrote is kept.
"""

import argparse
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
GPU_TESTS = ("tests/kernels/test_on_gpu.py", "tests/kernels/test_aggregation_on_gpu.py")
TEST_SECONDS = 210
# of each benchmark: when it starts nothing more, and when it is stopped
BENCHMARKS = {"depthwise_conv2d": (100, 130), "small_kernel_aggregation": (50, 70)}
TIMERS = {"do_timers_agree": (70, 95)}
PROFILE_SECONDS = 50
NEEDED_FOR_MODELS = ("timm", "msgspec", "psutil", "pynvml", "typer", "rich")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    out = parser.parse_args().out.resolve()
    if not torch.cuda.is_available():
        sys.exit("error: nothing to run, this needs an NVIDIA GPU that torch can use, found none")
    out.mkdir(parents=True, exist_ok=True)
    results = [tests(out), *(benchmark(name, out, *BENCHMARKS[name]) for name in BENCHMARKS)]
    missing = [name for name in NEEDED_FOR_MODELS if find_spec(name) is None]
    if missing:
        print(f"whole models are left out: {', '.join(missing)} cannot be imported")
    else:
        results += [benchmark(name, out, *TIMERS[name]) for name in TIMERS]
        results.append(profile(out))
    for table in (out / "table.txt", out / "aggregation.txt"):
        if table.exists():
            print(table.read_text())
    for name, status, seconds in results:
        verdict = "passed" if status == 0 else f"FAILED ({status})"
        print(f"{name:25s} {verdict:14s} {seconds:5.0f} s")
    sys.exit(any(status for _, status, _ in results))


def tests(out: Path) -> tuple[str, int, float]:
    # compiling takes longer than running, and processes compile side by side; other versions of
    # torch and of plugins may warn of what is not ours
    parallel = ["-n", str(min(8, os.cpu_count() or 1))] if find_spec("xdist") else []
    lenient = ["-W", "default", "-p", "no:benchmark"]
    command = [
        sys.executable, "-m", "pytest", "-m", "gpu", *GPU_TESTS, "-q",
        "--tb=short", f"--junitxml={out / 'tests.xml'}", *parallel, *lenient,
    ]  # fmt: skip
    return part("tests", command, out, TEST_SECONDS)


def benchmark(name: str, out: Path, enough: float, limit: float) -> tuple[str, int, float]:
    script = f"benchmarks/{name}.py"
    command = [sys.executable, script, "--out", str(out), "--seconds", str(enough)]
    return part(name, command, out, limit)


def profile(out: Path) -> tuple[str, int, float]:
    command = [
        sys.executable, "-m", "scaleprof", "profile", "timm:convnext_atto", "--device", "cuda:0",
        "--batch", "32", "--dtype", "float16", "--budget", "latency<=2x", "--time-limit",
        f"{PROFILE_SECONDS - 10}s", "--no-store", "--json", str(out / "convnext_atto.json"),
    ]  # fmt: skip
    name, status, seconds = part("profile", command, out, PROFILE_SECONDS)
    # 3: what is chosen could not be checked in the time there is, which is no failure of ours
    return name, 0 if status == 3 else status, seconds


def part(name: str, command: list[str], out: Path, limit: float) -> tuple[str, int, float]:
    """Run a command with its output in a file, whose end is shown."""
    start = time.monotonic()
    log = out / f"{name}.log"
    path = os.pathsep.join((str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")))
    environment = {**os.environ, "PYTHONPATH": path}
    with log.open("w") as stream:
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT,
                timeout=limit, check=False,
            )  # fmt: skip
            status = done.returncode
        except subprocess.TimeoutExpired:
            stream.write(f"\nstopped after {limit} s\n")
            status = 124
    print("\n".join(log.read_text().splitlines()[-15:]), flush=True)
    return name, status, time.monotonic() - start


if __name__ == "__main__":
    main()
