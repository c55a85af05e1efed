r"""What published tables say about how error falls with compute: the prior of the floor law.

The law is :math:`f(x) = E + A e^{-bx}` on :math:`x = \ln(\text{GMACs})`, in percent of error.
Its parameters :math:`(\ln E, \ln b, \ln A)` are normal around a mean that depends on the training
regime. Two shape coefficients (see `_recipe_shape`) are independent of them.

The figures were fitted to families of published ImageNet models;
``benchmarks/does_the_accuracy_law_predict_left_out_families.py`` fits them anew without the
lineage it tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]

Triple = tuple[float, float, float]

REGIMES = ("plain", "strong", "mobile", "extra")
GENERIC = "generic"

# A stated regime may be wrong, and a wrong one costs more than none (rms 1.84 against 1.64
# points from one anchor), so the others keep a share.
STATED_WEIGHT = 0.85
GENERIC_WEIGHT = 0.03

# Nodes of ln s around its median, in units of its spread, with normal weights.
SCALE_NODES = (-1.6, -0.8, 0.0, 0.8, 1.6)


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorPrior:
    """The population that a family is drawn from.

    Attributes:
        mean: Of (ln E, ln b, ln A) in the middle of the regimes.
        sd: Standard deviations of the same within a regime.
        correlation: Correlations (E,b), (E,A), (b,A).
        shifts: Shift of (ln E, ln b, ln A) by regime.
        weights: Probability of each regime when none is stated.
        residual: Median of s, the sd of a family's departure from its curve, in ln error.
        residual_spread: Standard deviation of ln s.
        transformer: Shift for nets with attention, whose small members do worse.
        length: Distance in ln compute (plus shape) over which departures stay alike.
        imbalance: Mean and sd of the width-resolution coefficient.
        lopsided: Mean and sd of the single-axis coefficient.
        thinness: Mean coefficient of MACs per parameter by regime; not in it: none.
        thinness_sd: Its standard deviation within a regime.
    """

    mean: Triple
    sd: Triple
    correlation: Triple
    shifts: Mapping[str, Triple]
    weights: Mapping[str, float]
    residual: float
    residual_spread: float
    transformer: Triple = (0.0, 0.0, 0.0)
    length: float = 3.0
    imbalance: tuple[float, float] = (0.25, 0.10)
    lopsided: tuple[float, float] = (1.0, 0.5)
    thinness: Mapping[str, float] = field(default_factory=dict)
    thinness_sd: float = 0.3

    def shift(self, regime: str, transformer: bool) -> "Array":
        """Return the offset of a kind of family from the middle of all."""
        return np.add(self.shifts[regime], np.multiply(transformer, self.transformer))

    def covariance(self) -> "Array":
        """Return the 3 x 3 covariance of (ln E, ln b, ln A)."""
        return _covariance(self.sd, self.correlation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """A mixture over regimes and residual scales, as arrays with one row per component.

    Attributes:
        regimes: Name of each component's regime.
        mean: Prior mean of the parameters, [components, 6].
        covariance: Prior covariance, [components, 6, 6].
        origin: ln GMACs at which the component's compute is 1, [components].
        scale: Residual sd s in ln error, [components].
        log_weight: Log of the prior probability, [components].
        length: Correlation length of residuals.
    """

    regimes: tuple[str, ...]
    mean: "Array"
    covariance: "Array"
    origin: "Array"
    scale: "Array"
    log_weight: "Array"
    length: float


PUBLISHED_PRIOR = FloorPrior(
    mean=(2.754, -0.677, 2.050),  # 15.7 %, 0.51, 7.8 %
    sd=(0.078, 0.207, 0.330),
    correlation=(0.592, -0.438, -0.050),
    shifts=MappingProxyType(
        {
            "plain": (0.123, -0.035, 0.256),
            "strong": (-0.022, 0.068, -0.010),
            "mobile": (0.012, -0.210, -0.044),
            "extra": (-0.165, -0.021, 0.262),
        }
    ),
    weights=MappingProxyType({"plain": 0.3, "strong": 0.4, "mobile": 0.1, "extra": 0.2}),
    residual=0.0275,
    residual_spread=0.9,
    transformer=(-0.019, 0.129, 0.251),
    thinness=MappingProxyType({"plain": 0.301, "strong": 0.109, "mobile": 0.022, "extra": 0.187}),
    thinness_sd=0.430,
)

# Any metric of any data: a floor at 0.7 and a falling part of 0.3 of the best anchor's error,
# with its compute as origin. It keeps an anchor below every known floor from turning error upward.
GENERIC_FLOOR, GENERIC_FLOOR_SD = 0.7, 0.25
GENERIC_FALL, GENERIC_FALL_SD = 0.3, 0.60
GENERIC_CORRELATION = -0.6


def regime_weights(prior: FloorPrior, stated: str | None) -> dict[str, float]:
    """Return the prior probability of each regime, given what the user stated."""
    if stated not in REGIMES:
        return dict(prior.weights)
    others = sum(weight for regime, weight in prior.weights.items() if regime != stated)
    shares = {r: (1 - STATED_WEIGHT) * w / others for r, w in prior.weights.items()}
    return shares | {stated: STATED_WEIGHT}


def regime_components(
    prior: FloorPrior, weights: Mapping[str, float], *, transformer: bool = False
) -> Components:
    """Lay out regimes x residual scales as one mixture of ImageNet curves."""
    regimes = [regime for regime in weights if weights[regime] > 0]
    means = [
        _with_shape(prior, regime, prior.mean + prior.shift(regime, transformer), transformer)
        for regime in regimes
    ]
    covariance = _shape_covariance(prior, prior.covariance())
    logs = [np.log(weights[regime]) for regime in regimes]
    return _spread_over_scales(prior, regimes, means, covariance, logs, origin=0.0)


def generic_components(
    prior: FloorPrior, *, error: float, log_compute: float, weight: float, transformer: bool
) -> Components:
    """Lay out the component that knows no data set, only the best anchor."""
    centre = (np.log(GENERIC_FLOOR * error), prior.mean[1], np.log(GENERIC_FALL * error))
    sd = (GENERIC_FLOOR_SD, prior.sd[1], GENERIC_FALL_SD)
    covariance = _shape_covariance(prior, _covariance(sd, (0.0, GENERIC_CORRELATION, 0.0)))
    mean = _with_shape(prior, GENERIC, np.array(centre), transformer)
    logs = [np.log(weight)]
    return _spread_over_scales(prior, [GENERIC], [mean], covariance, logs, origin=log_compute)


def join(first: Components, second: Components) -> Components:
    """Return the mixture of both, weights as they are."""
    arrays = {
        name: np.concatenate([getattr(first, name), getattr(second, name)])
        for name in ("mean", "covariance", "origin", "scale", "log_weight")
    }
    return Components(regimes=first.regimes + second.regimes, length=first.length, **arrays)


def _spread_over_scales(
    prior: FloorPrior,
    regimes: list[str],
    means: "list[Array]",
    covariance: "Array",
    log_weights: "list[float]",
    *,
    origin: float,
) -> Components:
    nodes = np.array(SCALE_NODES)
    node_weights = np.exp(-0.5 * nodes**2)
    count = len(regimes) * len(nodes)
    return Components(
        regimes=tuple(np.repeat(regimes, len(nodes)).tolist()),
        mean=np.repeat(np.array(means), len(nodes), axis=0),
        covariance=np.repeat(covariance[None], count, axis=0),
        origin=np.full(count, origin),
        scale=np.tile(prior.residual * np.exp(prior.residual_spread * nodes), len(regimes)),
        log_weight=np.add.outer(log_weights, np.log(node_weights / node_weights.sum())).ravel(),
        length=prior.length,
    )


def _with_shape(prior: FloorPrior, regime: str, mean: "Array", transformer: bool) -> "Array":
    thinness = prior.thinness.get(regime, 0.0)
    # lopsided transformers showed no loss in the published rows; their bands are widened alike
    lopsided = (0.0, 0.0) if transformer else (prior.imbalance[0], prior.lopsided[0])
    shape = (*lopsided, thinness)
    return np.concatenate([mean, shape])


def _shape_covariance(prior: FloorPrior, covariance: "Array") -> "Array":
    shape = (prior.imbalance[1], prior.lopsided[1], prior.thinness_sd)
    full = np.diag(np.square([0.0, 0.0, 0.0, *shape]))
    full[:3, :3] = covariance
    return full


def _covariance(sd: Triple, correlation: Triple) -> "Array":
    eb, ea, ba = correlation
    matrix = np.array([[1.0, eb, ea], [eb, 1.0, ba], [ea, ba, 1.0]])
    return np.asarray(matrix * np.outer(sd, sd))
