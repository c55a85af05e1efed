"""What do LSNet, UniRepLKNet and a timm family offer under one budget?

    python benchmarks/large_kernel_families_under_one_budget.py --budget 'latency<=60ms'

Profiles each on the device that is there and prints one table; on a GPU our kernels run where they
can. Latencies that others disturbed are marked `*`. Needs timm.
"""

import argparse

import scaleprof

MODELS = ("lsnet_t", "unireplknet_a", "timm:convnext_atto")
ROW = "{:20s} {:12s} {:>9s} {:>9s} {:>10s} {:>7s}  {}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--budget", default="latency<=60ms", help="bound that all must hold")
    parser.add_argument("--seconds", type=float, default=60.0, help="time limit of each profile")
    options = parser.parse_args()
    print(ROW.format("model", "recipe", "params M", "MACs M", "latency ms", "top-1", "kernels"))
    for model in MODELS:
        report = scaleprof.profile(
            model,
            budgets=[options.budget],
            strategies=["w", "dwr"],
            multipliers=[0.5, 2.0],
            time_limit=options.seconds,
        )
        print(row(model, report), flush=True)


def row(model, report) -> str:
    if report.selection is None:
        return f"{model}: {report.selection_reason}"
    variant = report.variant(report.selection.variant)
    measured, recipe = variant.measurement, variant.recipe
    used = measured.kernels
    share = "" if used.share is None else f" ({used.share:.0%} of its time)"
    return ROW.format(
        model,
        f"{recipe.strategy} ×{recipe.achieved_multiplier:.2f}",
        f"{variant.cost.params / 1e6:.1f}",
        f"{variant.cost.macs / 1e6:.0f}",
        f"{1e3 * measured.latency_s.p50:.1f}{'*' if measured.contended else ''}",
        f"{variant.accuracy.mean:.1f}",
        ", ".join(f"{calls} {name}" for name, calls in used.calls.items()) + share,
    )


if __name__ == "__main__":
    main()
