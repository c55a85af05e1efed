"""Moments and quantiles of mixtures, the form in which the accuracy law knows anything."""

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]

# 60 halvings of any bracket reach the resolution of a float.
BISECTIONS = 60
_TINY = 1e-12


def mixture_quantile(mean: "Array", sd: "Array", weight: "Array", share: float) -> float:
    """Return a quantile of a mixture of normals, by bisection.

    Args:
        mean: Of the components, [components].
        sd: Standard deviations, [components].
        weight: Probabilities, [components].
        share: Probability below the quantile.
    """
    low, high = float((mean - 9 * sd).min()), float((mean + 9 * sd).max())
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        below = float(weight @ ndtr((middle - mean) / np.maximum(sd, _TINY)))
        low, high = (middle, high) if below < share else (low, middle)
    return 0.5 * (low + high)


def lognormal_mean(mean: "Array", covariance: "Array") -> "Array":
    """Return E[exp(z)] of normals z, [components, q], from [c, q] and [c, q, q]."""
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    return np.asarray(np.exp(mean + 0.5 * variance))


def lognormal_difference(mean: "Array", covariance: "Array") -> tuple["Array", "Array"]:
    """Return mean and sd of exp(z_1) - exp(z_0) by component, what both share taken out."""
    level = lognormal_mean(mean, covariance)
    second = level[:, :, None] * level[:, None, :] * np.expm1(covariance)
    variance = second[:, 0, 0] + second[:, 1, 1] - 2 * second[:, 0, 1]
    return level[:, 1] - level[:, 0], np.sqrt(np.maximum(variance, 0.0))


def mixture_moments(mean: "Array", sd: "Array", weight: "Array") -> tuple[float, float]:
    """Return mean and sd of a mixture."""
    centre = float(weight @ mean)
    return centre, float(np.sqrt(weight @ (sd**2 + (mean - centre) ** 2)))
