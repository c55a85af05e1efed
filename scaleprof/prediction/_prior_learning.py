"""Learn the population of accuracy curves from families of trained models.

Expectation-maximisation on the Laplace posterior of each family: fit every family under the
current prior, then take the population's moments from the posteriors. The shipped constants
(`_priors.PUBLISHED_PRIOR`) are its result on all published families.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ._accuracy import anchor_arrays
from ._accuracy_metric import metric_scale
from ._accuracy_query import TrainedModel
from ._floor_law import fit_posterior
from ._priors import REGIMES, FloorPrior, Triple, regime_components

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]

# Vague on purpose, so that no family under test leaks in through the start.
START = FloorPrior(
    mean=(2.7, -0.6, 2.0),  # 15 %, 0.55, 7.4 %
    sd=(0.3, 0.4, 0.5),
    correlation=(0.0, 0.0, 0.0),
    shifts=dict.fromkeys(REGIMES, (0.0, 0.0, 0.0)),
    weights={"plain": 0.3, "strong": 0.4, "mobile": 0.1, "extra": 0.2},
    residual=0.0275,
    residual_spread=0.9,
    thinness_sd=1.0,
)
ITERATIONS = 10
# A regime with this many families keeps half of its own mean; the rest is drawn to the middle.
SHRINKAGE_FAMILIES = 3.0
# A family's most probable floor lies below its mean one, since nothing but the prior stops it from
# falling; the lift was chosen on families, see the benchmark of this law.
FLOOR_LIFT = 0.05
# ln E, ln b, ln A and thinness among the parameters of a curve; the other two shape coefficients
# come from grids.
LEARNED = (0, 1, 2, 5)
# Degrees of freedom of the Student distribution that families are taken to come from.
TAIL_DEGREES = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRecord:
    """Trained models of one family and recipe.

    Attributes:
        points: Its members.
        regime: One of the law's regimes.
        transformer: Whether attention mixes the positions of its nets.
        weight: How much it counts; below 1 for one of several copies of the same nets.
    """

    points: Sequence[TrainedModel]
    regime: str
    transformer: bool = False
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moments:
    """What a family says about (ln E, ln b, ln A, thinness)."""

    theta: "Array"
    covariance: "Array"


def learn_prior(families: Sequence[FamilyRecord], *, start: FloorPrior = START) -> FloorPrior:
    """Return the prior that makes the families most likely, by expectation-maximisation.

    Args:
        families: Families whose regime the law knows; others are left out.
        start: Where to start, and what is not learned: shape coefficients, regime weights.

    Returns:
        The learned prior.
    """
    known = [family for family in families if family.regime in REGIMES]
    prior = start
    for _ in range(ITERATIONS):
        prior = _maximise(prior, known, [_posterior_moments(prior, f) for f in known])
    floor, slope, fall = prior.mean
    return replace(prior, mean=(floor + FLOOR_LIFT, slope, fall))


def _posterior_moments(prior: FloorPrior, family: FamilyRecord) -> _Moments:
    components = regime_components(prior, {family.regime: 1.0}, transformer=family.transformer)
    scale = metric_scale("top1_percent")
    posterior = fit_posterior(components, *anchor_arrays(family.points, scale))
    weight, theta = posterior.weight, posterior.theta[:, LEARNED]
    centre = weight @ theta
    inside = np.einsum("c,cij->ij", weight, posterior.covariance[:, LEARNED][:, :, LEARNED])
    between = np.einsum("c,ci,cj->ij", weight, theta - centre, theta - centre)
    return _Moments(theta=centre, covariance=inside + between)


def _maximise(
    prior: FloorPrior, families: Sequence[FamilyRecord], moments: Sequence[_Moments]
) -> FloorPrior:
    """Take the population's moments from the families' posteriors."""
    theta = np.array([m.theta[:3] for m in moments])
    weight = np.array([family.weight for family in families])
    weight = weight * _typicality(prior, families, moments)
    shifts, transformer = _shifts(prior, families, theta, weight)
    prior = replace(prior, shifts=shifts, transformer=transformer)
    rest = theta - np.array([prior.shift(f.regime, f.transformer) for f in families])
    mean = np.average(rest, axis=0, weights=weight)
    spread = (rest - mean)[:, :, None] * (rest - mean)[:, None, :]
    inside = np.array([m.covariance[:3, :3] for m in moments])
    covariance = np.average(spread + inside, axis=0, weights=weight)
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    thinness, thinness_sd = _thinness(families, moments, weight)
    return replace(
        prior,
        thinness=thinness,
        thinness_sd=thinness_sd,
        mean=tuple(mean),
        sd=tuple(sd),
        correlation=(correlation[0, 1], correlation[0, 2], correlation[1, 2]),
    )


def _typicality(
    prior: FloorPrior, families: Sequence[FamilyRecord], moments: Sequence[_Moments]
) -> "Array":
    """Weigh families as a Student distribution does, so that a few odd designs do not lead."""
    inverse = np.linalg.inv(prior.covariance())
    shifts = np.array([prior.shift(f.regime, f.transformer) for f in families])
    offset = np.array([m.theta[:3] for m in moments]) - prior.mean - shifts
    distance = np.einsum("fi,ij,fj->f", offset, inverse, offset)
    distance += np.einsum("ij,fji->f", inverse, np.array([m.covariance[:3, :3] for m in moments]))
    return np.asarray((TAIL_DEGREES + 3.0) / (TAIL_DEGREES + distance))


def _shifts(
    prior: FloorPrior, families: Sequence[FamilyRecord], theta: "Array", weight: "Array"
) -> tuple[dict[str, Triple], Triple]:
    """Return the offsets of each regime and of transformers from the middle."""
    attention = np.array([family.transformer for family in families])
    offset = theta - prior.mean
    by_regime = offset - np.outer(attention, prior.transformer)
    shifts = {
        regime: _drawn_mean(by_regime, weight * [f.regime == regime for f in families])
        for regime in REGIMES
    }
    rest = offset - np.array([shifts[family.regime] for family in families])
    return shifts, _drawn_mean(rest, weight * attention)


def _thinness(
    families: Sequence[FamilyRecord], moments: Sequence[_Moments], weight: "Array"
) -> tuple[dict[str, float], float]:
    """Return the mean coefficient of each regime, drawn to that of all, and their common sd."""
    value = np.array([m.theta[3] for m in moments])
    centre = float(np.average(value, weights=weight))
    means = {}
    for regime in REGIMES:
        own = weight * np.array([f.regime == regime for f in families])
        means[regime] = centre + float(own @ (value - centre) / (own.sum() + SHRINKAGE_FAMILIES))
    rest = value - np.array([means[f.regime] for f in families])
    inside = np.array([m.covariance[3, 3] for m in moments])
    return means, float(np.sqrt(np.average(rest**2 + inside, weights=weight)))


def _drawn_mean(offset: "Array", weight: "Array") -> Triple:
    """Return a mean that is drawn to 0 where families are few."""
    mean = weight @ offset / (weight.sum() + SHRINKAGE_FAMILIES)
    return float(mean[0]), float(mean[1]), float(mean[2])
