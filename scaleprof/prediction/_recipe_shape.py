r"""How a recipe's shape changes what its compute is worth.

Two recipes of equal compute differ in accuracy when one puts its compute on one axis. The law
moves such a recipe to a smaller *effective* compute,

.. math:: \ln C_\text{eff} = \ln C - \kappa_1 u_1 - \kappa_2 u_2,

with the two features of `shape_features` and coefficients that have priors (`_priors`).

The features measure a recipe against the base, whose factors are all 1 and which is balanced by
definition. Tokens are the resolution axis: a patch size p at resolution r acts like r / p.
"""

import math
from dataclasses import dataclass

# Shares of compute in balanced scaling and the cost of exceeding them, by axis. The shares come
# from 18 published single-axis rows; the costs give depth the smallest and resolution the largest
# loss, as those rows do: scaling one axis alone by s loses 0.42, 0.46 and 0.55 ln s in effective
# compute, 0.17 ln s of the last two through the width-resolution feature.
DEPTH_SHARE, WIDTH_SHARE, TOKEN_SHARE = 0.27, 0.33, 0.40
DEPTH_COST, WIDTH_COST, TOKEN_COST = 0.58, 0.50, 0.71

# Rounds the kink of |x| at 0: ties between nearly balanced recipes should not look decided.
_ROUNDING = 0.05

# From 7 to 51, a factor of 7.3, published nets gained 0.2 to 0.7 points, of which about half is
# their added compute; the project bounds the term at 0.4 (large_kernel rows of the sources).
KERNEL_LIMIT_POINTS = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Factors of one recipe relative to the base; 1 where an axis is untouched.

    Attributes:
        width: Factor of the channel counts.
        depth: Factor of the number of blocks.
        resolution: Factor of the input's side.
        patch_size: Factor of the patch's side.
        kernel_size: Factor of the kernel's side.
    """

    width: float = 1.0
    depth: float = 1.0
    resolution: float = 1.0
    patch_size: float = 1.0
    kernel_size: float = 1.0

    @property
    def tokens(self) -> float:
        """Factor of positions along one side."""
        return self.resolution / self.patch_size

    @property
    def compute(self) -> float:
        """Compute multiplier that depth, width and tokens explain, kernels apart."""
        return self.depth * (self.width * self.tokens) ** 2


def shape_features(shape: Shape) -> tuple[float, float]:
    """Return the width-resolution imbalance and the single-axis excess, both >= 0 in ln compute."""
    between = math.log(shape.width) - math.log(shape.tokens)
    return _smooth_abs(between), _single_axis_excess(shape)


def shape_coordinates(shape: Shape) -> tuple[float, float]:
    """Return where a recipe lies across the balanced line; recipes far apart err independently."""
    width, tokens = math.log(shape.width), math.log(shape.tokens)
    return width - tokens, math.log(shape.depth) - width - tokens


def kernel_gain(factor: float) -> float:
    """Return the gain in points of a kernel-size factor: bounded, and 0 for the base's kernel.

    Examples:
        >>> round(kernel_gain(51 / 7), 2), kernel_gain(1.0)
        (0.3, 0.0)
    """
    return KERNEL_LIMIT_POINTS * math.tanh(0.5 * math.log(factor))


def _smooth_abs(x: float) -> float:
    return math.hypot(x, _ROUNDING) - _ROUNDING


def _single_axis_excess(shape: Shape) -> float:
    """Weigh the compute of each axis above its share; quadratic, so mild tilts cost little."""
    up = [
        (max(0.0, math.log(shape.depth)), DEPTH_SHARE, DEPTH_COST),
        (max(0.0, 2 * math.log(shape.width)), WIDTH_SHARE, WIDTH_COST),
        (max(0.0, 2 * math.log(shape.tokens)), TOKEN_SHARE, TOKEN_COST),
    ]
    total = sum(axis for axis, _, _ in up)
    if total == 0.0:
        return 0.0
    excess = [(max(0.0, axis - share * total), share, cost) for axis, share, cost in up]
    return sum(cost * above**2 / ((1 - share) * total) for above, share, cost in excess)
