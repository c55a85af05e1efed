r"""Posterior of the floor law: a mixture of Laplace approximations, all fitted at once.

Each component (a regime and a residual scale s) explains the anchors' errors as

.. math::
    \ln e_i = \ln\!\left(E + A\,e^{-b x_i}\right) + d_i + n_i, \qquad
    x_i = \ln C_i - \kappa^\top u_i,

with a smooth departure d of covariance :math:`s^2 e^{-(|\Delta x| + |\Delta v|)/\ell}` and training
noise n. Gauss-Newton with step halving finds each component's parameters; its evidence weighs it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._priors import Components

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]

MAX_STEPS = 40
MAX_HALVINGS = 12
CONVERGED = 1e-7
# Keeps exp() finite while a step is still too long; no fitted family comes near.
_EXPONENT_LIMIT = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Places on the law, one row per trained model or query.

    Attributes:
        log_compute: ln GMACs, [points].
        features: Shape features u, [points, 3].
        coordinates: Shape coordinates v, [points, 2].
    """

    log_compute: "Array"
    features: "Array"
    coordinates: "Array"


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorPosterior:
    """The fitted mixture.

    Attributes:
        components: The prior mixture.
        points: Anchors.
        theta: Parameters at the mode, [components, 6].
        covariance: Of the parameters, [components, 6, 6].
        weight: Posterior probability of each component, [components].
    """

    components: Components
    points: Points
    theta: "Array"
    covariance: "Array"
    weight: "Array"
    _kernel_inverse: "Array"
    _residual: "Array"
    _slopes: "Array"

    def predict(self, queries: Points) -> tuple["Array", "Array"]:
        """Return mean and covariance of ln error, [components, q] and [components, q, q].

        The covariance has the departure of each query from the curve but no training noise.
        """
        curve, slopes = _curve(self.theta, self.components.origin, queries)
        cross = _kernel(self.components, queries, self.points)
        gain = cross @ self._kernel_inverse
        mean = curve + np.einsum("cqn,cn->cq", gain, self._residual)
        left = slopes - gain @ self._slopes
        spread = left @ self.covariance @ left.swapaxes(1, 2)
        own = _kernel(self.components, queries, queries) - gain @ cross.swapaxes(1, 2)
        return mean, spread + own

    def regime_weights(self) -> dict[str, float]:
        """Return the posterior probability of each regime."""
        totals: dict[str, float] = {}
        for regime, weight in zip(self.components.regimes, self.weight, strict=True):
            totals[regime] = totals.get(regime, 0.0) + float(weight)
        return totals

    def residual_scale(self) -> float:
        """Return the posterior mean of s, the departure from one curve in ln error."""
        return float(self.weight @ self.components.scale)


def fit_posterior(
    components: Components, points: Points, log_error: "Array", noise: "Array"
) -> FloorPosterior:
    """Fit every component to the anchors.

    Args:
        components: The prior mixture.
        points: Anchors, possibly none.
        log_error: ln of their errors, [points].
        noise: Standard deviation of training noise in ln error, [points].

    Returns:
        The posterior mixture.
    """
    covariance = _kernel(components, points, points) + np.diag(noise**2)
    inverse = np.linalg.inv(covariance)
    prior_inverse = np.linalg.inv(components.covariance)
    theta = _mode(components, points, log_error, inverse, prior_inverse)
    curve, slopes = _curve(theta, components.origin, points)
    posterior = np.linalg.inv(slopes.swapaxes(1, 2) @ inverse @ slopes + prior_inverse)
    loss = _loss(components, theta, log_error - curve, inverse, prior_inverse)
    evidence = components.log_weight - loss
    evidence += 0.5 * (_logdet(posterior) - _logdet(components.covariance) - _logdet(covariance))
    weight = np.exp(evidence - evidence.max())
    return FloorPosterior(
        components=components,
        points=points,
        theta=theta,
        covariance=posterior,
        weight=weight / weight.sum(),
        _kernel_inverse=inverse,
        _residual=log_error - curve,
        _slopes=slopes,
    )


def _mode(
    components: Components,
    points: Points,
    log_error: "Array",
    inverse: "Array",
    prior_inverse: "Array",
) -> "Array":
    """Climb to the most probable parameters of all components side by side."""
    theta = components.mean.copy()
    for _ in range(MAX_STEPS):
        curve, slopes = _curve(theta, components.origin, points)
        weighted = slopes.swapaxes(1, 2) @ inverse
        pull = np.einsum("cij,cj->ci", prior_inverse, theta - components.mean)
        gradient = np.einsum("cpn,cn->cp", weighted, log_error - curve) - pull
        step = np.linalg.solve(weighted @ slopes + prior_inverse, gradient[..., None])[..., 0]

        def loss(at: "Array") -> "Array":
            residual = log_error - _curve(at, components.origin, points)[0]
            return _loss(components, at, residual, inverse, prior_inverse)

        step = _halved(loss, theta, step)
        theta = theta + step
        if np.abs(step).max() < CONVERGED:
            break
    return theta


def _halved(loss: "Callable[[Array], Array]", theta: "Array", step: "Array") -> "Array":
    """Shorten the steps of the components that would get worse."""
    before = loss(theta)
    for _ in range(MAX_HALVINGS):
        worse = ~(loss(theta + step) <= before + 1e-12)
        if not worse.any():
            return step
        step = np.where(worse[:, None], 0.5 * step, step)
    return np.where(worse[:, None], 0.0, step)


def _curve(theta: "Array", origin: "Array", points: Points) -> tuple["Array", "Array"]:
    """Return ln f and its derivatives by the parameters, [c, n] and [c, n, 6]."""
    floor, slope, fall = (np.exp(theta[:, i, None]) for i in range(3))
    x = points.log_compute - theta[:, 3:] @ points.features.T - origin[:, None]
    exponent = np.clip(-slope * x, -_EXPONENT_LIMIT, _EXPONENT_LIMIT)
    falling = fall * np.exp(exponent)
    total = floor + falling
    share = falling / total
    by_shape = (slope * share)[..., None] * points.features
    slopes = np.stack([floor / total, exponent * share, share], axis=-1)
    return np.log(total), np.concatenate([slopes, by_shape], axis=-1)


def _loss(
    components: Components,
    theta: "Array",
    residual: "Array",
    inverse: "Array",
    prior_inverse: "Array",
) -> "Array":
    offset = theta - components.mean
    data = np.einsum("cn,cnm,cm->c", residual, inverse, residual)
    return np.asarray(0.5 * (data + np.einsum("ci,cij,cj->c", offset, prior_inverse, offset)))


def _kernel(components: Components, rows: Points, columns: Points) -> "Array":
    """Return the covariance of departures, [components, rows, columns]."""
    distance = np.abs(rows.log_compute[:, None] - columns.log_compute[None, :])
    across = np.abs(rows.coordinates[:, None] - columns.coordinates[None, :]).sum(axis=-1)
    decay = np.exp(-(distance + across) / components.length)
    return np.asarray(components.scale[:, None, None] ** 2 * decay)


def _logdet(matrices: "Array") -> "Array":
    return np.asarray(np.linalg.slogdet(matrices)[1])
