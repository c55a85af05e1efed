"""Jobs that find knobs and resolve recipes."""

from ..errors import RecipeError
from ..knobs import Arguments, Knobs, base_variant, find_knobs, resolve_strategy
from ..models import resolve_model, with_dtype
from ._count import model_inputs
from ._requests import KnobsReply, KnobsRequest, ScaleReply, ScaleRequest


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
    )


def resolve(request: ScaleRequest) -> ScaleReply:
    """Resolve one strategy at several multipliers."""
    reply = request.knobs
    knobs = Knobs(
        model=request.model,
        call=reply.call,
        arguments=Arguments(reply.arguments, reply.callables),
        inputs=reply.inputs,
        axes=reply.axes,
        cost=reply.cost,
        dtype=request.dtype,
    )
    variants, skipped = [], []
    for multiplier in request.multipliers:
        try:
            variants.append(
                resolve_strategy(knobs, request.strategy, multiplier, axes=request.axes)
            )
        except RecipeError as error:
            skipped.append(str(error))
    return ScaleReply(variants=tuple(variants), skipped=tuple(dict.fromkeys(skipped)))
