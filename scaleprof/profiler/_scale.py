"""Find the knobs of one model, or resolve one variant of it, in a worker."""

import ast
from collections.abc import Sequence
from typing import Any

import msgspec

from ..errors import RecipeError
from ..jobs import SCALE_ONE, ScaleOneRequest
from ..records import FoundKnobs, ScaledModel
from ..workers import expect
from ._cache import Cache
from ._crew import Crew, libraries_of
from ._probing import knobs_request, probe_knobs


def find_knobs_of(
    model: str,
    *,
    inputs: Sequence[str] = (),
    batch: int = 1,
    dtype: str = "float32",
    fresh: bool = False,
) -> FoundKnobs:
    """Find the knobs of a model.

    Raises:
        ScaleprofError: If there is no such model, or it fails to build or to run on the input.
    """
    request = knobs_request(model, inputs=inputs, batch=batch, dtype=dtype)
    with Crew(libraries_of([request.reference]), cache=Cache(fresh=fresh)) as crew:
        return FoundKnobs(model=model, axes=probe_knobs(crew, request).axes)


def scale_model(
    model: str,
    *,
    strategy: str | None = None,
    multiplier: float | None = None,
    width: float | None = None,
    depth: float | None = None,
    resolution: int | None = None,
    settings: Sequence[str] = (),
    inputs: Sequence[str] = (),
    batch: int = 1,
    dtype: str = "float32",
    fresh: bool = False,
) -> ScaledModel:
    """Resolve one variant of a model, by a strategy or by factors.

    Raises:
        RecipeError: If both or neither are given, or nothing that they ask for builds.
        ScaleprofError: If there is no such model, or it fails to build or to run on the input.
    """
    by_hand = bool(settings) or any(x is not None for x in (width, depth, resolution))
    _check(strategy, multiplier, by_hand=by_hand)
    _check_resolution(resolution)
    values = dict(_setting(text) for text in settings)
    probing = knobs_request(model, inputs=inputs, batch=batch, dtype=dtype)
    with Crew(libraries_of([probing.reference]), cache=Cache(fresh=fresh)) as crew:
        knobs = probe_knobs(crew, probing)
        request = ScaleOneRequest(
            model=model,
            knobs=knobs,
            dtype=dtype,
            strategy=strategy,
            multiplier=1.0 if multiplier is None else multiplier,
            width=1.0 if width is None else width,
            depth=1.0 if depth is None else depth,
            resolution=resolution,
            settings=values,
        )
        outcome = crew.probe(SCALE_ONE, request, ScaledModel, lambda _: knobs.sources)
        return expect(outcome, f"`{model}`")


def _check_resolution(resolution: int | None) -> None:
    if resolution is not None and resolution < 1:
        raise RecipeError(f"the size of the input must be positive, got {resolution}")


def _check(strategy: str | None, multiplier: float | None, *, by_hand: bool) -> None:
    if strategy is not None and by_hand:
        raise RecipeError(
            "a strategy says what every axis does: factors and settings do not go with it",
            hint="leave out --strategy, or --width, --depth, --resolution and --set",
        )
    if (strategy is None) != (multiplier is None):
        raise RecipeError(
            "a strategy and its multiplier go together", hint="write --strategy dWr --multiplier 4"
        )
    if strategy is None and not by_hand:
        raise RecipeError(
            "there is nothing to scale",
            hint="write --strategy dWr --multiplier 4, or --width 1.25 --depth 2",
        )


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    try:
        parsed = ast.literal_eval(value.strip())
    except (SyntaxError, ValueError):
        # a bare word is a string, as it is on any command line
        parsed = value.strip()
    if not equals or not name.strip().isidentifier():
        raise RecipeError(f"`{text}` is not a setting", hint="write --set name=value")
    try:
        msgspec.msgpack.encode(parsed)
    except (TypeError, OverflowError, msgspec.MsgspecError):
        raise RecipeError(
            f"`{text}`: the value is no number of 64 bits, text, list, tuple or mapping of these"
        ) from None
    return name.strip(), parsed
