"""Turn factors into constructor calls that build, as near to the target compute as rounding allows.

Coarse axes are rounded first (resolution, then depth); a finer one that the strategy also scales
takes up what they leave. Factors before rounding are *nominal*; those of the model that was built,
and its counted compute, are *achieved*.
"""

import dataclasses
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
from ._values import depth_values, input_values
from ._ways import Values, ways_to_round, widths_between

# width may take up what coarser axes lose, but not change the strategy's proportions by more
MAX_COMPENSATION = 1.15
# a single axis may be turned by so much more or less than its factor, to hit the compute
MAX_ALONE = 2.0
MIN_EXPONENT = 0.3
_ALONE = {"d": "depth", "r": "resolution"}
# of one way to round widths, so many are built at most, and so many may fail to build
MAX_CORRECTIONS = 6
MAX_FAILURES = 2
# of all ways, so many are tried for a recipe
MAX_WAYS = 24
# near enough not to look at ways to round that are less friendly to hardware
NEAR = 0.05
# of roundings of depth and resolution, the second best and on may be so far off, as a log
MAX_STRAY = 0.2
# close enough to the target compute to stop looking
GOOD_ENOUGH = 0.02
# coarser roundings, which need not be multiples of 8, are tried where finer ones miss by more
ACCEPTABLE = 0.15

# further than this from the target, as |log| of compute, a variant is not that recipe any more
TOO_COARSE = 0.35
# nor is it what a user asked for with an axis by this factor, as |log|, from where it should be:
# half the depth of stages of one block leaves them, which is just not
FAR_OFF = math.log(2.1)
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
            _check_achieved(nominal, best.achieved)
            return _variant(knobs, "custom", factors.flops_multiplier, nominal, best)
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
    ways = [widths for way in ways_to_round(knobs) if (widths := way(width))]
    # stable: among equals, the ones that are tried first
    tried: list[Values] = []
    for widths in sorted(ways, key=lambda way: _deviation(knobs, way, width)):
        if widths in tried:
            continue
        tried.append(widths)
        if attempt := _try_width(knobs, rest, widths):
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
    if strategy in _ALONE:
        yield from _along_one_axis(knobs, _ALONE[strategy], factors)
        return
    target = factors.flops_multiplier
    has_width = "w" in strategy.lower()
    # without width to take it up, depth takes up what rounding the resolution lost
    takes_up = "d" in strategy and not has_width
    nearest = math.inf
    for rest in _rests(knobs, factors, takes_up=takes_up):
        # the first that builds is what there is; others must keep the strategy's proportions
        if nearest < math.inf and _strays(rest, factors):
            continue
        # without width, the compute is known before anything is built
        if not has_width and _expected_miss(knobs, rest, target) >= nearest:
            continue
        for attempt in _finished(knobs, rest, factors, target, has_width=has_width):
            nearest = min(nearest, _miss(knobs, attempt, target))
            yield attempt
        if nearest < NEAR:
            return


def _along_one_axis(knobs: Knobs, axis: str, factors: ScalingFactors) -> Iterator[_Attempt]:
    """Turn depth or resolution alone until its compute is the target's.

    FLOPs grow with the length of a text by more than the length, and with depth by less where some
    blocks cannot be repeated.
    """
    target, nominal = factors.flops_multiplier, getattr(factors, axis)
    exponent = max(knobs.axes[axis].flops_exponent or 1.0, MIN_EXPONENT)
    factor, built = nominal, list[float]()
    for _ in range(MAX_CORRECTIONS):
        rests = _rests(knobs, dataclasses.replace(factors, **{axis: factor}), takes_up=False)
        attempt = next((a for rest in rests if (a := _try(knobs, rest, {}, width=1.0))), None)
        if attempt is None or attempt.achieved[axis] in built:
            return
        yield attempt
        built.append(attempt.achieved[axis])
        off = target * knobs.cost.macs / max(attempt.cost.macs, 1)
        factor = attempt.achieved[axis] * off ** (1 / exponent)
        factor = min(max(factor, nominal / MAX_ALONE), nominal * MAX_ALONE)


def _strays(rest: "_Rest", factors: ScalingFactors) -> bool:
    """Tell whether rounded axes are no longer what the strategy says."""
    pairs = ((rest.depth, factors.depth), (rest.resolution, factors.resolution))
    return any(abs(math.log(rounded / nominal)) > MAX_STRAY for rounded, nominal in pairs)


def _expected_miss(knobs: Knobs, rest: "_Rest", target: float) -> float:
    """Distance of the compute from the target, by the exponents that probing found."""
    expected = _predicted(knobs, {"depth": rest.depth, "resolution": rest.resolution})
    # what is expected is not exact: only what is clearly further is left out
    return max(abs(math.log(expected / target)) - NEAR, 0.0)


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
    """Try widths around the wanted one, by one way to round them after another."""
    lowest, highest = wanted / MAX_COMPENSATION, wanted * MAX_COMPENSATION
    seen: list[Values] = []
    for way in itertools.islice(ways_to_round(knobs), MAX_WAYS):
        widths = [w for w in widths_between(way, lowest, highest) if w not in seen]
        seen += widths
        near = False
        for attempt in _searched(knobs, rest, widths, wanted, target):
            near = near or _miss(knobs, attempt, target) < NEAR
            yield attempt
        if near:
            return


def _searched(
    knobs: Knobs, rest: _Rest, widths: Sequence[Values], wanted: float, target: float
) -> Iterator[_Attempt]:
    """Search widths in their order for the compute; what fails to build is passed over."""
    low, high, failures, near = -1, len(widths), 0, False
    at = _nearest(knobs, widths, wanted)
    for _ in range(MAX_CORRECTIONS):
        if not low < at < high or failures > MAX_FAILURES:
            return
        attempt = _try_width(knobs, rest, widths[at])
        if attempt is None:
            failures += 1
            # what is not legal here may be next to something that is
            at = at + failures if failures % 2 else at - failures
            continue
        yield attempt
        if near or _miss(knobs, attempt, target) < GOOD_ENOUGH:
            return
        # one more look, once it is near
        near = _miss(knobs, attempt, target) < NEAR
        if attempt.cost.macs < target * knobs.cost.macs:
            low = at
        else:
            high = at
        off = target * knobs.cost.macs / max(attempt.cost.macs, 1)
        exponent = knobs.axes["width"].flops_exponent or 2.0
        next_at = _nearest(knobs, widths, attempt.achieved["width"] * off ** (1 / exponent))
        at = min(max(next_at, low + 1), high - 1)


def _nearest(knobs: Knobs, widths: Sequence[Values], factor: float) -> int:
    distances = [abs(math.log(_achieved_width(knobs, w) / factor)) for w in widths]
    return min(range(len(widths)), key=distances.__getitem__, default=0)


def _try_width(knobs: Knobs, rest: _Rest, widths: Values) -> _Attempt | None:
    return _try(knobs, rest, widths, width=_achieved_width(knobs, widths))


def _achieved_width(knobs: Knobs, widths: Values) -> float:
    groups = knobs.groups
    # what is scaled along to stay legal is not the width itself
    names = [name for name in widths if name in knobs.axes["width"].arguments]
    old = tuple(groups[name].values for name in names)
    return mean_ratio(tuple(tuple(widths[name]) for name in names), old)


def _try(knobs: Knobs, rest: _Rest, widths: Values, *, width: float) -> _Attempt | None:
    try:
        if rest.settings:
            knobs = msgspec.structs.replace(knobs, call=knobs.call.override(rest.settings))
        call = knobs.turned({**rest.new, **widths})
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
