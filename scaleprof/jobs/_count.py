"""Jobs that count models."""

import msgspec
import torch

from ..costs import count_module, fvcore_comparison
from ..errors import ModelError
from ..models import (
    Reference,
    ResolvedModel,
    build_module,
    matching_models,
    resolve_model,
    with_dtype,
)
from ..records import Comparison, Cost, CountedModel, InputSpec
from ._requests import BuildRequest, CountRequest, ListRequest, ModelList


def list_models(request: ListRequest) -> ModelList:
    """List the models that a pattern stands for."""
    return ModelList(models=tuple(matching_models(request.pattern)))


def count_reference(request: CountRequest) -> CountedModel:
    """Build a model on the meta device and count it."""
    resolved = resolve_model(request.reference)
    inputs = model_inputs(request.reference, resolved, request.inputs, request.batch)
    module = build_module(resolved.call, meta=True).to(getattr(torch, request.dtype))
    inputs = with_dtype(inputs, request.dtype)
    cost = count_module(module, inputs, module_depth=request.module_depth)
    return _counted(request.reference, cost)


def compare_counts(request: CountRequest) -> Comparison:
    """Count a model, and set fvcore's count of it beside ours."""
    resolved = resolve_model(request.reference)
    inputs = model_inputs(request.reference, resolved, request.inputs, request.batch)
    if any(spec.name is not None for spec in inputs):
        raise ModelError(
            "fvcore takes inputs by position only", hint="leave the names of --input out"
        )
    module = build_module(resolved.call)
    cost = count_module(module, inputs, module_depth=request.module_depth)
    return Comparison(
        counted=_counted(request.reference, cost),
        against="fvcore",
        operators=fvcore_comparison(module, inputs, cost),
    )


def check_build(request: BuildRequest) -> Cost:
    """Build the call of a recipe and count it."""
    module = build_module(request.call, meta=True, trust=request.trust)
    if request.dtype is not None:
        module = module.to(getattr(torch, request.dtype))
    return count_module(module, request.inputs, module_depth=request.module_depth)


def model_inputs(
    reference: Reference, resolved: ResolvedModel, given: tuple[InputSpec, ...], batch: int
) -> tuple[InputSpec, ...]:
    """Return the inputs a user gave, or else what the model was made for.

    Raises:
        ModelError: If there are neither.
    """
    if given:
        return given
    inputs = _first_that_runs(reference, resolved)
    if not inputs:
        raise ModelError(
            f"`{reference.text}` does not say what its input is",
            hint="pass --input 3x224x224 (sizes without the batch)",
        )
    return tuple(msgspec.structs.replace(s, shape=(batch, *s.shape[1:])) for s in inputs)


def _first_that_runs(reference: Reference, resolved: ResolvedModel) -> tuple[InputSpec, ...]:
    """What a model may be called with; where there is a choice, what its forward pass takes."""
    if not resolved.other_inputs:
        return resolved.inputs
    module = build_module(resolved.call, meta=True)
    refusals = []
    for inputs in (resolved.inputs, *resolved.other_inputs):
        try:
            count_module(module, inputs)
        except Exception as error:  # a model says in its own way what it misses
            refusals.append(" ".join(str(error).split())[:200])
        else:
            return inputs
    raise ModelError(
        f"`{reference.text}` runs on none of the inputs that models of its kind take; with the "
        f"first it says: {refusals[0]}",
        hint="pass --input name=3x224x224 for each of its inputs (sizes without the batch)",
    )


def _counted(reference: Reference, cost: Cost) -> CountedModel:
    return CountedModel(model=reference.text, **msgspec.structs.asdict(cost))
