"""What do our kernels make of whole models: LSNet, UniRepLKNet, and ConvNeXt beside them?

Inference and a training step (forward, backward, AdamW) of each model in float16 with large
convolutions run by torch, by torch.compile of that, and by our kernels, at batch 1 and 256, and the
share of an inference's time inside these convolutions. One process for each model; a way that fails
is a row that says so. Prints a row as soon as it is known and writes all as ``models.json``.

    python benchmarks/how_fast_are_the_large_kernel_models.py --out results [--seconds 500]

Needs timm, msgspec, psutil and pynvml, and an NVIDIA GPU for anything but ``--device cpu``, which
takes float32, batch 1 and what torch does.
"""

import argparse
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

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
ROW = "{:18s} {:>5} {:10s} {:14s} {:>10s} {:>9s} {:>7s}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--out", type=Path, required=True, help="folder for models.json")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--seconds", type=float, default=500.0, help="stop after this")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        for row in rows_of(given.models[0], given.device):
            print(json.dumps(row), flush=True)
        return
    given.out.mkdir(parents=True, exist_ok=True)
    print(ROW.format("model", "batch", "step", "by", "ms", "of torch", "share"))
    until = time.monotonic() + given.seconds
    found: list[dict[str, Any]] = []
    for place, model in enumerate(given.models):
        # those that are left share the time that is left
        limit = (until - time.monotonic()) / (len(given.models) - place)
        found += in_own_process(model, given.device, limit)
        (given.out / "models.json").write_text(json.dumps(found, indent=1))
    if not any(row.get("ms") for row in found):
        sys.exit("error: nothing could be measured; the reasons are above")


def in_own_process(model: str, device: str, limit: float) -> list[dict[str, Any]]:
    """All rows of a model that are known before the time is over."""
    command = [sys.executable, __file__, model, "--one", "--device", device, "--out", "."]
    found: list[dict[str, Any]] = []
    # compilers start processes of their own, which end with it
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        assert child.stdout is not None
        end = threading.Timer(max(limit, 0.0), os.killpg, (child.pid, signal.SIGKILL))
        end.start()
        for line in child.stdout:
            if line.startswith("{"):
                found.append(json.loads(line))
                print(shown(found[-1], found), flush=True)
        end.cancel()
    if child.returncode == -signal.SIGKILL:
        print(f"{model}: stopped after {max(limit, 0.0):.0f} s")
    return found


def rows_of(model: str, device: str):
    """Measure a model in every way, the cheap ones first: compilers take most of the time."""
    on_cpu = device == "cpu"
    ways = [way for way in WAYS if not on_cpu or "ours" not in way]
    ways.sort(key=lambda way: "compile" in way)
    for way in ways:
        for batch in (1,) if on_cpu else BATCHES:
            for step in STEPS:
                row = {"model": model, "batch": batch, "step": step, "by": way}
                try:
                    yield row | measured(model, device, batch=batch, step=step, way=way)
                except Exception as error:  # one way that fails is a row of the table
                    yield row | {"error": f"{type(error).__name__}: {str(error)[:200]}"}
                clear(device)


def measured(model: str, device: str, *, batch: int, step: str, way: str) -> dict[str, Any]:
    """Median latency in ms, and the share of it inside large convolutions."""
    from statistics import median

    from scaleprof.jobs import MeasureRequest
    from scaleprof.jobs._count import model_inputs
    from scaleprof.jobs._measure import measure_variant
    from scaleprof.models import parse_reference, resolve_model
    from scaleprof.timing import StoppingRule

    reference = parse_reference(model)
    resolved = resolve_model(reference)
    kernels, mode = WAYS[way]
    request = MeasureRequest(
        call=resolved.call,
        inputs=model_inputs(reference, resolved, (), batch),
        dtype="float32" if device == "cpu" else "float16",
        device=device,
        channels_last=False,
        rule=StoppingRule(max_seconds=2.0, warmup_max_seconds=1.0),
        mode=mode,
        step=step,
        kernels=kernels,
    )
    reply = measure_variant(request)
    share = reply.kernels.share if reply.kernels else None
    return {"ms": 1e3 * median(reply.samples.samples), "share": share}


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
        if (r["batch"], r["step"], r["by"]) == (row["batch"], row["step"], "torch") and "ms" in r
    ]
    ratio = f"×{row['ms'] / same[0]:.2f}" if same else ""
    share = "" if row["share"] is None else f"{row['share']:.0%}"
    return ROW.format(*place, f"{row['ms']:.3f}", ratio, share)


if __name__ == "__main__":
    main()
