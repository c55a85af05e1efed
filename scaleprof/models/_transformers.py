"""Models of transformers by their configuration, which is all that building one takes.

A reference names a configuration class (``hf:BertConfig``), a model class
(``hf:BertForSequenceClassification``), or a ``config.json`` on this disk.
"""

import difflib
import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import MissingExtraError, ModelError
from ..records import InputSpec
from ._calls import ConstructorCall, encode_arguments
from ._imports import target_of
from ._reference import Reference

# length of texts, in tokens, where the model takes as many
_LENGTH = 128
# one second of sound, at the rate that speech models hear
_SAMPLES = 16_000
# sizes of images whose configuration does not say
_IMAGE = 224


def transformers_call(
    reference: Reference,
) -> tuple[ConstructorCall, list[tuple[InputSpec, ...]]]:
    """Find the model class and the configuration that a reference names, and inputs to try.

    Raises:
        ModelError: If there is no such configuration, or it refuses its arguments.
        MissingExtraError: If transformers is not installed.
    """
    transformers = _import_transformers()
    transformers.utils.logging.set_verbosity_error()
    model_class, config = _model_and_config(transformers, reference)
    # some configurations insist on lists
    arguments, callables = encode_arguments({"config": config}, keep_lists=True)
    call = ConstructorCall(target=target_of(model_class), arguments=arguments, callables=callables)
    return call, list(_input_sets(model_class, config))


def _import_transformers() -> Any:
    try:
        return importlib.import_module("transformers")
    except ModuleNotFoundError:
        raise MissingExtraError(
            "this model needs the package `transformers`, which is not installed",
            hint="pip install transformers",
        ) from None


def _model_and_config(transformers: Any, reference: Reference) -> tuple[Any, Any]:
    name = reference.name
    if Path(name).exists():
        return _from_file(transformers, reference)
    found: Any = getattr(transformers, name, None) if name.isidentifier() else None
    if _is_a(found, transformers.PretrainedConfig):
        return _base_model(transformers, found, name), _configured(found, reference)
    if _is_a(found, transformers.PreTrainedModel) and found.config_class is not None:
        return found, _configured(found.config_class, reference)
    known = [known for known in dir(transformers) if known.endswith("Config")]
    near = " or ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.0))
    raise ModelError(
        f"`{reference.text}` is neither a configuration nor a model class of transformers, nor a "
        "config.json on this disk",
        hint=f"nothing is downloaded; did you mean {near}?",
    )


def _is_a(found: Any, base: type) -> bool:
    return inspect.isclass(found) and issubclass(found, base)


def _base_model(transformers: Any, config_class: type, name: str) -> Any:
    try:
        found = transformers.MODEL_MAPPING[config_class]
    except KeyError:
        raise ModelError(
            f"transformers builds no model from `{name}` alone",
            hint="name the model class instead: hf:BertForMaskedLM",
        ) from None
    return found[0] if isinstance(found, tuple) else found


def _configured(config_class: Any, reference: Reference) -> Any:
    try:
        return config_class(**reference.arguments)
    except Exception as error:  # validation is the class's own, in whatever way it likes
        raise ModelError(
            f"`{reference.text}`: {config_class.__name__} refuses these arguments: {_line(error)}"
        ) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _from_file(transformers: Any, reference: Reference) -> tuple[Any, Any]:
    path = Path(reference.name)
    path = path / "config.json" if path.is_dir() else path
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        config_class = transformers.CONFIG_MAPPING[fields["model_type"]]
        config = config_class.from_dict(fields | reference.arguments)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"`{path}` is not a configuration of transformers: {type(error).__name__}: {error}",
            hint="it is a JSON file with a `model_type` that transformers knows",
        ) from None
    named = [getattr(transformers, str(name), None) for name in fields.get("architectures") or ()]
    model_class = next((cls for cls in named if cls is not None), None)
    return model_class or _base_model(transformers, config_class, str(path)), config


def _input_sets(model_class: Any, config: Any) -> Iterator[tuple[InputSpec, ...]]:
    """Inputs by what the forward pass calls them, the most complete set first."""
    takes = inspect.signature(model_class.forward).parameters
    texts, decoded = [_tokens("input_ids", config)], [_tokens("decoder_input_ids", config)]
    images = [[spec] for spec in _images(config)] if "pixel_values" in takes else []
    sounds = [
        [spec]
        for name in ("input_features", "input_values")
        if name in takes
        for spec in _sounds(name, config)
    ]
    if "input_ids" in takes:
        for other in (*images, *sounds):
            yield (*texts, *other)
    for main in (*images, *sounds, *([texts] if "input_ids" in takes else [])):
        if "decoder_input_ids" in takes:
            yield (*main, *decoded)
        yield tuple(main)


def _tokens(name: str, config: Any) -> InputSpec:
    text = _part(config, "text_config")
    positions = _number(text, "max_position_embeddings", _LENGTH)
    vocabulary = _number(text, "vocab_size", 2)
    length = min(_LENGTH, positions) if positions > 0 else _LENGTH
    return InputSpec(shape=(1, length), dtype="int64", high=vocabulary, name=name)


def _images(config: Any) -> Iterator[InputSpec]:
    vision = _part(config, "vision_config")
    size = getattr(vision, "image_size", None) or _IMAGE
    height, width = (size, size) if isinstance(size, int) else tuple(size)[:2]
    channels = _number(vision, "num_channels", 3)
    frames = getattr(vision, "num_frames", None)
    if isinstance(frames, int):
        yield InputSpec(shape=(1, frames, channels, height, width), name="pixel_values")
    yield InputSpec(shape=(1, channels, height, width), name="pixel_values")


def _sounds(name: str, config: Any) -> Iterator[InputSpec]:
    """Sound as samples, or as a spectrogram with time last or first."""
    audio = _part(config, "audio_config")
    bins = _number(audio, "num_mel_bins", 80)
    positions = _number(audio, "max_source_positions", _number(audio, "max_length", 1024) // 2)
    if name == "input_values":
        yield InputSpec(shape=(1, _SAMPLES), name=name)
        yield InputSpec(shape=(1, 2 * positions, bins), name=name)
    yield InputSpec(shape=(1, bins, 2 * positions), name=name)
    yield InputSpec(shape=(1, 2 * positions, bins), name=name)
    yield InputSpec(shape=(1, 1, 2 * positions, bins), name=name)


def _part(config: Any, name: str) -> Any:
    return getattr(config, name, None) or config


def _number(config: Any, name: str, default: int) -> int:
    value = getattr(config, name, None)
    return value if isinstance(value, int) else default
