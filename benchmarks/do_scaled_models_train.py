"""Do scaled variants really run, forward and backward, with weights and data?

Ten variants of each of 40 small models are built on the CPU from their recipes; a batch of two
random inputs goes forward, the mean square of what comes out goes backward. A variant passes if all
of its output and all gradients are finite, and a gradient reaches nearly every weight: those that
one forward pass does not use, such as heads of other tasks, get none in the base either.
"""

import sys
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from scaleprof.errors import RecipeError
from scaleprof.jobs._count import model_inputs
from scaleprof.knobs import base_variant, find_knobs, resolve_strategy
from scaleprof.models import build_module, call_of, parse_inputs, parse_reference, resolve_model
from scaleprof.records import InputSpec, Variant
from scaleprof.scaling import AXES

# at 96 pixels, which they take like any other size
CONVOLUTIONAL = (
    "convnext_atto cs3darknet_focus_s densenet121 dla34 edgenext_xx_small efficientnet_b0 "
    "efficientvit_b0 fastvit_t8 fbnetv3_b ghostnet_100 hardcorenas_a hgnetv2_b0 hrnet_w18_small "
    "lcnet_050 mambaout_femto mobilenetv3_small_050 mobilevit_xxs poolformer_s12 pvt_v2_b0 "
    "regnetx_002 repghostnet_050 resnet18 resnetv2_18 rexnet_100 selecsls42b starnet_s1 "
    "test_byobnet test_nfnet test_resnet"
).split()
# at the size they are made for
OTHERS = (
    "efficientformerv2_s0 efficientvit_m0 levit_128s mixer_s32_224 pit_ti_224 tiny_vit_5m_224 "
    "test_convnext test_mambaout test_vit test_vit2 vit_tiny_patch16_224"
).split()
INPUT = "3x96x96"
RECIPES = (
    *(("w", 0.5), ("w", 2.0), ("d", 0.5), ("d", 2.0), ("r", 0.5)),
    *(("r", 2.0), ("dw", 2.0), ("dwr", 0.5), ("dwr", 2.0), ("dWr", 2.0)),
)
MOST = 0.95


def main() -> None:
    passed = total = 0
    small = [(f"timm:{name}", [INPUT]) for name in CONVOLUTIONAL]
    chosen = [(name, []) for name in sys.argv[1:]]
    for name, inputs in chosen or [*small, *((f"timm:{name}", []) for name in OTHERS)]:
        started = time.perf_counter()
        problems, variants = [], 0
        reached = None
        for label, variant in variants_of(name, inputs):
            share, problem = trained(variant, base=reached)
            if label == "base":
                reached = share
                continue
            variants += 1
            if problem:
                problems.append(f"{label}: {problem}")
        passed, total = passed + variants - len(problems), total + variants
        says = "; ".join(problems) or f"{variants} variants train"
        print(f"{name}: {says} ({time.perf_counter() - started:.0f} s)", flush=True)
    print(f"{passed} of {total} variants run forward and backward")


def variants_of(name: str, inputs: list[str]) -> Iterator[tuple[str, Variant]]:
    reference = parse_reference(name)
    resolved = resolve_model(reference)
    given = parse_inputs(inputs) or model_inputs(reference, resolved, (), 1)
    knobs = find_knobs(name, resolved, given)
    yield "base", base_variant(knobs)
    for strategy, multiplier in RECIPES:
        try:
            yield (
                f"{strategy} ×{multiplier:g}",
                resolve_strategy(knobs, strategy, multiplier, axes=AXES),
            )
        except RecipeError as error:
            print(f"    no recipe: {error}")


def trained(variant: Variant, *, base: float | None) -> tuple[float, str | None]:
    """Share of the weights that a gradient reaches, and what is wrong, if anything is."""
    torch.manual_seed(0)
    try:
        module = build_module(call_of(variant.recipe)).train()
        given = [tensor(spec) for spec in variant.cost.inputs]
        named = {s.name: t for s, t in zip(variant.cost.inputs, given, strict=True) if s.name}
        positional = [t for s, t in zip(variant.cost.inputs, given, strict=True) if not s.name]
        output = module(*positional, **named)
        loss = sum((out.float() ** 2).mean() for out in tensors(output))
        loss.backward()
    except Exception as error:  # whatever a model raises is the answer
        return 0.0, f"{type(error).__name__}: {str(error)[:100]}"
    grads = [parameter.grad for parameter in module.parameters()]
    share = sum(grad is not None for grad in grads) / len(grads)
    if not all(torch.isfinite(grad).all() for grad in grads if grad is not None):
        return share, "a gradient is not finite"
    if not torch.isfinite(loss):
        return share, "its output is not finite"
    if base is not None and share < MOST * base:
        return share, f"a gradient reaches {share:.0%} of its weights, {base:.0%} in the base"
    return share, None


def tensor(spec: InputSpec) -> Tensor:
    shape = (2, *spec.shape[1:])
    if spec.high is not None:
        return torch.randint(spec.high, shape, dtype=getattr(torch, spec.dtype))
    return torch.randn(shape)


def tensors(output: object) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, dict):
        output = list(output.values())
    return [t for item in output for t in tensors(item)] if isinstance(output, list | tuple) else []


if __name__ == "__main__":
    main()
