r"""How a recipe's shape changes what its compute is worth.

Two recipes of equal compute differ in accuracy when one puts its compute on one axis. The law
moves such a recipe to a smaller *effective* compute,

.. math:: \ln C_\text{eff} = \ln C - \kappa_1 u_1 - \kappa_2 u_2,

with the two features of `shape_features`, and :math:`- \kappa_3 u_3` for its `thinness`; the
coefficients have priors (`_priors.FloorPrior`).

The features measure a recipe against the base, which is balanced by definition. Tokens are the
resolution axis: a patch size p at resolution r acts like r / p.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from ._accuracy_query import AccuracyQuery

# Shares of compute in balanced scaling, and the cost of exceeding them, by axis. With the
# width-resolution feature, scaling depth, width or resolution alone by s loses 0.42, 0.46 and
# 0.53 ln s of effective compute: a heuristic from 18 published single-axis rows, in which depth
# lost least and resolution most.
DEPTH_SHARE, WIDTH_SHARE, TOKEN_SHARE = 0.27, 0.33, 0.40
DEPTH_COST, WIDTH_COST, TOKEN_COST = 0.58, 0.50, 0.67

# Rounds the kink of |x| at 0, so that nearly balanced recipes stay nearly tied.
ROUNDING = 0.05

# Kernels from 7 to 51 gained published nets 0.2 to 0.7 points, about half of it by their added
# compute (SLaK, PeLK and ConvNeXt repositories); 0.4 is never exceeded.
KERNEL_LIMIT_POINTS = 0.4


def shape_features(query: AccuracyQuery) -> tuple[float, float]:
    """Return width-resolution imbalance and single-axis excess, both >= 0, in ln compute.

    Where stages are scaled differently, those of each stage count with its share of compute.

    Examples:
        >>> shape_features(AccuracyQuery(gmacs=1.0))
        (0.0, 0.0)
    """
    if query.stages:
        return _of_stages(query)
    imbalance = math.log(query.width) - math.log(query.tokens)
    return math.hypot(imbalance, ROUNDING) - ROUNDING, _single_axis_excess(query)


def _of_stages(query: AccuracyQuery) -> tuple[float, float]:
    found = [
        (s.share, *shape_features(replace(query, depth=s.depth, width=s.width, stages=())))
        for s in query.stages
    ]
    return sum(share * x for share, x, _ in found), sum(share * x for share, _, x in found)


def shape_coordinates(query: AccuracyQuery) -> tuple[float, float]:
    """Return where a recipe lies across the balanced line; recipes far apart err independently."""
    width, tokens = math.log(query.width), math.log(query.tokens)
    return width - tokens, math.log(query.depth) - width - tokens


def thinness(query: AccuracyQuery, references: Sequence[AccuracyQuery]) -> float:
    """Return by how much ln (MACs per parameter) exceeds that of the references on average.

    With coefficient k a net is worth C^(1-k) P^k of compute: of two nets of equal MACs the one
    with more parameters is the more accurate. 0 where a parameter count is missing, and where
    factors say how a recipe differs: what they explain is not counted twice.

    Examples:
        >>> small, wide = (AccuracyQuery(gmacs=1.0, params_m=p) for p in (4.0, 8.0))
        >>> round(thinness(wide, [small]), 2)
        -0.69
    """
    known = [r.gmacs / r.params_m for r in references if r.params_m]
    queries = (query, *references)
    explained = any(q.stages or (q.depth, q.width, q.tokens) != (1.0, 1.0, 1.0) for q in queries)
    if explained or not query.params_m or not known or len(known) < len(references):
        return 0.0
    typical = sum(map(math.log, known)) / len(known)
    return math.log(query.gmacs / query.params_m) - typical


def kernel_gain(factor: float) -> float:
    """Return the gain in points of a kernel-size factor: bounded, and 0 for the base's kernel.

    Examples:
        >>> round(kernel_gain(51 / 7), 2), kernel_gain(1.0)
        (0.3, 0.0)
    """
    return KERNEL_LIMIT_POINTS * math.tanh(0.5 * math.log(factor))


def _single_axis_excess(query: AccuracyQuery) -> float:
    """Weigh the compute of each axis above its share; quadratic, so mild tilts cost little."""
    grown = [
        (max(0.0, math.log(query.depth)), DEPTH_SHARE, DEPTH_COST),
        (max(0.0, 2 * math.log(query.width)), WIDTH_SHARE, WIDTH_COST),
        (max(0.0, 2 * math.log(query.tokens)), TOKEN_SHARE, TOKEN_COST),
    ]
    total = sum(axis for axis, _, _ in grown)
    if total == 0.0:
        return 0.0
    excess = [(max(0.0, axis / total - share), share, cost) for axis, share, cost in grown]
    return total * sum(cost * above**2 / (1 - share) for above, share, cost in excess)
