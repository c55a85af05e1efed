"""Turn factors into constructor calls that build, as near to the target compute as rounding allows.

Coarse axes are rounded first (resolution, then depth); a finer one that the strategy also scales
takes up what they leave. Factors before rounding are *nominal*; those of the model that was built,
and its counted compute, are *achieved*.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..costs import count_module
from ..errors import RecipeError
from ..models import ConstructorCall, build_module, render, variant_id
from ..records import Cost, InputSpec, Recipe, Variant
from ..scaling import ScalingFactors, strategy_factors
from ._knobs import Knobs
from ._numbers import mean_ratio
from ._probe import cast
from ._values import depth_values, input_values, width_values

# width may take up what coarser axes lose, but not change the strategy's proportions by more
MAX_COMPENSATION = 1.15
# rounded widths whose compute misses the target are corrected at most so often
MAX_CORRECTIONS = 4
# close enough to the target compute to stop looking
GOOD_ENOUGH = 0.02
# coarser roundings, which need not be multiples of 8, are tried where finer ones miss by more
ACCEPTABLE = 0.15

# further than this from the target, as |log| of compute, a variant is not that recipe any more
TOO_COARSE = 0.35
# of roundings that build, so many are compared at most
_MAX_ROUNDINGS = 6
# roundings whose mean distances from the factor differ by less are equally near
_EQUALLY_NEAR = 0.03


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
    if _miss(knobs, best, multiplier) > TOO_COARSE:
        got = best.cost.macs / max(knobs.cost.macs, 1)
        raise RecipeError(
            f"strategy {strategy} at multiplier {multiplier:g}: the nearest that builds, "
            f"{got:.2f}, is too far off"
        )
    return _variant(knobs, strategy, multiplier, nominal, best)


def resolve_factors(
    knobs: Knobs,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    resolution: float = 1.0,
    settings: Mapping[str, Any] | None = None,
) -> Variant:
    """Resolve a factor per axis to a variant that builds and runs, each rounded to the nearest.

    Args:
        knobs: The model's knobs.
        width: Factor of channel counts.
        depth: Factor of the number of blocks.
        resolution: Factor of the input's size.
        settings: Arguments to set besides, as JSON values; they go before what factors say.

    Raises:
        RecipeError: If a factor is not positive, the model lacks an axis whose factor is not one,
            or no rounding builds.

    Returns:
        The variant with its counted cost.
    """
    nominal = {"depth": depth, "width": width, "resolution": resolution}
    for axis, factor in nominal.items():
        if not (factor > 0 and math.isfinite(factor)):
            raise RecipeError(f"the factor of {axis} must be positive, got {factor:g}")
        if factor != 1.0 and knobs.axes[axis].status == "none":
            raise RecipeError(f"cannot scale {axis}: {knobs.axes[axis].reason}")
    factors = ScalingFactors(depth=depth, width=width, resolution=resolution)
    for rest in _rests(knobs, factors, takes_up=False):
        whole = msgspec.structs.replace(rest, settings=dict(settings or {}))
        attempts = itertools.islice(_nearest_widths(knobs, whole, width), _MAX_ROUNDINGS)
        best = _nearest_attempt(knobs, attempts, _predicted(knobs, nominal))
        if best is not None:
            return _variant(knobs, "custom", factors.flops_multiplier, nominal, best)
    asked = ", ".join(f"{axis} ×{factor:g}" for axis, factor in nominal.items() if factor != 1.0)
    raise RecipeError(f"no rounding of {asked or 'these settings'} builds and runs")


def _predicted(knobs: Knobs, nominal: Mapping[str, float]) -> float:
    """Compute over that of the base, by the exponents that probing found."""
    powers = [
        factor ** (knobs.axes[axis].flops_exponent or 1.0)
        for axis, factor in nominal.items()
        if factor != 1.0
    ]
    return float(math.prod(powers))


def _nearest_attempt(
    knobs: Knobs, attempts: Iterator[_Attempt], multiplier: float
) -> _Attempt | None:
    """The first attempt near the predicted compute, or else the nearest: models round too."""
    best: _Attempt | None = None
    for attempt in attempts:
        if best is None or _miss(knobs, attempt, multiplier) < _miss(knobs, best, multiplier):
            best = attempt
        if _miss(knobs, best, multiplier) < ACCEPTABLE:
            break
    return best


def _nearest_widths(knobs: Knobs, rest: "_Rest", width: float) -> Iterator[_Attempt]:
    if width == 1.0:
        if attempt := _try(knobs, rest, {}, width=1.0):
            yield attempt
        return
    ways = [width_values(knobs, width, rounding=0)]
    while ways[-1]:
        ways.append(width_values(knobs, width, rounding=len(ways)))
    # stable: among equals, the ones that are tried first
    tried: list[Mapping[str, Sequence[float]]] = []
    for widths in sorted(ways[:-1], key=lambda way: _deviation(knobs, way, width)):
        if widths in tried:
            continue
        tried.append(widths)
        if attempt := _try_width(knobs, rest, widths):
            yield attempt


def _deviation(knobs: Knobs, widths: Mapping[str, Sequence[float]], factor: float) -> float:
    """Mean distance of rounded counts from the factor, as a log, in steps of 3 %."""
    groups = knobs.groups()
    ratios = [
        abs(math.log(new / (factor * old)))
        for name, values in widths.items()
        for new, old in zip(values, groups[name].values, strict=True)
        if new > 0 and old > 0
    ]
    return round(sum(ratios) / len(ratios) / _EQUALLY_NEAR) if ratios else 0


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
    # without width to take it up, depth takes up what rounding the resolution lost
    takes_up = "d" in strategy and not has_width
    for rest in _rests(knobs, factors, takes_up=takes_up):
        built = False
        for attempt in _finished(knobs, rest, factors, target, has_width=has_width):
            built = True
            yield attempt
        if built:
            return


def _finished(
    knobs: Knobs, rest: "_Rest", factors: ScalingFactors, target: float, *, has_width: bool
) -> Iterator[_Attempt]:
    if has_width:
        wanted = _clamp(math.sqrt(target / (rest.depth * rest.resolution**2)), factors.width)
        yield from _widths(knobs, rest, wanted, target)
    elif attempt := _try(knobs, rest, {}, width=1.0):
        yield attempt


def _clamp(value: float, around: float) -> float:
    return min(max(value, around / MAX_COMPENSATION), around * MAX_COMPENSATION)


class _Rest(msgspec.Struct, frozen=True, kw_only=True):
    """What is settled before width: other values, the inputs, and their factors."""

    new: Mapping[str, Sequence[float]]
    inputs: tuple[InputSpec, ...]
    depth: float
    resolution: float
    settings: dict[str, Any] = {}


def _rests(knobs: Knobs, factors: ScalingFactors, *, takes_up: bool) -> Iterator[_Rest]:
    """Resolutions and depths to try, the nearest rounding first."""
    for image in input_values(knobs, factors.resolution):
        left = factors.flops_multiplier / image.factor**2
        for depth in depth_values(knobs, left if takes_up else factors.depth):
            yield _Rest(
                new={**image.new, **depth.new},
                inputs=image.inputs,
                depth=depth.factor,
                resolution=image.factor,
            )


def _widths(knobs: Knobs, rest: _Rest, wanted: float, target: float) -> Iterator[_Attempt]:
    """Try roundings of channels from fine to coarse until one builds."""
    tried: list[Mapping[str, Sequence[float]]] = []
    for rounding in itertools.count():
        widths = width_values(knobs, wanted, rounding=rounding)
        if not widths:
            return
        if widths in tried:
            continue
        tried.append(widths)
        near = False
        for attempt in _corrected(knobs, rest, wanted, target, rounding=rounding):
            near = near or _miss(knobs, attempt, target) < ACCEPTABLE
            yield attempt
        if near:
            return


def _corrected(
    knobs: Knobs, rest: _Rest, wanted: float, target: float, *, rounding: int
) -> Iterator[_Attempt]:
    """Round the width, and again with the factor corrected by the compute that was missed."""
    exponent = knobs.axes["width"].flops_exponent or 2.0
    factor, tried = wanted, list[Any]()
    for _ in range(MAX_CORRECTIONS):
        widths = width_values(knobs, factor, rounding=rounding)
        attempt = None if widths in tried else _try_width(knobs, rest, widths)
        if attempt is None:
            return
        yield attempt
        tried.append(widths)
        off = target * knobs.cost.macs / attempt.cost.macs
        factor = _clamp(factor * off ** (1 / exponent), wanted)


def _try_width(knobs: Knobs, rest: _Rest, widths: Mapping[str, Sequence[float]]) -> _Attempt | None:
    groups = knobs.groups()
    # what is scaled along to stay legal is not the width itself
    names = [name for name in widths if name in knobs.axes["width"].arguments]
    old = tuple(groups[name].values for name in names)
    achieved = mean_ratio(tuple(tuple(widths[name]) for name in names), old)
    return _try(knobs, rest, widths, width=achieved)


def _try(
    knobs: Knobs, rest: _Rest, widths: Mapping[str, Sequence[float]], *, width: float
) -> _Attempt | None:
    try:
        settled = msgspec.structs.replace(knobs, call=knobs.call.override(rest.settings))
        call = settled.turned({**rest.new, **widths})
        module = cast(build_module(call, meta=True), knobs.dtype)
        cost = count_module(module, rest.inputs)
    except Exception:  # the trial may raise whatever a constructor raises; that is its answer
        return None
    achieved = {"depth": rest.depth, "width": width, "resolution": rest.resolution}
    return _Attempt(call=call, inputs=rest.inputs, achieved=achieved, cost=cost)


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
