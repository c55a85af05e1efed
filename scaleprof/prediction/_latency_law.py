r"""Latency of variants from the work they do: a roofline with priors, and what it leaves over.

.. math::
    \ln t = \ln f_\theta(\text{work}) + g + \varepsilon

f is the roofline (`_roofline`) with a normal prior on its log rates (`_rates`); g is a Gaussian
process over how models spend their time and over families; ε is noise. A handful of measured
variants moves the rates and, through g, carries the residual of the base over to its relatives;
with hundreds of them g learns what the roofline misses. All are fitted together by Gauss-Newton.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..records import LatencyBand, Work
from ._roofline import Rows, rows_of, times

if TYPE_CHECKING:
    from ._rates import RatePrior
    from ._roofline import Array

MAX_STEPS = 30
MAX_HALVINGS = 8
CONVERGED = 1e-5
# residuals beyond this many standard deviations weigh less, as under Student's t
DEGREES = 4.0
ROBUST_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """How far models depart from the roofline, as standard deviations of ln t.

    Attributes:
        family: Shared by all models of a family.
        member: Of a family's member, fading with its distance in size.
        member_reach: Distance in logarithms of MACs, bytes and calls at which it has faded.
        likeness: Shared by models that spend their time alike.
        likeness_reach: Distance in shares of time at which that has faded.
        size_reach: The same in logarithms of MACs, bytes and calls.
        noise: Of one measurement, and of what nothing explains.
    """

    family: float
    member: float
    member_reach: float
    likeness: float
    likeness_reach: float
    size_reach: float
    noise: float


# Chosen on published tables of four GPUs and two CPUs (benchmarks/does_the_latency_law_predict.py).
ON_GPU = Residual(
    family=0.11,
    member=0.06,
    member_reach=1.0,
    likeness=0.06,
    likeness_reach=0.3,
    size_reach=3.0,
    noise=0.05,
)
ON_CPU = Residual(
    family=0.19,
    member=0.1,
    member_reach=1.0,
    likeness=0.1,
    likeness_reach=0.3,
    size_reach=3.0,
    noise=0.06,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A model as the law sees it.

    Attributes:
        work: What it does in one forward pass of a batch.
        family: Name shared with its relatives; only equality counts.
        offset: Known departure from the roofline in ln t, carried over from another device.
    """

    work: Sequence[Work]
    family: str = ""
    offset: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Where models are, for the Gaussian process."""

    rows: Rows
    offset: "Array"
    family: "Array"
    size: "Array"
    shares: "Array"


@dataclass(frozen=True, slots=True, kw_only=True)
class RooflineLaw:
    """A fitted law.

    Attributes:
        theta: Log rates at the mode, [parameters].
        covariance: Of the log rates, [parameters, parameters].
        residual: Scales of what the roofline leaves over.
        points: Number of measured models it rests on.
    """

    theta: "Array"
    covariance: "Array"
    residual: Residual
    points: int
    _reference: "Array"
    _families: dict[str, int] = field(repr=False)
    _places: _Places = field(repr=False)
    _inverse: "Array" = field(repr=False)
    _left_over: "Array" = field(repr=False)
    _slopes: "Array" = field(repr=False)

    def predict(self, workloads: Sequence[Workload]) -> tuple["Array", "Array"]:
        """Return mean and standard deviation of ln t of each workload, in ln seconds."""
        places = _places(workloads, self._reference, dict(self._families))
        there = times(self.theta, places.rows)
        cross = _kernel(self.residual, places, self._places)
        gain = cross @ self._inverse
        mean = there.log_seconds + places.offset + gain @ self._left_over
        left = there.slopes - gain @ self._slopes
        variance = np.einsum("qi,ij,qj->q", left, self.covariance, left)
        variance += _own_variance(self.residual) - np.einsum("qn,qn->q", gain, cross)
        return mean, np.sqrt(np.maximum(variance, 0.0) + self.residual.noise**2)

    def leave_one_out(self) -> tuple["Array", "Array"]:
        """Predict each measured model from the others: mean and standard deviation of ln t.

        In closed form (Rasmussen and Williams 2006, eq. 5.12), with the roofline as a line around
        its mode; the rates are not fitted anew.
        """
        gain = self._inverse @ self._slopes
        # (K + J S J')⁻¹ by Woodbury, and its product with what the prior's mean leaves over
        inverse = self._inverse - gain @ self.covariance @ gain.T
        weighted = self._inverse @ self._left_over
        alone = 1.0 / np.diag(inverse)
        there = times(self.theta, self._places.rows).log_seconds + self._places.offset
        return there + self._left_over - weighted * alone, np.sqrt(alone)

    def departures(self, workloads: Sequence[Workload]) -> "Array":
        """Return how far each workload is expected to be from the roofline, in ln t."""
        mean, _ = self.predict(workloads)
        rows = rows_of([workload.work for workload in workloads])
        return np.asarray(mean - times(self.theta, rows).log_seconds)

    def bands(self, workloads: Sequence[Workload]) -> list[LatencyBand]:
        """Return the median and the 90 % band of each workload in seconds."""
        return self._bands(*self.predict(workloads))

    def left_out_bands(self) -> list[LatencyBand]:
        """Return the median and the 90 % band of each measured model, predicted from the others."""
        return self._bands(*self.leave_one_out())

    def _bands(self, mean: "Array", spread: "Array") -> list[LatencyBand]:
        from scipy.special import stdtrit

        reach = float(stdtrit(DEGREES + self.points, 0.95)) * spread
        return [
            LatencyBand(p50=math.exp(m), p05=math.exp(m - r), p95=math.exp(m + r))
            for m, r in zip(mean, reach, strict=True)
        ]

    def starting_share(self, work: Sequence[Work]) -> float:
        """Return the share of starting operators in the time of a workload."""
        return float(times(self.theta, rows_of([work])).starting[0])

    def starting_dominates_below(self, work: Sequence[Work]) -> float:
        """Return by what to multiply the MACs and bytes of every call so that starting takes half.

        The time of a call is proportional to them, so this is what starting all calls takes over
        the time of the calls themselves.
        """
        share = self.starting_share(work)
        return share / max(1.0 - share, 1e-12)


def fit_roofline(
    workloads: Sequence[Workload],
    latencies_s: Sequence[float],
    prior: "RatePrior",
    residual: Residual,
) -> RooflineLaw:
    """Fit the law to measured models.

    Args:
        workloads: What was measured; none is allowed.
        latencies_s: Median latency of each, in seconds.
        prior: What is known of the device's rates.
        residual: How far models depart from the roofline.

    Raises:
        ValueError: If a latency is not positive, or there are not as many as workloads.
    """
    if len(workloads) != len(latencies_s) or not all(t > 0 for t in latencies_s):
        raise ValueError("every workload needs one positive latency")
    families: dict[str, int] = {}
    places = _places(workloads, prior.mean, families)
    target = np.log(np.asarray(latencies_s, dtype=float)) - places.offset
    kernel = _kernel(residual, places, places)
    noise = np.full(len(workloads), residual.noise**2)
    theta = prior.mean
    for _ in range(ROBUST_ROUNDS):
        inverse = np.linalg.inv(kernel + np.diag(noise))
        theta = _mode(places.rows, target, inverse, prior, start=theta)
        noise = _reweighted(target - times(theta, places.rows).log_seconds, inverse, residual)
    inverse = np.linalg.inv(kernel + np.diag(noise))
    there = times(theta, places.rows)
    precision = there.slopes.T @ inverse @ there.slopes + np.linalg.inv(prior.covariance)
    return RooflineLaw(
        theta=theta,
        covariance=np.linalg.inv(precision),
        residual=residual,
        points=len(workloads),
        _reference=prior.mean,
        _families=families,
        _places=places,
        _inverse=inverse,
        _left_over=target - there.log_seconds,
        _slopes=there.slopes,
    )


def prior_covariance(
    prior: "RatePrior", residual: Residual, workloads: Sequence[Workload]
) -> "Array":
    """Return the covariance of ln t of workloads of which none is measured yet."""
    places = _places(workloads, prior.mean, {})
    slopes = times(prior.mean, places.rows).slopes
    return np.asarray(slopes @ prior.covariance @ slopes.T + _kernel(residual, places, places))


def _mode(
    rows: Rows, target: "Array", inverse: "Array", prior: "RatePrior", *, start: "Array"
) -> "Array":
    """Climb to the most probable log rates, halving steps that overshoot."""
    theta, mean, prior_inverse = start, prior.mean, np.linalg.inv(prior.covariance)

    def loss(at: "Array") -> float:
        left, shift = target - times(at, rows).log_seconds, at - mean
        return float(left @ inverse @ left + shift @ prior_inverse @ shift)

    best = loss(theta)
    for _ in range(MAX_STEPS):
        there = times(theta, rows)
        weighted = there.slopes.T @ inverse
        gradient = weighted @ (target - there.log_seconds) - prior_inverse @ (theta - mean)
        step = np.linalg.solve(weighted @ there.slopes + prior_inverse, gradient)
        for _ in range(MAX_HALVINGS):
            tried = loss(theta + step)
            if tried <= best:
                break
            step = step / 2
        else:
            break
        theta, gain, best = theta + step, best - tried, tried
        if gain < CONVERGED * max(best, 1.0):
            break
    return theta


def _reweighted(left: "Array", inverse: "Array", residual: Residual) -> "Array":
    """Noise variance of each point, larger for those that all others speak against."""
    # leave-one-out residuals of a Gaussian process (Rasmussen and Williams 2006, eq. 5.12)
    alone = 1.0 / np.diag(inverse)
    surprise = (inverse @ left) ** 2 * alone
    doubt = np.maximum(0.0, (DEGREES + surprise) / (DEGREES + 1.0) - 1.0)
    return np.asarray(residual.noise**2 + doubt * alone)


def _places(workloads: Sequence[Workload], reference: "Array", families: dict[str, int]) -> _Places:
    rows = rows_of([workload.work for workload in workloads])

    def total(amount: "Array") -> "Array":
        return np.asarray(np.log1p(np.bincount(rows.owner, rows.calls * amount, rows.models)))

    number = [families.setdefault(w.family, len(families)) for w in workloads]
    return _Places(
        rows=rows,
        offset=np.array([workload.offset for workload in workloads], dtype=float),
        family=np.array(number, dtype=float),
        size=np.column_stack([total(a) for a in (rows.macs, rows.moved, np.ones_like(rows.calls))]),
        shares=times(reference, rows).by_kind,
    )


def _own_variance(residual: Residual) -> float:
    return residual.family**2 + residual.member**2 + residual.likeness**2


def _kernel(residual: Residual, left: _Places, right: _Places) -> "Array":
    """Covariance of the residuals of two sets of models, [left, right]."""
    same = left.family[:, None] == right.family[None, :]
    apart = _differences(left.size, right.size).sum(axis=0)
    kin = residual.family**2 + residual.member**2 * np.exp(-apart / residual.member_reach)
    unlike = (_differences(left.shares, right.shares) ** 2).sum(axis=0) / residual.likeness_reach**2
    distance = (_differences(left.size, right.size) ** 2).sum(axis=0) / residual.size_reach**2
    alike = residual.likeness**2 * np.exp(-np.sqrt(unlike + distance))
    return np.asarray(same * kin + alike)


def _differences(left: "Array", right: "Array") -> "Array":
    """Absolute differences of two sets of points, [coordinate, left, right]."""
    return np.abs(left.T[:, :, None] - right.T[:, None, :])
