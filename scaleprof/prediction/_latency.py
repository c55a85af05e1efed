r"""A latency law fitted to the variants measured so far: a line in logarithms.

.. math::
    \ln t = c + a \ln \text{MACs} + b \ln \text{activations} + \varepsilon

Activations track runtime better than FLOPs on memory-limited hardware (Dollár et al. 2021,
https://arxiv.org/abs/2103.06877); which of the two counts here is for the device to say. The fit is
Bayesian linear regression with a weak prior on the exponents, so that three measured variants
already give a prediction, and an honestly wide band. It knows nothing of operators' kinds or of
launch overhead: predictions far outside the measured costs are poor.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..records import LatencyBand

# exponents of MACs and of activations: half each, give or take a third, before any data
_PRIOR_EXPONENT = 0.5
_PRIOR_SD = 0.35
# relative error of the line, before any data: 15 % as over timm's published tables, worth 2 samples
_PRIOR_NOISE = 0.15
_PRIOR_WEIGHT = 2.0
# the intercept is the device's speed, of which nothing is known beforehand
_FLAT_SD = 100.0
MIN_POINTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPoint:
    """Costs of a variant, and its measured latency.

    Attributes:
        macs: Multiply-adds of one forward pass.
        activations: Output elements of its convolutions and matrix products.
        latency_s: Median latency in seconds.
    """

    macs: float
    activations: float
    latency_s: float


@dataclass(frozen=True, slots=True)
class LatencyLaw:
    """A fitted law.

    Attributes:
        mean: Intercept at the centre, exponent of MACs, exponent of activations.
        covariance: Of these three, in units of the noise variance.
        noise: Standard deviation of ln t around the line.
        degrees: Degrees of freedom of the noise estimate.
        centre: Mean ln MACs and ln activations of the points.
        points: Number of points it rests on.
    """

    mean: np.ndarray
    covariance: np.ndarray
    noise: float
    degrees: float
    centre: np.ndarray
    points: int

    def predict(self, *, macs: float, activations: float) -> LatencyBand:
        """Predict the latency of a variant with its 90 % band, in seconds."""
        from scipy.special import stdtrit

        x = np.array([1.0, *(np.log([macs, activations]) - self.centre)])
        middle = float(x @ self.mean)
        spread = self.noise * math.sqrt(1.0 + float(x @ self.covariance @ x))
        reach = float(stdtrit(self.degrees, 0.95)) * spread
        return LatencyBand(
            p50=math.exp(middle), p05=math.exp(middle - reach), p95=math.exp(middle + reach)
        )


def fit_latency_law(points: Sequence[CostPoint]) -> LatencyLaw:
    """Fit the law to measured variants.

    Args:
        points: At least two variants with positive costs and latencies.

    Raises:
        ValueError: If there are fewer than two points.

    Examples:
        >>> points = [CostPoint(macs=s, activations=s, latency_s=s / 1e9) for s in (1e9, 2e9, 4e9)]
        >>> round(fit_latency_law(points).predict(macs=3e9, activations=3e9).p50, 2)
        3.0
    """
    if len(points) < MIN_POINTS:
        raise ValueError(f"a latency law needs {MIN_POINTS} measured variants, got {len(points)}")
    logs = np.log([[p.macs, p.activations] for p in points])
    y = np.log([p.latency_s for p in points])
    centre = logs.mean(axis=0)
    x = np.column_stack([np.ones(len(points)), logs - centre])  # [points, 3]
    prior_mean = np.array([y.mean(), _PRIOR_EXPONENT, _PRIOR_EXPONENT])
    # the prior is in units of the noise variance, as conjugate priors are
    prior_sd = np.array([_FLAT_SD, _PRIOR_SD, _PRIOR_SD]) / _PRIOR_NOISE
    prior_precision = np.diag(prior_sd**-2)
    precision = prior_precision + x.T @ x
    covariance = np.linalg.inv(precision)
    mean = covariance @ (prior_precision @ prior_mean + x.T @ y)
    shift = mean - prior_mean
    misfit = float(np.sum((y - x @ mean) ** 2) + shift @ prior_precision @ shift)
    degrees = _PRIOR_WEIGHT + len(points)
    noise = math.sqrt((_PRIOR_WEIGHT * _PRIOR_NOISE**2 + misfit) / degrees)
    return LatencyLaw(mean, covariance, noise, degrees, centre, len(points))
