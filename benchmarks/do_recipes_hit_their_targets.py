"""Do recipes have the compute they were asked for, and do their pasted calls build them?

For models of timm and torchvision, eight strategies are resolved at four compute multipliers (0.5,
2, 4, 8). Counted are models for which ``w``, ``dwr`` and ``dWr`` come within 5 % of the compute,
and the time from a model's name to all 32 variants. Then the printed calls of the base and of three
variants are executed in an interpreter that knows nothing else, and shapes of parameters and FLOPs
compared.

Usage: ``do_recipes_hit_their_targets.py [MODEL...]``; without models, one of every timm module and
torchvision's classifiers.
"""

import json
import subprocess
import sys
import tempfile
import time
from statistics import median

from which_models_have_which_knobs import timm_models, torchvision_classifiers

from scaleprof.errors import RecipeError
from scaleprof.jobs._count import model_inputs
from scaleprof.knobs import base_variant, find_knobs, resolve_strategy
from scaleprof.models import build_module, call_of, parse_reference, resolve_model
from scaleprof.records import Variant
from scaleprof.scaling import AXES, STRATEGIES

MULTIPLIERS = (0.5, 2.0, 4.0, 8.0)
HELD_TO_TARGET = ("w", "dwr", "dWr")
TOLERANCE = 0.05
# base, wider, deeper and both with resolution
PASTED = (("w", 2.0), ("d", 2.0), ("dwr", 4.0))

_PASTE = """
import json, sys
import scaleprof, torch
results = []
for pasted in json.load(open(sys.argv[1])):
    try:
        space = {}
        with torch.device("meta"):
            exec("\\n".join([*pasted["imports"], "model = " + pasted["call"]]), space)
        shapes = sorted((n, tuple(p.shape)) for n, p in space["model"].named_parameters())
        with torch.no_grad():
            space["model"].eval()(torch.empty(pasted["shape"], device="meta"))
        size = "x".join(map(str, pasted["shape"][1:]))
        results.append([repr(shapes), scaleprof.count(space["model"], inputs=[size]).macs])
    except Exception as error:
        results.append([f"{type(error).__name__}: {error}", None])
json.dump(results, sys.stdout)
"""


def main() -> None:
    names = sys.argv[1:] or [*timm_models(), *torchvision_classifiers()]
    seconds, hits, pasted = [], [], []
    for name in names:
        started = time.perf_counter()
        try:
            variants, misses = resolve_all(name)
        except Exception as error:  # any model may fail in any way
            print(f"{name}: failed: {type(error).__name__}: {str(error)[:100]}", flush=True)
            hits.append(False)
            continue
        seconds.append(time.perf_counter() - started)
        hits.append(not misses)
        same = paste(variants)
        pasted += same.items()
        wrong = [label for label, ok in same.items() if not ok]
        print(
            f"{name}: {seconds[-1]:.2f} s; "
            f"{'misses ' + ', '.join(misses) if misses else 'on target'}; "
            f"{'pasted differently: ' + ', '.join(wrong) if wrong else f'{len(same)} pasted'}",
            flush=True,
        )
    bases = [ok for label, ok in pasted if label == "base"]
    scaled = [ok for label, ok in pasted if label != "base"]
    print(
        f"{len(names)} models. From name to 32 variants: median {median(seconds):.2f} s, "
        f"longest {max(seconds):.1f} s. Within 5 % of the compute: {sum(hits)} "
        f"({sum(hits) / len(names):.0%}). Pasted calls that build the same: {sum(bases)} of "
        f"{len(bases)} bases, {sum(scaled)} of {len(scaled)} variants."
    )


def resolve_all(name: str) -> tuple[dict[str, Variant], list[str]]:
    """The variants to paste, and which of the strategies miss their compute by how much."""
    reference = parse_reference(name)
    resolved = resolve_model(reference)
    knobs = find_knobs(name, resolved, model_inputs(reference, resolved, (), 1))
    variants, misses = {"base": base_variant(knobs)}, []
    for strategy in STRATEGIES:
        for multiplier in MULTIPLIERS:
            try:
                variant = resolve_strategy(knobs, strategy, multiplier, axes=AXES)
            except RecipeError as error:
                if strategy in HELD_TO_TARGET:
                    misses.append(f"{strategy} ×{multiplier:g} ({str(error)[-90:]})")
                continue
            got = (variant.recipe.achieved_multiplier or 0.0) / multiplier
            if strategy in HELD_TO_TARGET and abs(got - 1) > TOLERANCE:
                misses.append(f"{strategy} ×{multiplier:g} (×{got * multiplier:.2f})")
            if (strategy, multiplier) in PASTED:
                variants[f"{strategy} ×{multiplier:g}"] = variant
    return variants, misses


def paste(variants: dict[str, Variant]) -> dict[str, bool]:
    """Execute the calls in a fresh interpreter; tell which build what the recipe built."""
    calls = [
        {"imports": v.recipe.imports, "call": v.recipe.call, "shape": v.cost.input_shape}
        for v in variants.values()
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(json.dumps(calls))
        file.flush()
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _PASTE, file.name],
            check=False,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        return dict.fromkeys(variants, False)
    results = json.loads(done.stdout)
    return {
        label: same(variant, *result)
        for (label, variant), result in zip(variants.items(), results, strict=True)
    }


def same(variant: Variant, shapes: str, macs: int | None) -> bool:
    """Compare with what the recipe's own arguments build, and with what was counted of it."""
    module = build_module(call_of(variant.recipe), meta=True)
    own = repr(sorted((n, tuple(p.shape)) for n, p in module.named_parameters()))
    if macs is None or own != shapes:
        print(f"    {variant.recipe.call[:150]}: {shapes[:150] if macs is None else 'shapes'}")
        return False
    return macs == variant.cost.macs


if __name__ == "__main__":
    main()
