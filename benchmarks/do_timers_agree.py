"""Does our timer say what others say, and how far apart are fresh processes by each?

For ResNet-50, ViT-B/16 and ConvNeXt-T: the median by scaleprof, Triton's ``do_bench`` (on a GPU),
``torch.utils.benchmark`` and a mean of 40 runs after 10, one after the other in one process, in
several fresh processes by turns; which timer comes first changes from process to process. Prints
the median over processes and, behind ±, half the range over it; writes everything as
``timers.json``, row by row.

    python benchmarks/do_timers_agree.py --out results [--device cuda:0] [--seconds 100]

Needs timm and msgspec. On a CPU it takes batch 1 and float32 alone. Exits with 3 if time was up
before all processes had their turn.
"""

import argparse
import contextlib
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# where scaleprof is not installed, the one beside this file
ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT), str(ROOT / "kernels")]

MODELS = ("resnet50", "vit_base_patch16_224", "convnext_tiny")
GPU_DTYPES = ("float16", "bfloat16")
PROCESSES = 3
SMALL, LARGE = (1, 32), (256,)
# large batches take most of the time, so that their further processes come last
ROUNDS = ((0, SMALL), (0, LARGE), (1, SMALL), (2, SMALL), (1, LARGE), (2, LARGE))
# processes import side by side, and none while something is timed: so many at once, if they fit
AT_ONCE = max(min((os.cpu_count() or 1) - 2, 12), 1)
INCOMPLETE = 3


class Turn(NamedTuple):
    """What one process measures: a model at some batches. The number is that of the process."""

    model: str
    number: int
    batches: tuple[int, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for timers.json")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--seconds", type=float, default=100.0, help="start nothing after this")
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.turn:
        model, number, batches = json.loads(given.turn)
        for row in in_this_process(Turn(model, number, tuple(batches)), given.device):
            print(json.dumps(row), flush=True)
        return
    given.out.mkdir(parents=True, exist_ok=True)
    found: list[dict[str, Any]] = []
    turns = turns_on(given.device)
    done = 0
    with contextlib.suppress(KeyboardInterrupt):
        for row in rows_of(turns, given.device, time.monotonic() + given.seconds):
            if row is None:
                done += 1
                continue
            found.append(row)
            (given.out / "timers.json").write_text(json.dumps(found, indent=1))
    print("results:")
    show(found)
    if not found:
        sys.exit("error: no process measured anything; what they said is above")
    print(f"summary: {done} of {len(turns)} processes, {agreement(found)}")
    sys.exit(0 if done == len(turns) else INCOMPLETE)


def turns_on(device: str) -> list[Turn]:
    if device.startswith("cpu"):
        return [Turn(model, number, (1,)) for number in range(PROCESSES) for model in MODELS]
    return [Turn(model, number, batches) for number, batches in ROUNDS for model in MODELS]


def rows_of(turns: Sequence[Turn], device: str, until: float) -> Iterator[dict[str, Any] | None]:
    """Yield what each process measured, and None after each that measured all that it should."""
    some = False
    for start in range(0, len(turns), AT_ONCE):
        # where all of the first fail, the others would
        if time.monotonic() > until or (start and not some):
            return
        with contextlib.ExitStack() as started:
            waiting = [
                started.enter_context(process_of(t, device)) for t in turns[start:][:AT_ONCE]
            ]
            for child in waiting:
                ready(child)
            for child in waiting:
                if time.monotonic() > until:
                    return
                for row in turn_of(child):
                    some = True
                    yield row


@contextlib.contextmanager
def process_of(turn: Turn, device: str) -> Iterator[subprocess.Popen[str]]:
    """Start a process, which imports and builds its model, and wait for its turn."""
    command = [sys.executable, __file__, "--out", ".", "--device", device]
    child = subprocess.Popen(
        [*command, "--turn", json.dumps(turn)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def ready(child: subprocess.Popen[str]) -> None:
    """Wait until a process has imported and built all that it needs, or ended."""
    assert child.stdout is not None
    while (line := child.stdout.readline()) and line.strip() != "ready":
        pass


def turn_of(child: subprocess.Popen[str]) -> Iterator[dict[str, Any] | None]:
    """Let a process measure, and yield what it did, row by row."""
    assert child.stdin is not None
    assert child.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write("go\n")
        child.stdin.flush()
    for line in child.stdout:
        if line.startswith("{"):
            yield json.loads(line)
    if child.wait() == 0:
        yield None
    else:
        print(f"warning: a process ended with status {child.returncode}", flush=True)


def in_this_process(turn: Turn, device: str) -> Iterator[dict[str, Any]]:
    """Latencies in seconds by every timer, for each type and batch."""
    import timm
    import torch

    import scaleprof.timing.timers  # noqa: F401 - imported before it is this process's turn

    place = torch.device(device)
    model = timm.create_model(turn.model).eval()
    print("ready", flush=True)
    sys.stdin.readline()
    for dtype in ("float32",) if place.type == "cpu" else GPU_DTYPES:
        kind = getattr(torch, dtype)
        model = model.to(place, kind)
        for batch in turn.batches:
            x = torch.randn(batch, 3, 224, 224, device=place).to(kind)
            with torch.inference_mode():
                seconds = by_all(functools.partial(model, x), place, turn.number)
            row = {"model": turn.model, "dtype": dtype, "batch": batch, "process": turn.number}
            yield row | {"latency_s": seconds}


def by_all(function: Callable[[], object], place: Any, first: int) -> dict[str, float]:
    """The time by every timer, beginning with another one in each process."""
    names = list(timers(place))
    turned = [names[(first + i) % len(names)] for i in range(len(names))]
    taken = {name: timers(place)[name](function, place) for name in turned}
    return {name: taken[name] for name in names}


def timers(device: Any) -> dict[str, Callable[[Callable[[], object], Any], float]]:
    found = {"scaleprof": ours, "torch.utils.benchmark": of_torch, "mean of 40": mean_of_40}
    return {**found, "do_bench": of_triton} if device.type == "cuda" else found


def ours(function: Callable[[], object], device: Any) -> float:
    from scaleprof.timing import StoppingRule, measure
    from scaleprof.timing.timers import AcceleratorTimer, CpuTimer

    rule = StoppingRule(max_seconds=1.0, warmup_max_seconds=0.5)
    timer = CpuTimer(function) if device.type == "cpu" else AcceleratorTimer(function, device)
    return statistics.median(measure(timer, rule).samples)


def of_torch(function: Callable[[], object], device: Any) -> float:  # noqa: ARG001 - as the others
    from torch.utils.benchmark import Timer

    timer = Timer("function()", globals={"function": function}, num_threads=threads())
    return float(timer.blocked_autorange(min_run_time=0.2).median)


def of_triton(function: Callable[[], object], device: Any) -> float:  # noqa: ARG001 - as the others
    import triton.testing

    return float(triton.testing.do_bench(function, return_mode="median")) * 1e-3


def mean_of_40(function: Callable[[], object], device: Any) -> float:
    """As timm's benchmark.py does by default: 10 runs to warm up, the mean of 40."""
    import torch

    def wait() -> None:
        if device.type != "cpu":
            torch.accelerator.synchronize(device)

    for _ in range(10):
        function()
    wait()
    began = time.perf_counter()
    for _ in range(40):
        function()
    wait()
    return (time.perf_counter() - began) / 40


def threads() -> int:
    import torch

    return torch.get_num_threads()


def show(found: list[dict[str, Any]]) -> None:
    """One row for each model, type and batch; one column for each timer."""
    names = list(found[0]["latency_s"]) if found else []
    print(f"| model | type | batch | processes | {' | '.join(f'{n}, ms' for n in names)} |")
    print(f"|---|---|--:|--:|{'--:|' * len(names)}")
    for key in dict.fromkeys((r["model"], r["dtype"], r["batch"]) for r in found):
        rows = [r for r in found if (r["model"], r["dtype"], r["batch"]) == key]
        cells = [cell([r["latency_s"][name] for r in rows]) for name in names]
        print(f"| {' | '.join(map(str, key))} | {len(rows)} | {' | '.join(cells)} |")


def agreement(found: list[dict[str, Any]]) -> str:
    """How far our medians are from the mean of 40 in the middle and at most, in one line."""
    ratios = [r["latency_s"]["scaleprof"] / r["latency_s"]["mean of 40"] - 1 for r in found]
    middle, most = statistics.median(map(abs, ratios)), max(ratios, key=abs)
    return f"ours from the mean of 40: {middle:.1%} in the median, {most:+.1%} at most"


def cell(seconds: list[float]) -> str:
    middle = statistics.median(seconds)
    # one process says nothing of how far apart they are
    half = (max(seconds) - min(seconds)) / 2 / middle
    return f"{1e3 * middle:.3g}" + (f" ±{half:.1%}" if len(seconds) > 1 else "")


if __name__ == "__main__":
    main()
