"""Jobs that find knobs and resolve recipes."""

from ..errors import RecipeError
from ..knobs import (
    Arguments,
    Knobs,
    base_variant,
    find_knobs,
    resolve_factors,
    resolve_strategy,
    size_factor,
)
from ..models import own_sources, resolve_model, with_dtype
from ..records import ScaledModel, Variant
from ..scaling import AXES
from ._count import model_inputs
from ._requests import KnobsReply, KnobsRequest, ScaleOneRequest, ScaleReply, ScaleRequest


def probe(request: KnobsRequest) -> KnobsReply:
    """Find the knobs of a model."""
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
        sources=own_sources(resolved.call.target),
    )


def resolve(request: ScaleRequest) -> ScaleReply:
    """Resolve one strategy at several multipliers."""
    knobs = _knobs(request)
    variants, skipped = [], []
    for multiplier in request.multipliers:
        try:
            variants.append(
                resolve_strategy(knobs, request.strategy, multiplier, axes=request.axes)
            )
        except RecipeError as error:
            skipped.append(str(error))
    return ScaleReply(variants=tuple(variants), skipped=tuple(dict.fromkeys(skipped)))


def resolve_one(request: ScaleOneRequest) -> ScaledModel:
    """Resolve one variant of a model."""
    variant = _one(_knobs(request), request)
    return ScaledModel(model=request.model, recipe=variant.recipe, cost=variant.cost)


def _knobs(request: ScaleRequest | ScaleOneRequest) -> Knobs:
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
