"""One set of rounded values: built and counted, or found not to work."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..costs import count_module
from ..models import ConstructorCall, build_module
from ..records import Cost, InputSpec
from ..scaling import ScalingFactors
from ._knobs import Knobs
from ._numbers import mean_ratio
from ._probe import cast
from ._values import depth_values, input_values
from ._ways import Values

# of an axis that moves compute by less than this power, its own is no guide
MIN_EXPONENT = 0.3


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One set of rounded arguments, and what they build."""

    call: ConstructorCall
    inputs: tuple[InputSpec, ...]
    achieved: dict[str, float]
    cost: Cost
    widths: Values = {}


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """What is settled before width: other values, the inputs, and their factors."""

    new: Mapping[str, Sequence[float]]
    inputs: tuple[InputSpec, ...]
    depth: float
    resolution: float
    settings: dict[str, Any] = {}


def rests(knobs: Knobs, factors: ScalingFactors, *, takes_up: bool) -> Iterator[Rest]:
    """Resolutions and depths to try, the nearest rounding first."""
    for image in input_values(knobs, factors.resolution):
        left = _depth_left(knobs, factors, image.factor)
        for depth in depth_values(knobs, left if takes_up else factors.depth):
            yield Rest(
                new={**image.new, **depth.new},
                inputs=image.inputs,
                depth=depth.factor,
                resolution=image.factor,
            )


def _depth_left(knobs: Knobs, factors: ScalingFactors, resolution: float) -> float:
    """Depth that takes up what is left of the compute at a resolution."""
    left = factors.flops_multiplier / predicted_compute(knobs, {"resolution": resolution})
    return float(left ** (1 / max(knobs.axes["depth"].flops_exponent or 1.0, MIN_EXPONENT)))


def attempt_rest(knobs: Knobs, rest: Rest, widths: Values, *, width: float) -> Attempt | None:
    """Build and count a variant; None if it does not build or run."""
    try:
        if rest.settings:
            knobs = msgspec.structs.replace(knobs, call=knobs.call.override(rest.settings))
        call = knobs.turned({**rest.new, **widths})
        module = cast(build_module(call, meta=True), knobs.dtype)
        cost = count_module(module, rest.inputs)
    except Exception:  # the trial may raise whatever a constructor raises; that is its answer
        return None
    achieved = {"depth": rest.depth, "width": width, "resolution": rest.resolution}
    return Attempt(call=call, inputs=rest.inputs, achieved=achieved, cost=cost, widths=widths)


def build_and_count(call: ConstructorCall, inputs: Sequence[InputSpec], dtype: str) -> Cost | None:
    """Build a call on the meta device and count it; None if it does not build or run."""
    try:
        return count_module(cast(build_module(call, meta=True), dtype), inputs)
    except Exception:  # the trial may raise whatever a constructor raises; that is its answer
        return None


def attempt_width(knobs: Knobs, rest: Rest, widths: Values) -> Attempt | None:
    """Build and count a variant with these widths; None if it does not build or run."""
    return attempt_rest(knobs, rest, widths, width=achieved_width(knobs, widths))


def achieved_width(knobs: Knobs, widths: Values) -> float:
    """Geometric mean of the factors of all channel counts."""
    groups = knobs.groups
    # what is scaled along to stay legal is not the width itself
    names = [name for name in widths if name in knobs.axes["width"].arguments]
    old = tuple(groups[name].values for name in names)
    return mean_ratio(tuple(tuple(widths[name]) for name in names), old)


def miss(knobs: Knobs, attempt: Attempt, multiplier: float) -> float:
    """Distance of the achieved compute from the target, as |log|."""
    return abs(math.log(max(attempt.cost.macs, 1) / (multiplier * max(knobs.cost.macs, 1))))


def predicted_compute(knobs: Knobs, nominal: Mapping[str, float]) -> float:
    """Compute over that of the base, by the exponents that probing found."""
    powers = [
        factor ** (knobs.axes[axis].flops_exponent or 1.0)
        for axis, factor in nominal.items()
        if factor != 1.0
    ]
    return float(math.prod(powers))
