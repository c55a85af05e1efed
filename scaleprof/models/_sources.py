"""Turn a model reference into a constructor call and the input the model was made for."""

import difflib
import fnmatch
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ..errors import MissingExtraError, ModelError
from ..records import InputSpec
from ._calls import ConstructorCall, encode_arguments
from ._declared import Declaration, declaration_of
from ._imports import import_target, target_of
from ._inputs import parse_inputs
from ._own import OWN_MODELS
from ._reference import OWN, Reference

# arguments that load weights: scaleprof counts and times architectures, and stays offline
_WEIGHT_ARGUMENTS = ("pretrained", "weights", "checkpoint_path", "weights_backbone")
# pixels along a side of the images that our own families are made for
_OWN_SIZE = 224


class ResolvedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be built.

    Attributes:
        call: What builds it.
        inputs: What it is called with, if the source knows.
        other_inputs: What else it may be called with, in the order to try.
        declared: Its knobs, where its author says which they are.
        library: Distribution it comes from, or None for a file.
    """

    call: ConstructorCall
    inputs: tuple[InputSpec, ...]
    other_inputs: tuple[tuple[InputSpec, ...], ...] = ()
    declared: Declaration | None = None
    library: str | None


def resolve_model(reference: Reference) -> ResolvedModel:
    """Find the constructor that a reference names.

    Raises:
        ModelError: If there is no such model, or it needs arguments that were not given.
        MissingExtraError: If the package it comes from is not installed.
    """
    weights = [name for name in _WEIGHT_ARGUMENTS if reference.arguments.get(name)]
    if weights:
        raise ModelError(
            f"`{reference.text}` asks for weights (`{weights[0]}`), which are never loaded",
            hint=f"leave `{weights[0]}` out: cost and latency do not depend on the weights",
        )
    find = {
        "timm": _timm_model,
        "torchvision": _torchvision_model,
        "hf": _transformers_model,
        "diffusers": _diffusers_model,
        OWN: _own_model,
    }.get(reference.source)
    resolved = find(reference) if find else _callable_model(reference)
    constructor = None if find else import_target(resolved.call.target)
    declared = declaration_of(f"{reference.source}:{reference.name}", constructor)
    if declared is None:
        return resolved
    inputs = resolved.inputs or parse_inputs(declared.inputs)
    return msgspec.structs.replace(resolved, declared=declared, inputs=inputs)


def matching_models(pattern: str) -> list[str]:
    """List the references that a pattern such as ``timm:*`` or ``timm:resnet*`` stands for.

    Raises:
        ModelError: If nothing matches, or the source has no list of models.
    """
    source, _, name = pattern.partition(":")
    if source == "timm":
        found = _import_timm().list_models(name)
    elif source == "torchvision":
        models = _import_extra("torchvision.models", "torchvision")
        found = fnmatch.filter(models.list_models(module=models), name)
    else:
        raise ModelError(f"`{pattern}`: only timm and torchvision list their models")
    if not found:
        raise ModelError(f"no model matches `{pattern}`", hint=f"list them with '{source}:*'")
    return [f"{source}:{name}" for name in found]


def _import_extra(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise MissingExtraError(
            f"this model needs the package `{extra}`, which is not installed",
            hint=f"pip install {extra}",
        ) from None


def _import_timm() -> Any:
    return _import_extra("timm", "timm")


def _unknown(text: str, name: str, known: Sequence[str]) -> ModelError:
    nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
    return ModelError(f"there is no model `{text}`", hint=f"did you mean {_either(nearest)}?")


def _either(names: Sequence[str]) -> str:
    return " or ".join(", ".join(names).rsplit(", ", 1))


def _timm_model(reference: Reference) -> ResolvedModel:
    timm = _import_timm()
    architecture, _, tag = reference.name.partition(".")
    if not timm.is_model(architecture):
        raise _unknown(reference.text, architecture, timm.list_models())
    tags = timm.list_models(f"{architecture}.*", pretrained=True) if tag else []
    if tag and reference.name not in tags:
        raise _unknown(reference.text, reference.name, tags or [architecture])
    arguments, callables = encode_arguments(reference.arguments)
    call = ConstructorCall(
        target="timm:create_model",
        arguments={"model_name": reference.name, **arguments},
        callables=callables,
    )
    return ResolvedModel(call=call, inputs=_timm_inputs(timm, reference), library="timm")


def _timm_inputs(timm: Any, reference: Reference) -> tuple[InputSpec, ...]:
    config = timm.get_pretrained_cfg(reference.name)
    channels, height, width = config.input_size if config is not None else (3, 224, 224)
    sizes = reference.arguments.get("img_size", (height, width))
    height, width = (sizes, sizes) if isinstance(sizes, int) else sizes
    channels = reference.arguments.get("in_chans", channels)
    return (InputSpec(shape=(1, channels, height, width)),)


def _torchvision_model(reference: Reference) -> ResolvedModel:
    models = _import_extra("torchvision.models", "torchvision")
    try:
        builder = models.get_model_builder(reference.name)
    except ValueError:
        raise _unknown(reference.text, reference.name, models.list_models()) from None
    arguments, callables = encode_arguments(reference.arguments)
    call = ConstructorCall(
        target=target_of(builder),
        arguments=arguments,
        callables=callables,
    )
    size = _torchvision_size(models, reference.name)
    inputs = (InputSpec(shape=(1, 3, size, size)),) if size else ()
    return ResolvedModel(call=call, inputs=inputs, library="torchvision")


def _torchvision_size(models: Any, name: str) -> int | None:
    """Size the published weights were evaluated at, where the model is a classifier.

    Weights that were tuned at a larger size need an argument that says so; the smallest needs none.
    """
    transforms = [weights.transforms for weights in models.get_model_weights(name)]
    crops = [getattr(transform, "keywords", {}).get("crop_size") for transform in transforms]
    return min((int(crop) for crop in crops if crop), default=None)


def _transformers_model(reference: Reference) -> ResolvedModel:
    from ._transformers import transformers_call

    call, sets = transformers_call(reference)
    first, *others = sets or [()]
    return ResolvedModel(
        call=call, inputs=first, other_inputs=tuple(others), library="transformers"
    )


def _diffusers_model(reference: Reference) -> ResolvedModel:
    from ._diffusers import diffusers_inputs

    diffusers = _import_extra("diffusers", "diffusers")
    network = getattr(diffusers, reference.name, None)
    if not (inspect.isclass(network) and issubclass(network, diffusers.ModelMixin)):
        known = [n for n in dir(diffusers) if n.endswith(("Model", "2D", "3D", "KL"))]
        raise _unknown(reference.text, reference.name, known)
    resolved = _callable_model(reference)
    first, *others = diffusers_inputs(network, reference.arguments)
    return msgspec.structs.replace(resolved, inputs=first, other_inputs=tuple(others))


def _own_model(reference: Reference) -> ResolvedModel:
    """One of our own families, in its form for inference unless that is switched off."""
    target = OWN_MODELS[reference.name]
    arguments, callables = encode_arguments({"deploy": True, **reference.arguments})
    call = ConstructorCall(target=target, arguments=arguments, callables=callables)
    sizes = reference.arguments.get("img_size", _OWN_SIZE)
    height, width = (sizes, sizes) if isinstance(sizes, int) else sizes
    channels = reference.arguments.get("in_chans", 3)
    inputs = (InputSpec(shape=(1, channels, height, width)),)
    return ResolvedModel(call=call, inputs=inputs, library="scaleprof")


def _callable_model(reference: Reference) -> ResolvedModel:
    target = f"{reference.source}:{reference.name}"
    constructor = import_target(target)
    if not callable(constructor):
        raise ModelError(f"`{reference.text}` is not a class or function")
    _check_arguments(reference, constructor)
    arguments, callables = encode_arguments(reference.arguments)
    call = ConstructorCall(target=target, arguments=arguments, callables=callables)
    package = reference.source.split(".")[0]
    library = None if reference.source.endswith(".py") else package
    return ResolvedModel(call=call, inputs=(), library=library)


def _check_arguments(reference: Reference, constructor: Callable[..., Any]) -> None:
    try:
        signature = inspect.signature(constructor)
    except (TypeError, ValueError):
        return
    missing = [name for name, p in signature.parameters.items() if _required(p)]
    missing = [name for name in missing if name not in reference.arguments]
    if missing:
        raise ModelError(
            f"`{reference.text}` needs arguments that were not given: {', '.join(missing)}",
            hint=f"write {reference.source}:{reference.name}({missing[0]}=…)",
        )
    _check_known(reference, signature.parameters)


def _required(parameter: inspect.Parameter) -> bool:
    variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and not variadic


def _check_known(reference: Reference, parameters: Mapping[str, inspect.Parameter]) -> None:
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    unknown = [name for name in reference.arguments if name not in parameters]
    if unknown:
        raise ModelError(
            f"`{reference.source}:{reference.name}` has no argument `{unknown[0]}`",
            hint=f"it takes {', '.join(parameters) or 'none'}",
        )
