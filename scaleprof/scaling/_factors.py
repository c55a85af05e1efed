"""Compound scaling factors of Dollár et al. (2021), https://arxiv.org/abs/2103.06877.

A strategy splits a compute multiplier over depth, width and resolution, by exponents that sum to
one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import RecipeError

STRATEGIES: Mapping[str, tuple[float, float, float]] = {
    "d": (1, 0, 0),
    "w": (0, 1, 0),
    "r": (0, 0, 1),
    "dw": (1, 1, 0),
    "dr": (1, 0, 1),
    "wr": (0, 1, 1),
    "dwr": (1, 1, 1),
    # fast compound scaling: 80 % of the compute goes into width (section 4 of the paper)
    "dWr": (1, 8, 1),
}
"""Relative weights of depth, width and resolution in each strategy."""

AXES = ("depth", "width", "resolution")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingFactors:
    """Factors by which depth, width and resolution grow, before rounding."""

    depth: float
    width: float
    resolution: float

    @property
    def flops_multiplier(self) -> float:
        """FLOPs of the variant over FLOPs of the base, d·w²·r²."""
        return self.depth * self.width**2 * self.resolution**2


def scaling_factors(
    scale: float, *, depth: float = 1.0, width: float = 0.0, resolution: float = 0.0
) -> ScalingFactors:
    r"""Split a compute multiplier over depth, width and resolution.

    The weights :math:`e_d, e_w, e_r` are normalised to sum to one, and the factors are

    .. math::
        d = s^{e_d}, \qquad w = s^{e_w/2}, \qquad r = s^{e_r/2},

    so that :math:`d\,w^2 r^2 = s`.

    Args:
        scale: Compute multiplier :math:`s > 0`, in FLOPs of the variant over FLOPs of the base.
        depth: Weight of depth. Only the ratios between the three weights matter.
        width: Weight of width.
        resolution: Weight of input resolution.

    Returns:
        The factors before rounding. `ScalingFactors.flops_multiplier` equals ``scale``.

    Raises:
        RecipeError: If ``scale`` is not positive, a weight is negative, or all weights are zero.

    Examples:
        Fast compound scaling puts 80 % of the compute into width:

        >>> f = scaling_factors(4.0, depth=1, width=8, resolution=1)
        >>> round(f.depth, 3), round(f.width, 3), round(f.resolution, 3)
        (1.149, 1.741, 1.072)
    """
    if not (scale > 0 and math.isfinite(scale)):
        raise RecipeError(f"`scale` must be positive, got {scale}")
    weights = (depth, width, resolution)
    total = sum(weights)
    if min(weights) < 0 or total <= 0:
        raise RecipeError(f"weights must be zero or more and not all zero, got {weights}")
    e_d, e_w, e_r = (weight / total for weight in weights)
    return ScalingFactors(depth=scale**e_d, width=scale ** (e_w / 2), resolution=scale ** (e_r / 2))


def strategy_factors(strategy: str, scale: float) -> ScalingFactors:
    """Split a compute multiplier as a named strategy does.

    Args:
        strategy: One of `STRATEGIES`.
        scale: Compute multiplier, in FLOPs of the variant over FLOPs of the base.

    Raises:
        RecipeError: If the strategy is unknown or ``scale`` is not positive.

    Examples:
        >>> round(strategy_factors("dwr", 8.0).depth, 9)
        2.0
    """
    if strategy not in STRATEGIES:
        raise RecipeError(
            f"unknown strategy `{strategy}`", hint=f"choose from {', '.join(STRATEGIES)}"
        )
    depth, width, resolution = STRATEGIES[strategy]
    return scaling_factors(scale, depth=depth, width=width, resolution=resolution)
