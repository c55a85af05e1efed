"""Does our timer say what others say, and how far apart are fresh processes by each?

For ResNet-50, ViT-B/16 and ConvNeXt-T: the median by scaleprof, Triton's ``do_bench`` (on a GPU),
``torch.utils.benchmark`` and a mean of 40 runs after 10, one after the other in one process, in
several fresh processes by turns. Prints the median over processes and, behind ±, half the range
over it; writes everything as ``timers.json``.

    python benchmarks/do_timers_agree.py --out results [--device cuda:0] [--seconds 100]

Needs timm and msgspec. On a CPU it takes batch 1 and float32 alone.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODELS = ("resnet50", "vit_base_patch16_224", "convnext_tiny")
GPU_BATCHES = (1, 32, 256)
GPU_DTYPES = ("float16", "bfloat16")
PROCESSES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for timers.json")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--seconds", type=float, default=100.0, help="start nothing after this")
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "DTYPE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(in_this_process(*given.one, given.device)))
        return
    given.out.mkdir(parents=True, exist_ok=True)
    found = rounds(given.device, time.monotonic() + given.seconds)
    (given.out / "timers.json").write_text(json.dumps(found, indent=1))
    show(found)


def rounds(device: str, until: float) -> list[dict[str, Any]]:
    """Every model and type once in each of several fresh processes, as far as time allows."""
    dtypes = GPU_DTYPES if device.startswith("cuda") else ("float32",)
    found: list[dict[str, Any]] = []
    for _ in range(PROCESSES):
        for model in MODELS:
            for dtype in dtypes:
                if time.monotonic() > until:
                    return found
                command = [sys.executable, __file__, "--out", ".", "--device", device]
                done = subprocess.run(
                    [*command, "--one", model, dtype], check=True, capture_output=True, text=True
                )
                found += json.loads(done.stdout.splitlines()[-1])
    return found


def in_this_process(name: str, dtype: str, device: str) -> list[dict[str, Any]]:
    """Latencies in seconds by every timer, for each batch."""
    import timm
    import torch

    place = torch.device(device)
    model = timm.create_model(name).eval().to(place, getattr(torch, dtype))
    rows = []
    for batch in GPU_BATCHES if place.type == "cuda" else (1,):
        x = torch.randn(batch, 3, 224, 224).to(place, getattr(torch, dtype))
        with torch.inference_mode():
            seconds = {
                timer: run(lambda x=x: model(x), place) for timer, run in timers(place).items()
            }
        rows.append({"model": name, "dtype": dtype, "batch": batch, "latency_s": seconds})
    return rows


def timers(device: Any) -> dict[str, Callable[[Callable[[], object], Any], float]]:
    found = {"scaleprof": ours, "torch.utils.benchmark": of_torch, "mean of 40": mean_of_40}
    return {**found, "do_bench": of_triton} if device.type == "cuda" else found


def ours(function: Callable[[], object], device: Any) -> float:
    from scaleprof.timing import StoppingRule, measure
    from scaleprof.timing.timers import AcceleratorTimer, CpuTimer

    rule = StoppingRule(max_seconds=1.5, warmup_max_seconds=0.7)
    timer = CpuTimer(function) if device.type == "cpu" else AcceleratorTimer(function, device)
    return statistics.median(measure(timer, rule).samples)


def of_torch(function: Callable[[], object], device: Any) -> float:  # noqa: ARG001 - as the others
    from torch.utils.benchmark import Timer

    timer = Timer("function()", globals={"function": function}, num_threads=threads())
    return float(timer.blocked_autorange(min_run_time=0.5).median)


def of_triton(function: Callable[[], object], device: Any) -> float:  # noqa: ARG001 - as the others
    import triton

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


def cell(seconds: list[float]) -> str:
    middle = statistics.median(seconds)
    return f"{1e3 * middle:.3g} ±{(max(seconds) - min(seconds)) / 2 / middle:.1%}"


if __name__ == "__main__":
    main()
