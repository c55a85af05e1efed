"""Round scaled sizes to what hardware and models take, keeping totals as near as they can be."""

import math
from collections.abc import Sequence


def round_to_step(value: float, step: int) -> int:
    """Round to the nearest positive multiple of a step, halves up.

    Examples:
        >>> round_to_step(100.0, 8), round_to_step(1.0, 8)
        (104, 8)
    """
    return max(step, math.floor(value / step + 0.5) * step)


def scale_depths(depths: Sequence[int], factor: float) -> list[int]:
    """Scale the repeats of stages so that their sum comes nearest to ``factor`` times the old sum.

    Rounding each stage by itself can miss the total by half a block per stage; here the blocks that
    rounding leaves over go to the stages with the largest remainders, among equals to the deepest.
    A stage with blocks keeps one.

    Args:
        depths: Blocks per stage; zero where a stage has none.
        factor: Depth factor, positive.

    Examples:
        >>> scale_depths([2, 2, 6, 2], 1.25)
        [3, 2, 8, 2]
    """
    wanted = [depth * factor for depth in depths]
    rounded = [
        max(math.floor(want), 1) if depth else 0 for depth, want in zip(depths, wanted, strict=True)
    ]
    spare = math.floor(sum(wanted) + 0.5) - sum(rounded)
    by_remainder = sorted(range(len(depths)), key=lambda i: (rounded[i] - wanted[i], -depths[i], i))
    for stage in by_remainder[: max(spare, 0)]:
        rounded[stage] += 1 if depths[stage] else 0
    return rounded
