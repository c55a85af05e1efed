r"""A device's own exponents: how latency grows with each axis, and which cost explains it best.

.. math:: t \propto d^a\,w^b\,r^c

The exponents of depth, width and resolution in MACs are 1, 2 and 2; those in activations 1, 1 and
2 (Dollár et al. 2021, https://arxiv.org/abs/2103.06877). Where a device's own lie between them
says what limits it.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..records import ExponentBand

# before any data: between the exponents of activations and of MACs, give or take one
_EXPECTED = {"depth": 1.0, "width": 1.5, "resolution": 2.0}
_PRIOR_SD = 1.0
# an axis must have moved by this factor for an exponent of it to be worth showing
_MIN_RANGE = 1.15
# latencies of variants depart from any line by at least this much
_MIN_NOISE = 0.02
MIN_VARIANTS = 5


def fit_exponents(
    factors: Sequence[Mapping[str, float]], latencies_s: Sequence[float]
) -> dict[str, ExponentBand]:
    """Fit latency as a product of powers of the axes' factors.

    Args:
        factors: Achieved factor of each axis, one mapping a measured variant.
        latencies_s: Their median latencies.

    Returns:
        Exponents with 90 % intervals, of the axes that moved; empty below five variants.

    Examples:
        >>> grid = [{"depth": d, "width": w} for d in (1, 2) for w in (1, 2, 4)]
        >>> got = fit_exponents(grid, [1e-3 * f["depth"] * f["width"] ** 2 for f in grid])
        >>> round(got["depth"].mean, 1), round(got["width"].mean, 1)
        (1.0, 2.0)
    """
    from scipy.special import stdtrit

    if len(factors) < MIN_VARIANTS:
        return {}
    moved = [axis for axis in _EXPECTED if _range(axis, factors) >= _MIN_RANGE]
    if not moved:
        return {}
    x = np.log([[row.get(axis, 1.0) for axis in moved] for row in factors])
    y = np.log(np.asarray(latencies_s, dtype=float))
    expected = np.array([_EXPECTED[axis] for axis in moved])
    x, y = x - x.mean(axis=0), y - y.mean()
    noise, degrees = _MIN_NOISE, max(len(y) - len(moved) - 1, 1)
    # noise and exponents by turns: the prior's weight depends on the noise
    for _ in range(10):
        precision = x.T @ x / noise**2 + np.eye(len(moved)) / _PRIOR_SD**2
        covariance = np.linalg.inv(precision)
        mean = covariance @ (x.T @ y / noise**2 + expected / _PRIOR_SD**2)
        noise = max(math.sqrt(float(np.sum((y - x @ mean) ** 2)) / degrees), _MIN_NOISE)
    reach = stdtrit(degrees, 0.95) * np.sqrt(np.diag(covariance))
    return {
        axis: ExponentBand(mean=float(m), p05=float(m - r), p95=float(m + r))
        for axis, m, r in zip(moved, mean, reach, strict=True)
    }


def _range(axis: str, factors: Sequence[Mapping[str, float]]) -> float:
    values = [row.get(axis, 1.0) for row in factors]
    return max(values) / min(values)


def explained_by(
    costs: Sequence[Mapping[str, float]], latencies_s: Sequence[float]
) -> dict[str, float]:
    """Say how far each cost alone is from explaining latency.

    Args:
        costs: Positive costs by name, one mapping a measured variant.
        latencies_s: Their median latencies.

    Returns:
        By name the typical relative error of a power law of that cost, left one out; the best
        first. Empty below five variants.
    """
    if len(costs) < MIN_VARIANTS:
        return {}
    y = np.log(np.asarray(latencies_s, dtype=float))
    errors = {
        name: _left_out(np.log([max(row[name], 1.0) for row in costs]), y) for name in costs[0]
    }
    return dict(sorted(errors.items(), key=lambda item: item[1]))


def _left_out(x: np.ndarray, y: np.ndarray) -> float:
    """Root mean square of leave-one-out errors of a line."""
    design = np.column_stack([np.ones_like(x), x])
    hat = design @ np.linalg.pinv(design)
    left = (y - hat @ y) / np.maximum(1.0 - np.diag(hat), 1e-6)
    return float(np.sqrt(np.mean(left**2)))
