"""What do LSNet, UniRepLKNet and a timm family offer under one budget?

    python benchmarks/large_kernel_families_under_one_budget.py [--budget 'latency<=60ms']

First our kernels are held against float64: on a GPU all of them, elsewhere small cases in Triton's
interpreter. Then each family is profiled on the device that is there, and one table printed; on a
GPU our kernels run where they can. Without a budget all have half as long again as the timm model
takes. Latencies that others disturbed are marked `*`, predicted ones
`~`. Needs timm and triton.
"""

import argparse
import subprocess
import sys

import torch

import scaleprof
from scaleprof.selection import quantity

YARDSTICK = "timm:convnext_atto"
MODELS = ("lsnet_t", "unireplknet_a", YARDSTICK)
ROOM = 1.5
ROW = "{:20s} {:12s} {:>9s} {:>9s} {:>10s} {:>7s}  {}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--budget", help="bound that all must hold")
    parser.add_argument("--seconds", type=float, default=60.0, help="time limit of each profile")
    options = parser.parse_args()
    check_kernels()
    budget = options.budget or room_beside(YARDSTICK)
    print(f"under {budget}:")
    print(ROW.format("model", "recipe", "params M", "MACs M", "latency ms", "top-1", "kernels"))
    for model in MODELS:
        report = scaleprof.profile(
            model,
            budgets=[budget],
            strategies=["w", "dwr"],
            multipliers=[0.5, 2.0],
            time_limit=options.seconds,
        )
        print(row(model, report), flush=True)


def check_kernels() -> None:
    """Hold our kernels against float64, in a process of its own, which may interpret them."""
    how = [] if torch.cuda.is_available() else ["--interpret"]
    where = "in Triton's interpreter" if how else "on this GPU"
    print(f"our kernels against float64, {where}:", flush=True)
    subprocess.run([sys.executable, "-m", "scaleprof", "kernels", "check", *how], check=True)
    print(flush=True)


def room_beside(model):
    """A budget that a model keeps with room to grow."""
    latency = scaleprof.measure(model, processes=2).variant("base").measurement.latency_s
    return f"latency<={1e3 * ROOM * latency.p50:.3g}ms"


def row(model, report) -> str:
    if report.selection is None:
        return f"{model}: {report.selection_reason}"
    variant = report.variant(report.selection.variant)
    latency = quantity(variant, "latency", batch=report.context.batch)
    return ROW.format(
        model,
        f"{variant.recipe.strategy} ×{variant.recipe.achieved_multiplier or 1:.2f}",
        f"{variant.cost.params / 1e6:.1f}",
        f"{variant.cost.macs / 1e6:.0f}",
        f"{1e3 * latency.value:.1f}{mark(variant)}" if latency else "?",
        f"{variant.accuracy.mean:.1f}" if variant.accuracy else "?",
        kernels_of(variant),
    )


def mark(variant) -> str:
    if variant.measurement is None:
        return "~"
    return "*" if variant.measurement.contended else ""


def kernels_of(variant) -> str:
    used = variant.measurement.kernels if variant.measurement else None
    if used is None:
        return ""
    share = "" if used.share is None else f" ({used.share:.0%} of its time)"
    return ", ".join(f"{calls} {name}" for name, calls in used.calls.items()) + share


if __name__ == "__main__":
    main()
