"""What do our kernels make of whole models: LSNet, UniRepLKNet, and ConvNeXt beside them?

Inference and a training step (forward, backward, AdamW) of each model in float16 with large
convolutions run by torch, by torch.compile of that, and by our kernels, at batch 1 and 256, and the
share of an inference's time inside these convolutions. One process for each model; a way that fails
is a row that says so. What needs no compiler comes first; then all models compile side by side, for
later processes to find in torch's cache; then what was compiled is measured. Prints a row as soon
as it is known and writes all as ``models.json``. Exits with 3 if time was up before every row.

    python benchmarks/how_fast_are_the_large_kernel_models.py --out results [--seconds 540]

Needs timm, msgspec, psutil and pynvml, and an NVIDIA GPU for anything but ``--device cpu``, which
takes float32, batch 1 and what torch does.
"""

import argparse
import contextlib
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

# where scaleprof is not installed, the one beside this file
ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT), str(ROOT / "kernels")]

MODELS = (
    *("lsnet_t", "lsnet_s", "lsnet_b"),
    *("unireplknet_t", "unireplknet_s", "timm:convnext_tiny"),
)
BATCHES = (256, 1)
STEPS = ("inference", "training")
# what runs large convolutions, and the mode of the model
WAYS = {
    "torch": ("torch", "eager"),
    "ours": ("triton", "eager"),
    "compile": ("torch", "compile"),
    "ours, compile": ("triton", "compile"),
}
# of all the time: for what needs no compiler, and, after that, for compiling
EAGER_SHARE, COMPILE_SHARE = 0.37, 0.3
INCOMPLETE = 3
Job = Literal["eager", "warm", "compiled"]
ROW = "{:18s} {:>5} {:10s} {:14s} {:>10s} {:>9s} {:>7s}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--out", type=Path, required=True, help="folder for models.json")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--seconds", type=float, default=540.0, help="stop after this")
    parser.add_argument("--job", choices=("eager", "warm", "compiled"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        for row in rows_of(given.models[0], given.device, given.job):
            print(json.dumps(row), flush=True)
        return
    given.out.mkdir(parents=True, exist_ok=True)
    print(ROW.format("model", "batch", "step", "by", "ms", "of torch", "share"))
    found: list[dict[str, Any]] = []
    with contextlib.suppress(KeyboardInterrupt):
        for row in all_rows(given.models, given.device, given.seconds):
            found.append(row)
            print(shown(row, found), flush=True)
            (given.out / "models.json").write_text(json.dumps(found, indent=1))
    wanted = sum(len(plan(given.device, job)) for job in ("eager", "compiled"))
    measured_rows = sum("ms" in row for row in found)
    print(f"summary: {measured_rows} of {wanted * len(given.models)} rows measured")
    if not measured_rows:
        sys.exit("error: nothing could be measured; the reasons are above")
    sys.exit(0 if measured_rows == wanted * len(given.models) else INCOMPLETE)


def all_rows(models: list[str], device: str, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield rows as they are known, of one model after the other, until the time is over."""
    began = time.monotonic()
    compile_at, measure_at = (
        began + share * seconds for share in (EAGER_SHARE, EAGER_SHARE + COMPILE_SHARE)
    )
    yield from in_turn(models, device, "eager", compile_at)
    with contextlib.ExitStack() as compiling:
        for child in [compiling.enter_context(process(m, device, "warm")) for m in models]:
            go(child)
            with contextlib.suppress(subprocess.TimeoutExpired):
                # what they print is short, and waits in their pipes
                child.wait(max(measure_at - time.monotonic(), 0.0))
    yield from in_turn(models, device, "compiled", began + seconds)


def in_turn(models: list[str], device: str, job: Job, until: float) -> Iterator[dict[str, Any]]:
    """Let processes that have imported side by side measure one after the other."""
    with contextlib.ExitStack() as started:
        children = [started.enter_context(process(model, device, job)) for model in models]
        for child in children:
            ready(child)
        for place, (model, child) in enumerate(zip(models, children, strict=True)):
            # those that are left share the time that is left
            limit = max((until - time.monotonic()) / (len(models) - place), 0.0)
            end = threading.Timer(limit, end_group, (child,))
            end.start()
            go(child)
            assert child.stdout is not None
            yield from (json.loads(line) for line in child.stdout if line.startswith('{"'))
            child.wait()
            end.cancel()
            if child.returncode:
                print(f"{model}: ended with status {child.returncode}, it had {limit:.0f} s")


@contextlib.contextmanager
def process(model: str, device: str, job: Job) -> Iterator[subprocess.Popen[str]]:
    """Start a process on a model, which waits for its turn; what it starts ends with it."""
    command = [sys.executable, __file__, model, "--job", job, "--device", device, "--out", "."]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
    )
    try:
        yield child
    finally:
        end_group(child)
        child.communicate()


def ready(child: subprocess.Popen[str]) -> None:
    """Wait until a process has imported all that it needs, or ended."""
    assert child.stdout is not None
    while (line := child.stdout.readline()) and line.strip() != "ready":
        pass


def go(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write("go\n")
        child.stdin.flush()


def end_group(child: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def plan(device: str, job: Job) -> list[tuple[str, int, str]]:
    """Ways, batches and steps: with a compiler, inference first, since it takes less of it."""
    on_cpu = device == "cpu"
    compiled = job != "eager"
    rows = [
        (way, batch, step)
        for step in STEPS
        for batch in ((1,) if on_cpu else BATCHES)
        for way, (_, mode) in WAYS.items()
        if (mode == "compile") == compiled and not (on_cpu and "ours" in way)
    ]
    return rows if compiled else sorted(rows, key=lambda row: -row[1])


def rows_of(model: str, device: str, job: Job) -> Iterator[dict[str, Any]]:
    """Measure a model in every way, or, to warm up, compile it for every way."""
    import_all()
    print("ready", flush=True)
    sys.stdin.readline()
    for way, batch, step in plan(device, job):
        row = {"model": model, "batch": batch, "step": step, "by": way}
        try:
            if job == "warm":
                prepared(model, device, batch=batch, step=step, way=way)
                yield {}
            else:
                yield row | measured(model, device, batch=batch, step=step, way=way)
        except Exception as error:  # one way that fails is a row of the table
            yield row | {"error": f"{type(error).__name__}: {str(error)[:200]}"}
        clear(device)


def import_all() -> None:
    """Import what takes long before it is this process's turn."""
    for name in ("timm", "scaleprof.jobs._measure", "scaleprof_kernels.ls_conv"):
        # what is missing is said where it is needed
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def prepared(model: str, device: str, *, batch: int, step: str, way: str) -> Any:
    """Build a model and run it once, which compiles it."""
    import torch

    from scaleprof.jobs._forward import Prepared

    with torch.inference_mode(step == "inference"):
        made = Prepared(request(model, device, batch=batch, step=step, way=way))
        made.step()
    return made


def measured(model: str, device: str, *, batch: int, step: str, way: str) -> dict[str, Any]:
    """Median latency in ms, and the share of it inside large convolutions."""
    from statistics import median

    import torch

    from scaleprof.timing import StoppingRule, measure
    from scaleprof.timing.timers import AcceleratorTimer, CpuTimer

    made, place = prepared(model, device, batch=batch, step=step, way=way), torch.device(device)
    timer = CpuTimer(made.step) if device == "cpu" else AcceleratorTimer(made.step, place)
    with torch.inference_mode(step == "inference"):
        found = measure(timer, StoppingRule(max_seconds=1.0, warmup_max_seconds=0.5))
        use = made.kernel_use()
    return {"ms": 1e3 * median(found.samples), "share": use.share if use else None}


def request(model: str, device: str, *, batch: int, step: str, way: str) -> Any:
    from scaleprof.jobs import MeasureRequest
    from scaleprof.jobs._count import model_inputs
    from scaleprof.models import parse_reference, resolve_model, with_dtype
    from scaleprof.timing import StoppingRule

    reference = parse_reference(model)
    resolved = resolve_model(reference)
    kernels, mode = WAYS[way]
    dtype = "float32" if device == "cpu" else "float16"
    return MeasureRequest(
        call=resolved.call,
        inputs=with_dtype(model_inputs(reference, resolved, (), batch), dtype),
        dtype=dtype,
        device=device,
        channels_last=False,
        rule=StoppingRule(),
        mode=mode,
        step=step,
        kernels=kernels,
    )


def clear(device: str) -> None:
    """Let the next way begin with a free device and nothing compiled."""
    import torch

    gc.collect()
    torch._dynamo.reset()
    if device != "cpu":
        torch.accelerator.memory.empty_cache()


def shown(row: dict[str, Any], found: list[dict[str, Any]]) -> str:
    """One row of the table, beside what torch takes for the same."""
    place = [row["model"], row["batch"], row["step"], row["by"]]
    if "error" in row:
        return ROW.format(*place, "failed", "", "") + f"  {row['error']}"
    same = [
        r["ms"]
        for r in found
        if [r[key] for key in ("model", "batch", "step", "by")] == [*place[:3], "torch"]
        and "ms" in r
    ]
    ratio = f"×{row['ms'] / same[0]:.2f}" if same else ""
    share = "" if row["share"] is None else f"{row['share']:.0%}"
    return ROW.format(*place, f"{row['ms']:.3f}", ratio, share)


if __name__ == "__main__":
    main()
