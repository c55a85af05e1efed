"""Pareto fronts: points that no other point beats in everything."""

from collections.abc import Sequence


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Tell whether a point is at least as low as another everywhere, and lower somewhere."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


def pareto_front(costs: Sequence[Sequence[float]]) -> list[bool]:
    """Mark the points that no other dominates; lower is better in every coordinate.

    Args:
        costs: Points with one or more coordinates each.

    Examples:
        >>> pareto_front([(1.0, 3.0), (2.0, 2.0), (3.0, 3.0)])
        [True, True, False]
    """
    return [not any(dominates(other, point) for other in costs) for point in costs]
