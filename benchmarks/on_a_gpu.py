"""Run on a GPU, in one call under nine minutes, what cannot run without: tests and benchmarks.

    python benchmarks/on_a_gpu.py --out results [--only PART ...]

Needs torch, Triton and pytest; for whole models timm, msgspec, psutil, pynvml, typer and rich too,
whose parts are left out without them. The most telling parts come first. Each has a time of its
own, and may use what those before it left over; at its end it is asked to stop, then ended with
all that it started, and what it wrote until then is kept. The folder gets one log of everything,
the tests' results as JUnit XML, the measurements of each part as JSON, and the results for people,
which are also printed, a short table last.

Exits with 0 if everything ran and passed, 1 if something failed, and 3 if nothing failed, but
something was cut, left out or not finished.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
NEEDED_FOR_MODELS = ("timm", "msgspec", "psutil", "pynvml", "typer", "rich")
FAILED, INCOMPLETE = 1, 3
# from being asked to stop to being ended; and what a benchmark needs to end by itself before that
GRACE, ROOM = 10.0, 12.0
# in the output of a part: what comes after it is the result; else the last lines are
RESULTS, LAST_LINES = "results:", 40
SUMMARY, ERROR = "summary: ", "error: "


class Part(NamedTuple):
    """Something to run.

    Attributes:
        seconds: What it may take.
        command: From the folder of results and the seconds after which it should begin nothing.
        needs: Packages without which it is left out.
    """

    seconds: float
    command: Callable[[Path, float], Sequence[str]]
    needs: tuple[str, ...] = ()


class Outcome(NamedTuple):
    """How a part ended: in words, the exit status that follows, seconds, and its summary."""

    words: str
    status: int
    seconds: float
    summary: str = ""


def tests(out: Path, _: float) -> list[str]:
    # compiling takes longer than running, and processes compile side by side; other versions of
    # torch and of plugins may warn of what is not ours
    workers = min(os.cpu_count() or 1, 16)
    parallel = ["-n", str(workers), "--dist", "worksteal"] if find_spec("xdist") else []
    # a line for each test as it ends, so that what is known by then is there if it is cut
    quiet = ["-v", "--tb=short", "-W", "default", "-p", "no:cacheprovider", "-p", "no:benchmark"]
    files = sorted(str(path) for path in (ROOT / "tests").glob("**/test_*on_gpu.py"))
    record = f"--junitxml={out / 'tests.xml'}"
    return ["-m", "pytest", "-m", "gpu", *files, *quiet, *parallel, record]


def benchmark(name: str, *more: str) -> Callable[[Path, float], list[str]]:
    def command(out: Path, seconds: float) -> list[str]:
        script = ROOT / "benchmarks" / f"{name}.py"
        return [str(script), "--out", str(out), "--seconds", f"{seconds:.0f}", *more]

    return command


def devices(_: Path, __: float) -> list[str]:
    return ["-m", "scaleprof", "devices", "cuda:0"]


def profile(out: Path, seconds: float) -> list[str]:
    return [
        "-m", "scaleprof", "profile", "timm:convnext_atto", "--device", "cuda:0", "--batch", "32",
        "--dtype", "float16", "--budget", "latency<=2x", "--time-limit", f"{seconds:.0f}s",
        "--no-store", "--json", str(out / "convnext_atto.json"),
    ]  # fmt: skip


# the most telling first; together under nine minutes
PARTS = {
    "tests": Part(150, tests),
    "depthwise": Part(110, benchmark("depthwise_conv2d")),
    "aggregation": Part(60, benchmark("small_kernel_aggregation")),
    "timers": Part(105, benchmark("do_timers_agree"), NEEDED_FOR_MODELS),
    "devices": Part(30, devices, NEEDED_FOR_MODELS),
    "profile": Part(75, profile, NEEDED_FOR_MODELS),
}


def main() -> None:
    options = arguments()
    # the last word must arrive whatever the terminal can show
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    if reason := why_not():
        sys.exit(f"error: {reason}")
    # whoever ends this gets the table all the same
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        outcomes = run_all(options.only or list(PARTS), out, Path(scratch))
    text = table(outcomes)
    with (out / "summary.txt").open("a", encoding="utf-8") as stream:
        stream.write(f"{text}\n")
    print(text)
    statuses = {outcome.status for outcome in outcomes.values()}
    sys.exit(FAILED if FAILED in statuses else INCOMPLETE if INCOMPLETE in statuses else 0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "--only", action="append", choices=PARTS, help="run this part alone; may be repeated"
    )
    return parser.parse_args()


def why_not() -> str | None:
    """Why nothing can run here, if so."""
    if find_spec("torch") is None:
        return "this needs torch, found none; run it with a python3 that has torch and Triton"
    import torch

    if not torch.cuda.is_available():
        return "nothing to run, this needs an NVIDIA GPU that torch can use, found none"
    return None


def run_all(names: Sequence[str], out: Path, scratch: Path) -> dict[str, Outcome]:
    """Run parts one after the other, each until the time of those after it begins."""
    outcomes: dict[str, Outcome] = {}
    # what was there is of an earlier call
    for name in ("log.txt", "summary.txt"):
        (out / name).write_text("")
    end = time.monotonic() + sum(PARTS[name].seconds for name in names)
    for i, name in enumerate(names):
        part = PARTS[name]
        limit = end - time.monotonic() - sum(PARTS[later].seconds for later in names[i + 1 :])
        missing = [package for package in part.needs if find_spec(package) is None]
        if missing:
            outcomes[name] = Outcome(f"LEFT OUT, needs {', '.join(missing)}", INCOMPLETE, 0.0)
            continue
        began = time.monotonic()
        try:
            outcomes[name] = run(name, part, out, scratch, limit)
        except KeyboardInterrupt:
            outcomes[name] = Outcome("INTERRUPTED", INCOMPLETE, time.monotonic() - began)
            break
    return outcomes


def run(name: str, part: Part, out: Path, scratch: Path, limit: float) -> Outcome:
    """Run one part with its output in the log, and show its results."""
    log, began = out / "log.txt", time.monotonic()
    command = [sys.executable, *part.command(out, max(limit - GRACE - ROOM, 1.0))]
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"\n===== {name}, at most {limit:.0f} s: {' '.join(command)}\n")
        stream.flush()
        start = log.stat().st_size
        child = subprocess.Popen(
            command, cwd=ROOT, env=environment(scratch), stdin=subprocess.DEVNULL, stdout=stream,
            stderr=subprocess.STDOUT, process_group=0,
        )  # fmt: skip
        was_cut = not ended_within(child, limit)
    seconds = time.monotonic() - began
    text = log.read_bytes()[start:].decode("utf-8", errors="replace")
    shown, summary = results_of(text)
    with (out / "summary.txt").open("a", encoding="utf-8") as stream:
        stream.write(f"===== {name}\n{shown}\n\n")
    print(f"===== {name}\n{shown}\n", flush=True)
    return outcome_of(child.returncode, was_cut, seconds, summary)


def outcome_of(code: int, was_cut: bool, seconds: float, summary: str) -> Outcome:
    if was_cut:
        return Outcome(f"CUT after {seconds:.0f} s", INCOMPLETE, seconds, summary)
    if code == INCOMPLETE:
        return Outcome("not finished", INCOMPLETE, seconds, summary)
    if code != 0:
        return Outcome(f"FAILED ({code})", FAILED, seconds, summary)
    return Outcome("passed", 0, seconds, summary)


def ended_within(child: subprocess.Popen[bytes], limit: float) -> bool:
    """Wait for a part; at its end ask it to stop, and then end it with all that it started."""
    started: set[Process] = set()
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(limit - GRACE, 1.0))
            return True
        started = descendants(child.pid)
        child.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
        return False
    finally:
        # also when this is interrupted
        if child.poll() is None:
            started |= descendants(child.pid)
            child.kill()
            child.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        for process in started:
            # numbers of processes are given out again
            if stat_of(process.pid).began == process.began:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process.pid, signal.SIGKILL)


class Process(NamedTuple):
    """A process by its number, the one that started it, and when; None where it is gone."""

    pid: int
    parent: int | None = None
    began: int | None = None


def stat_of(pid: int) -> Process:
    try:
        # the name, in brackets, may hold spaces and brackets itself; state and parent come after
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return Process(pid, int(fields[1]), int(fields[19]))
    except (OSError, IndexError, ValueError):
        return Process(pid)


def descendants(pid: int) -> set[Process]:
    """Processes that a process started, and those that they did, in whatever session."""
    everyone = [stat_of(int(path.name)) for path in Path("/proc").glob("[0-9]*")]
    known, found = {pid}, set()
    while more := {p for p in everyone if p.parent in known and p.pid not in known}:
        known |= {p.pid for p in more}
        found |= more
    return found


def environment(scratch: Path) -> dict[str, str]:
    """The environment of a part: ours first on the path, and caches where writing is allowed."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")))
    caches = {
        "TRITON_CACHE_DIR": "triton",
        "TORCHINDUCTOR_CACHE_DIR": "inductor",
        "CUDA_CACHE_PATH": "cuda",
        "SCALEPROF_CACHE": "scaleprof",
    }
    return {
        **os.environ,
        **{name: str(scratch / folder) for name, folder in caches.items()},
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        # for the tables of what shapes itself by a terminal
        "COLUMNS": "140",
    }


def results_of(text: str) -> tuple[str, str]:
    """Return the results at the end of a part's output, and its last line or summary."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    marks = [i for i, line in enumerate(lines) if line == RESULTS]
    shown = lines[marks[-1] + 1 :] if marks else lines[-LAST_LINES:]
    said = [line.removeprefix(SUMMARY) for line in shown if line.startswith((SUMMARY, ERROR))]
    # that of pytest is its last line
    summary = said[-1] if said else (shown[-1].strip("= ") if shown else "")
    return "\n".join(shown), summary


def table(outcomes: dict[str, Outcome]) -> str:
    """One line for each part, and what they took together."""
    rows = [
        f"{name:12s} {outcome.words:24s} {outcome.seconds:4.0f} s  {outcome.summary[:100]}".rstrip()
        for name, outcome in outcomes.items()
    ]
    total = sum(outcome.seconds for outcome in outcomes.values())
    return "\n".join((*rows, f"{'together':37s} {total:4.0f} s"))


if __name__ == "__main__":
    main()
