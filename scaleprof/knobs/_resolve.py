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

from ..errors import RecipeError
from ..models import no_collection, render, variant_id
from ..records import Recipe, Variant
from ..scaling import ScalingFactors, strategy_factors
from ._attempt import Attempt, Rest, attempt_rest, attempt_width, miss, predicted_compute, rests
from ._knobs import Knobs
from ._search import ACCEPTABLE, GOOD_ENOUGH, attempts
from ._ways import Values, ways_to_round

# further than this from the target, as |log| of compute, a variant is not that recipe any more
TOO_COARSE = 0.35
# nor is it what a user asked for with an axis by this factor, as |log|, from where it should be:
# half the depth of stages of one block leaves them, which is just not
FAR_OFF = math.log(2.1)
# of roundings that build, so many are compared at most
_MAX_ROUNDINGS = 6
# roundings whose mean distances from the factor differ by less are equally near
_EQUALLY_NEAR = 0.03


@no_collection()
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
    tried = attempts(knobs, strategy, factors)
    best = _nearest_attempt(knobs, tried, multiplier, enough=GOOD_ENOUGH)
    if best is None:
        raise RecipeError(
            f"strategy {strategy} at multiplier {multiplier:g}: no rounding of it builds and runs"
        )
    if miss(knobs, best, multiplier) > TOO_COARSE:
        got = best.cost.macs / max(knobs.cost.macs, 1)
        raise RecipeError(
            f"strategy {strategy} at multiplier {multiplier:g}: the nearest that builds, "
            f"{got:.2f}, is too far off"
        )
    return variant_of(knobs, strategy, multiplier, nominal, best)


@no_collection()
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
    for rest in rests(knobs, factors, takes_up=False):
        whole = msgspec.structs.replace(rest, settings=dict(settings or {}))
        tried = itertools.islice(_nearest_widths(knobs, whole, width), _MAX_ROUNDINGS)
        compute = predicted_compute(knobs, nominal)
        best = _nearest_attempt(knobs, tried, compute, enough=ACCEPTABLE)
        if best is not None:
            _check_achieved(nominal, best.achieved)
            return variant_of(knobs, "custom", factors.flops_multiplier, nominal, best)
    asked = ", ".join(f"{axis} ×{factor:g}" for axis, factor in nominal.items() if factor != 1.0)
    raise RecipeError(f"no rounding of {asked or 'these settings'} builds and runs")


def _check_achieved(nominal: Mapping[str, float], achieved: Mapping[str, float]) -> None:
    """Refuse what is another model than the one asked for, such as a width of next to nothing."""
    for axis, factor in nominal.items():
        if abs(math.log(achieved[axis] / factor)) > FAR_OFF:
            raise RecipeError(
                f"{axis} ×{factor:g} cannot be built: the nearest is ×{achieved[axis]:.3g}",
                hint=f"choose a factor of {axis} near or above {achieved[axis]:.2g}"
                if achieved[axis] > factor
                else f"choose a factor of {axis} near or below {achieved[axis]:.2g}",
            )


def _nearest_attempt(
    knobs: Knobs, tried: Iterator[Attempt], multiplier: float, *, enough: float
) -> Attempt | None:
    """The first attempt near enough to a compute multiplier, or else the nearest."""
    best: Attempt | None = None
    for attempt in tried:
        if best is None or miss(knobs, attempt, multiplier) < miss(knobs, best, multiplier):
            best = attempt
        if miss(knobs, best, multiplier) < enough:
            break
    return best


def _nearest_widths(knobs: Knobs, rest: Rest, width: float) -> Iterator[Attempt]:
    if width == 1.0:
        if attempt := attempt_rest(knobs, rest, {}, width=1.0):
            yield attempt
        return
    ways = [widths for way in ways_to_round(knobs) if (widths := way(width))]
    # stable: among equals, the ones that are tried first
    tried: list[Values] = []
    for widths in sorted(ways, key=lambda way: _deviation(knobs, way, width)):
        if widths in tried:
            continue
        tried.append(widths)
        if attempt := attempt_width(knobs, rest, widths):
            yield attempt


def _deviation(knobs: Knobs, widths: Values, factor: float) -> float:
    """Mean distance of rounded counts from the factor, as a log, in steps of 3 %."""
    groups = knobs.groups
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
    attempt = Attempt(call=knobs.call, inputs=knobs.inputs, achieved=ones, cost=knobs.cost)
    return msgspec.structs.replace(variant_of(knobs, "base", 1.0, ones, attempt), id="base")


def _check_axes(knobs: Knobs, strategy: str, axes: Sequence[str]) -> None:
    names = {"d": "depth", "w": "width", "W": "width", "r": "resolution"}
    for axis in (names[letter] for letter in strategy):
        if axis not in axes:
            raise RecipeError(f"strategy {strategy} scales {axis}, which --axes leaves out")
        if knobs.axes[axis].status == "none":
            raise RecipeError(f"strategy {strategy} scales {axis}: {knobs.axes[axis].reason}")


def variant_of(
    knobs: Knobs, strategy: str, multiplier: float, nominal: Mapping[str, float], found: Attempt
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
