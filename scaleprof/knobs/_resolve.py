"""Turn factors into constructor calls that build, as near to the target compute as rounding allows.

Coarse axes are rounded first (resolution, then depth); a finer one that the strategy also scales
takes up what they leave. Factors before rounding are *nominal*; those of the model that was built,
and its counted compute, are *achieved*.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..costs import count_module
from ..errors import RecipeError
from ..models import ConstructorCall, build_module, render, variant_id
from ..records import Axis, Cost, InputSpec, Recipe, Variant
from ..scaling import ScalingFactors, strategy_factors
from ._numbers import map_numbers, mean_ratio, scale_repeats, scale_widths, sum_ratio
from ._probe import Knobs, cast, scale_input

# strides of convolutional nets multiply to 32, patches and windows of transformers divide it
RESOLUTION_STEP = 32
# multiples of channels: 8 suits vector units; the others are what heads and groups divide
WIDTH_STEPS = (8, 16, 24, 32, 48, 64, 96, 128)
# width may take up what coarser axes lose, but not change the strategy's proportions by more
MAX_COMPENSATION = 1.15
# rounded widths whose compute misses the target are corrected at most so often
MAX_CORRECTIONS = 4
# close enough to the target compute to stop looking
GOOD_ENOUGH = 0.02


class _Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One set of rounded arguments, and what they build."""

    call: ConstructorCall
    inputs: tuple[InputSpec, ...]
    achieved: dict[str, float]
    cost: Cost


def resolve_strategy(
    knobs: Knobs, strategy: str, multiplier: float, *, axes: Sequence[str]
) -> Variant:
    """Resolve a strategy at a compute multiplier to a variant that builds and runs.

    Args:
        knobs: The model's knobs.
        strategy: One of `scaleprof.scaling.STRATEGIES`.
        multiplier: Target FLOPs over those of the base.
        axes: Axes that may be scaled.

    Raises:
        RecipeError: If the strategy needs an axis that the model lacks or that may not be scaled,
            or if no rounding builds.

    Returns:
        The variant with its counted cost.
    """
    factors = strategy_factors(strategy, multiplier)
    nominal = {axis: getattr(factors, axis) for axis in ("depth", "width", "resolution")}
    _check_axes(knobs, strategy, axes)
    best: _Attempt | None = None
    for attempt in _attempts(knobs, strategy, factors):
        if best is None or _miss(knobs, attempt, multiplier) < _miss(knobs, best, multiplier):
            best = attempt
        if _miss(knobs, best, multiplier) < GOOD_ENOUGH:
            break
    if best is None:
        raise RecipeError(
            f"strategy {strategy} at multiplier {multiplier:g}: no rounding of it builds and runs"
        )
    return _variant(knobs, strategy, multiplier, nominal, best)


def base_variant(knobs: Knobs) -> Variant:
    """Return the base as a variant."""
    ones = {"depth": 1.0, "width": 1.0, "resolution": 1.0}
    attempt = _Attempt(call=knobs.call, inputs=knobs.inputs, achieved=ones, cost=knobs.cost)
    return msgspec.structs.replace(_variant(knobs, "base", 1.0, ones, attempt), id="base")


def _check_axes(knobs: Knobs, strategy: str, axes: Sequence[str]) -> None:
    names = {"d": "depth", "w": "width", "W": "width", "r": "resolution"}
    for axis in (names[letter] for letter in strategy):
        if axis not in axes:
            raise RecipeError(f"strategy {strategy} scales {axis}, which --axes leaves out")
        if knobs.axes[axis].status == "none":
            raise RecipeError(f"strategy {strategy} scales {axis}: {knobs.axes[axis].reason}")


def _miss(knobs: Knobs, attempt: _Attempt, multiplier: float) -> float:
    """Distance of the achieved compute from the target, as |log|."""
    return abs(math.log(max(attempt.cost.macs, 1) / (multiplier * max(knobs.cost.macs, 1))))


def _attempts(knobs: Knobs, strategy: str, factors: ScalingFactors) -> Iterator[_Attempt]:
    target = factors.flops_multiplier
    has_width = "w" in strategy.lower()
    inputs, input_changes, r = _resolution(knobs, factors.resolution)
    # without width to take it up, depth takes up what rounding the resolution lost
    takes_up = "d" in strategy and not has_width
    depth_changes, d = _depth(knobs, target / r**2 if takes_up else factors.depth)
    rest = _Rest(changes=input_changes | depth_changes, inputs=inputs, depth=d, resolution=r)
    if has_width:
        wanted = _clamp(math.sqrt(target / (d * r**2)), factors.width)
        yield from _widths(knobs, rest, wanted, target)
    elif attempt := _try(knobs, rest, {}, width=1.0):
        yield attempt


def _clamp(value: float, around: float) -> float:
    return min(max(value, around / MAX_COMPENSATION), around * MAX_COMPENSATION)


class _Rest(msgspec.Struct, frozen=True, kw_only=True):
    """What is settled before width: the other arguments, the inputs, and their factors."""

    changes: dict[str, Any]
    inputs: tuple[InputSpec, ...]
    depth: float
    resolution: float


def _widths(knobs: Knobs, rest: _Rest, wanted: float, target: float) -> Iterator[_Attempt]:
    """Try steps of channels from fine to coarse until one builds."""
    for step in WIDTH_STEPS:
        built = False
        for attempt in _corrected(knobs, rest, wanted, target, step=step):
            built = True
            yield attempt
        if built:
            return


def _corrected(
    knobs: Knobs, rest: _Rest, wanted: float, target: float, *, step: int
) -> Iterator[_Attempt]:
    """Round the width, and again with the factor corrected by the compute that was missed."""
    axis = knobs.axes["width"]
    exponent = axis.flops_exponent or 2.0
    factor, tried = wanted, list[Any]()
    for _ in range(MAX_CORRECTIONS):
        widths = {name: scale_widths(value, factor, step) for name, value in axis.base.items()}
        achieved = mean_ratio(tuple(widths.values()), tuple(axis.base.values()))
        attempt = None if widths in tried else _try(knobs, rest, widths, width=achieved)
        if attempt is None:
            return
        yield attempt
        tried.append(widths)
        off = target * knobs.cost.macs / attempt.cost.macs
        factor = _clamp(factor * off ** (1 / exponent), wanted)


def _try(knobs: Knobs, rest: _Rest, widths: Mapping[str, Any], *, width: float) -> _Attempt | None:
    call = knobs.call.override(rest.changes | dict(widths))
    try:
        module = cast(build_module(call, meta=True), knobs.dtype)
        cost = count_module(module, rest.inputs)
    except Exception:  # the trial may raise whatever a constructor raises; that is its answer
        return None
    achieved = {"depth": rest.depth, "width": width, "resolution": rest.resolution}
    return _Attempt(call=call, inputs=rest.inputs, achieved=achieved, cost=cost)


def _resolution(knobs: Knobs, factor: float) -> tuple[tuple[InputSpec, ...], dict[str, Any], float]:
    axis = knobs.axes["resolution"]
    if axis.status == "none" or factor == 1.0:
        return knobs.inputs, {}, 1.0
    inputs = scale_input(knobs.inputs, factor, RESOLUTION_STEP)
    sizes, old = inputs[0].shape[2:], knobs.inputs[0].shape[2:]
    if sizes == old:
        return knobs.inputs, {}, 1.0
    changes = {
        name: sizes if isinstance(value, list | tuple) else sizes[-1]
        for name, value in axis.base.items()
        if name != "input"
    }
    return inputs, changes, mean_ratio(sizes, old)


def _depth(knobs: Knobs, factor: float) -> tuple[dict[str, Any], float]:
    axis: Axis = knobs.axes["depth"]
    if axis.status == "none" or factor == 1.0:
        return {}, 1.0
    new = {name: scale_repeats(value, factor) for name, value in axis.base.items()}
    same = all(map_numbers(lambda n: n, axis.base[name]) == new[name] for name in new)
    return ({}, 1.0) if same else (new, sum_ratio(tuple(new.values()), tuple(axis.base.values())))


def _variant(
    knobs: Knobs, strategy: str, multiplier: float, nominal: Mapping[str, float], found: _Attempt
) -> Variant:
    imports, call = render(found.call)
    same = found.call == knobs.call and found.inputs == knobs.inputs
    recipe = Recipe(
        strategy=strategy,
        multiplier=multiplier,
        nominal=dict(nominal),
        achieved=found.achieved,
        achieved_multiplier=found.cost.macs / knobs.cost.macs if knobs.cost.macs else None,
        target=found.call.target,
        arguments=found.call.arguments,
        callables=found.call.callables,
        imports=imports,
        call=call,
    )
    identifier = "base" if same else variant_id(found.call, found.inputs)
    return Variant(id=identifier, recipe=recipe, cost=found.cost)
