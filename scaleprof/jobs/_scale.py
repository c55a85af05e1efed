"""Jobs that find knobs and resolve recipes."""

import sys
from pathlib import Path
from typing import Any

import torch

from ..costs import training_peak_bytes
from ..errors import RecipeError
from ..knobs import (
    Arguments,
    Knobs,
    base_variant,
    find_knobs,
    resolve_factors,
    resolve_strategy,
    size_factor,
    with_other_sizes,
)
from ..models import (
    build_module,
    call_of,
    is_installed_file,
    own_sources,
    resolve_model,
    with_dtype,
)
from ..records import ScaledModel, Variant, replace
from ..scaling import AXES
from ._count import model_inputs
from ._requests import (
    KnobsReply,
    KnobsRequest,
    OfKnobs,
    PlanReply,
    PlanRequest,
    ScaleOneRequest,
    ScaleReply,
    ScaleRequest,
)

# what the worker server has imported for all jobs
_BEFORE = frozenset(sys.modules)


def probe(request: KnobsRequest) -> KnobsReply:
    """Find the knobs of a model."""
    opened = _opened_files()
    resolved = resolve_model(request.reference)
    inputs = model_inputs(request.reference, resolved, request.inputs, request.batch)
    knobs = find_knobs(
        request.reference.text, resolved, with_dtype(inputs, request.dtype), dtype=request.dtype
    )
    return KnobsReply(
        call=knobs.call,
        inputs=knobs.inputs,
        axes=knobs.axes,
        cost=knobs.cost,
        arguments=knobs.arguments.values,
        callables=knobs.arguments.callables,
        library=resolved.library,
        base=base_variant(knobs),
        sources=tuple(sorted({*own_sources(_BEFORE), *opened})),
    )


def _is_no_data(path: Path) -> bool:
    """Tell files of libraries, of scaleprof, and of the system, which change by themselves."""
    ours = Path(__file__).resolve().parents[1]
    return is_installed_file(path) or any(
        path.is_relative_to(folder) for folder in (ours, "/proc", "/sys", "/dev")
    )


def _opened_files() -> set[str]:
    """Files of the user's that are opened from now on, such as a constructor's own data."""
    opened: set[str] = set()

    def note(event: str, args: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(args[0], str):
            return
        path = Path(args[0]).resolve()
        if path.suffix != ".pyc" and path.is_file() and not _is_no_data(path):
            opened.add(str(path))

    sys.addaudithook(note)
    return opened


def resolve(request: ScaleRequest) -> ScaleReply:
    """Resolve one strategy at several multipliers."""
    knobs = knobs_of(request)
    variants = list(with_other_sizes(knobs, base_variant(knobs), request.axes))
    skipped = []
    for multiplier in request.multipliers:
        try:
            variant = resolve_strategy(knobs, request.strategy, multiplier, axes=request.axes)
            variants += [variant, *with_other_sizes(knobs, variant, request.axes)]
        except RecipeError as error:
            skipped.append(str(error))
    return ScaleReply(variants=tuple(variants), skipped=tuple(dict.fromkeys(skipped)))


def plan_training(request: PlanRequest) -> PlanReply:
    """Put the memory of a training step in the place of that of a forward pass."""
    planned, skipped = [], []
    for variant in request.variants:
        module = build_module(call_of(variant.recipe), meta=True)
        try:
            peak = training_peak_bytes(
                module.to(getattr(torch, request.dtype)), variant.cost.inputs
            )
        except Exception as error:  # a model may be made for inference only
            skipped.append(f"{variant.recipe.call}: cannot be trained: {error}"[:300])
        else:
            planned.append(replace(variant, cost=replace(variant.cost, peak_bytes=peak)))
    return PlanReply(variants=tuple(planned), skipped=tuple(skipped))


def resolve_one(request: ScaleOneRequest) -> ScaledModel:
    """Resolve one variant of a model."""
    variant = _one(knobs_of(request), request)
    return ScaledModel(model=request.model, recipe=variant.recipe, cost=variant.cost)


def knobs_of(request: OfKnobs) -> Knobs:
    """Return the knobs that a request brings along."""
    reply = request.knobs
    return Knobs(
        model=request.model,
        call=reply.call,
        arguments=Arguments(reply.arguments, reply.callables),
        inputs=reply.inputs,
        axes=reply.axes,
        cost=reply.cost,
        dtype=request.dtype,
    )


def _one(knobs: Knobs, request: ScaleOneRequest) -> Variant:
    if request.strategy is not None:
        return resolve_strategy(knobs, request.strategy, request.multiplier, axes=AXES)
    return resolve_factors(
        knobs,
        width=request.width,
        depth=request.depth,
        resolution=_resolution_factor(knobs, request.resolution),
        settings=request.settings,
    )


def _resolution_factor(knobs: Knobs, pixels: int | None) -> float:
    if pixels is None:
        return 1.0
    old = knobs.input_sizes()
    return size_factor(old, [pixels * size // old[-1] for size in old]) if old else 1.0
