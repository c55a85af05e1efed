r"""What scaling the stages of a model differently is worth.

Published families scale their stages alike, but for one pattern: the deepest stage alone gets more
blocks, up to 3.8 times as many (ResNet-101), 3 times in Swin-S and ConvNeXt-S. Of anything else
the tables say nothing, and the law is cautious where it knows nothing:

- Each stage's depth and width are judged as those of a whole model would be, and count with the
  stage's share of compute. Scaled alike, stages give what the model as a whole does.
- Compute loses half of what moves between stages: with growth :math:`g_i` of stage i in ln compute
  and share :math:`s_i`, :math:`0.5 \min_G \sum_i s_i |g_i - G|`. It pays to move compute only from
  a stage where it is three times as dear. More blocks in the deepest stage are excused, as above.
- A stage that grows more than four times as much as another one is refused.

The band is widened by all that this costs.
"""

import math
from collections.abc import Sequence

from ..records import StageFactors
from ._accuracy_query import AccuracyQuery
from ._recipe_shape import shape_features

# Heuristics; see above. `tests/prediction/test_stage_shape.py` holds the law with them against
# ResNet-101 and ConvNeXt-S, the deepest stage of which alone grew.
UNEVEN_LOSS = 0.5
UNEVEN_REACH = 4.0
"""A stage's compute may grow by this factor more than another stage's."""

# factors are rounded
_ROUNDING = 1e-6


def growth_of(depth: float, width: float) -> float:
    """Return the natural logarithm of the factor of a stage's compute, at one resolution."""
    return math.log(depth * width**2)


def excess_of(depth: float, width: float, *, deepest: bool) -> float:
    """Return as much of a stage's growth as counts for growing more than other stages.

    Args:
        depth: Factor of its blocks.
        width: Factor of its channels.
        deepest: Whether it has more blocks in the base than any other stage.
    """
    return growth_of(1.0 if deepest and depth > 1.0 else depth, width)


def deepest_stage(blocks: Sequence[int]) -> int | None:
    """Return the stage with the most blocks; None if there are several."""
    most = [stage for stage, count in enumerate(blocks) if count == max(blocks)]
    return most[0] if len(most) == 1 else None


def uneven_loss(stages: Sequence[StageFactors]) -> float:
    """Return the ln compute that is lost by growing stages unevenly; 0 without stages.

    Examples:
        >>> half = [StageFactors(share=0.5, blocks=2, depth=d, width=1.0) for d in (1.0, math.e)]
        >>> uneven_loss(half), uneven_loss(())
        (0.25, 0.0)
    """
    if not stages:
        return 0.0
    deepest = deepest_stage([stage.blocks for stage in stages])
    growth = [growth_of(stage.depth, stage.width) for stage in stages]
    excess = [
        excess_of(stage.depth, stage.width, deepest=i == deepest) for i, stage in enumerate(stages)
    ]
    return UNEVEN_LOSS * unevenness(growth, excess, [stage.share for stage in stages])


def unevenness(growth: Sequence[float], excess: Sequence[float], shares: Sequence[float]) -> float:
    """Return the mean deviation of growths from the middle that makes it least.

    Args:
        growth: ln of the factor of each stage's compute.
        excess: As much of it as counts for growing more than others.
        shares: Shares of stages, their weights.

    Examples:
        >>> unevenness([0.5, 0.5], [0.5, 0.5], [0.3, 0.7])
        0.0
        >>> round(unevenness([0.0, 1.0], [0.0, 1.0], [0.3, 0.7]), 9)
        0.3
    """
    return min(
        sum(
            share * max(middle - g, e - middle, 0.0)
            for g, e, share in zip(growth, excess, shares, strict=True)
        )
        for middle in (*growth, *excess)
    )


def uneven_refusal(stages: Sequence[StageFactors]) -> str | None:
    """Say why stages are scaled too differently for the law, or return None."""
    growths = [growth_of(stage.depth, stage.width) for stage in stages]
    if not stages or max(growths) - min(growths) <= math.log(UNEVEN_REACH) + _ROUNDING:
        return None
    most = math.exp(max(growths) - min(growths))
    return (
        f"one stage grows {most:.3g} times as much as another; the law reaches {UNEVEN_REACH:g} "
        "times, as published families do"
    )


def stage_loss(depth: float, width: float, tokens: float, *, transformer: bool) -> float:
    """Return the ln compute that the shape of one stage loses, per share of the stage.

    Args:
        depth: Factor of its blocks.
        width: Factor of its channels.
        tokens: Factor of positions along one side.
        transformer: Whether the family mixes positions by attention, where nothing is lost.
    """
    if transformer:
        return 0.0
    from ._priors import PUBLISHED_PRIOR

    query = AccuracyQuery(gmacs=1.0, depth=depth, width=width, resolution=tokens)
    imbalance, excess = shape_features(query)
    return PUBLISHED_PRIOR.imbalance[0] * imbalance + PUBLISHED_PRIOR.lopsided[0] * excess
