r"""Accuracy of variants that nobody trained, from relatives that somebody did.

Error falls with compute to a floor, :math:`e = E + A\,C^{-b}`; what a handful of anchors cannot
say about E, A and b comes from published families (`_priors`), and whatever stays open shows in
the band. A recipe's shape changes what its compute is worth (`_recipe_shape`).

The law refuses rather than guesses: without an anchor, or far outside what it has seen.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING

from ..records import Accuracy
from ._accuracy_metric import MetricScale, metric_scale
from ._recipe_shape import Shape, kernel_gain, shape_coordinates, shape_features

if TYPE_CHECKING:
    from ._floor_law import Array, FloorPosterior, Points
    from ._priors import Components, FloorPrior

# Support: rms from one anchor is 1.3 points at 2-4x and unknown beyond; four times the data's
# largest member costs 0.7, eight times 1.9.
REACH_UP, REACH_DOWN = 16.0, 4.0
SINGLE_ANCHOR_REACH = 4.0
SAME_COMPUTE = 1.3

# Above these a prediction is still made, with a word of warning.
SCATTER_POINTS = 1.5
GENERIC_SHARE = 0.5
CONTRADICTION = 0.5

# One anchor of a low-error metric (top-5, an easy data set) says little: one was off by 20 %.
LOW_ERROR = 10.0

# Published ImageNet models need 0.01 to 2000 GMACs; outside, the unit is probably another.
PLAUSIBLE_GMACS = (0.003, 3000.0)

_Z90 = NormalDist().inv_cdf(0.95)
_GRID_POINTS = 49


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyQuery:
    """A variant that nobody trained.

    Attributes:
        gmacs: Multiply-adds of one forward pass of one image, in units of 1e9.
        width: Achieved width factor relative to the base.
        depth: Achieved depth factor relative to the base.
        resolution: Input side relative to the base's.
        patch_size: Patch side relative to the base's.
        kernel_size: Kernel side relative to the base's.
    """

    gmacs: float
    width: float = 1.0
    depth: float = 1.0
    resolution: float = 1.0
    patch_size: float = 1.0
    kernel_size: float = 1.0

    def __post_init__(self) -> None:
        for name in ("gmacs", "width", "depth", "resolution", "patch_size", "kernel_size"):
            _require_positive(name, getattr(self, name))

    @property
    def shape(self) -> Shape:
        """The factors without the compute."""
        return Shape(
            width=self.width,
            depth=self.depth,
            resolution=self.resolution,
            patch_size=self.patch_size,
            kernel_size=self.kernel_size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A trained relative of the base, or the base itself.

    Attributes:
        gmacs: Multiply-adds of one forward pass of one image, in units of 1e9.
        metric: Its accuracy, top-1 in percent unless the law is fitted to another metric.
        width: Achieved width factor relative to the base.
        depth: Achieved depth factor relative to the base.
        resolution: Input side relative to the base's.
        patch_size: Patch side relative to the base's.
        kernel_size: Kernel side relative to the base's.
    """

    gmacs: float
    metric: float
    width: float = 1.0
    depth: float = 1.0
    resolution: float = 1.0
    patch_size: float = 1.0
    kernel_size: float = 1.0

    @property
    def query(self) -> AccuracyQuery:
        """The same variant with its accuracy forgotten."""
        return AccuracyQuery(
            gmacs=self.gmacs,
            width=self.width,
            depth=self.depth,
            resolution=self.resolution,
            patch_size=self.patch_size,
            kernel_size=self.kernel_size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyLaw:
    """A fitted law. Build it with `fit_accuracy_law` or `relative_gain_law`.

    Attributes:
        metric: Name of the predicted metric.
        anchors: Trained models the law was fitted to; empty for a relative law.
        regime_posterior: Probability of each training regime, given the anchors.
        notes: Warnings that hold for every prediction of this law.
        origin: The base of a relative law, whose gain is 0; else None.
    """

    metric: str
    anchors: tuple[TrainedModel, ...]
    regime_posterior: dict[str, float]
    notes: tuple[str, ...]
    origin: AccuracyQuery | None
    _scale: MetricScale
    _posterior: "FloorPosterior"
    _refit: "Callable[[Sequence[TrainedModel]], AccuracyLaw]"
    _correction: "tuple[Array, Array] | None" = None

    def predict(self, query: AccuracyQuery) -> Accuracy:
        """Predict one variant, with a 90 % band.

        Args:
            query: The variant.

        Returns:
            The prediction; status ``anchor`` for a trained variant, ``refused`` outside the
            law's support, ``band_only`` where the band is honest but its middle is not.
        """
        known = self._known(query)
        if known is not None:
            return self._accuracy(known, known, known, "anchor", None)
        refusal = self._refusal(query)
        if refusal:
            return Accuracy(
                metric=self.metric, mean=None, p05=None, p95=None, status="refused", reason=refusal
            )
        mean, low, high = self._relative(query) if self.origin else self._absolute(query)
        doubt = self._band_only(query)
        reasons = [*([doubt] if doubt else []), *_widened(query, self._references), *self.notes]
        return self._accuracy(
            None if doubt else mean, low, high, "band_only" if doubt else "ok", "; ".join(reasons)
        )

    def gain(self, query: AccuracyQuery, reference: AccuracyQuery) -> tuple[float, float]:
        """Compare two variants, what they share in uncertainty taken out.

        Args:
            query: The variant.
            reference: The variant it is compared with.

        Returns:
            Mean and standard deviation of the improvement over the reference, in the metric's
            unit and positive if the query is better. Training noise is not included.
        """
        import numpy as np

        mean, sd = self._component_gains(query, reference)
        weight = self._posterior.weight
        centre = float(weight @ mean)
        variance = float(weight @ (sd**2 + (mean - centre) ** 2))
        kernels = self._kernel_gain(query) - self._kernel_gain(reference)
        shift = self._shift(query) - self._shift(reference)
        return centre - shift + kernels, float(np.hypot(math.sqrt(variance), 0.5 * kernels))

    def leave_largest_out(self) -> float | None:
        """Return how far the law misses its largest anchor when fitted to the others.

        Returns:
            The absolute error in the metric's unit; None with fewer than two distinct anchors.
        """
        largest = max(self.anchors, key=lambda anchor: anchor.gmacs, default=None)
        rest = [a for a in self.anchors if largest and a.gmacs * SAME_COMPUTE < largest.gmacs]
        if largest is None or not rest:
            return None
        smaller = self._refit(rest)
        return abs(smaller._absolute(largest.query)[0] - largest.metric)

    @property
    def _references(self) -> tuple[AccuracyQuery, ...]:
        return (self.origin,) if self.origin else tuple(a.query for a in self.anchors)

    def _known(self, query: AccuracyQuery) -> float | None:
        if query == self.origin:
            return 0.0
        values = [anchor.metric for anchor in self.anchors if anchor.query == query]
        return sum(values) / len(values) if values else None

    def _refusal(self, query: AccuracyQuery) -> str | None:
        return _refusal(query, self._references)

    def _band_only(self, query: AccuracyQuery) -> str | None:
        distinct = _distinct_computes(self._references)
        if len(distinct) > 1:
            return None
        if not self._scale.imagenet and self._scale.percent and self._best_error() < LOW_ERROR:
            return "one anchor of a low-error metric gives a band only; a second would give a value"
        reach = query.gmacs / distinct[0]
        if max(reach, 1 / reach) > SINGLE_ANCHOR_REACH:
            return f"{reach:.3g}x the compute of the only anchor: a band, no value"
        return None

    def _best_error(self) -> float:
        return min((self._scale.error(a.metric) for a in self.anchors), default=math.inf)

    def _absolute(self, query: AccuracyQuery) -> tuple[float, float, float]:
        """Return mean and band of the metric."""
        import numpy as np

        mean, covariance = self._posterior.predict(_points([query], self._references))
        middle, weight = mean[:, 0], self._posterior.weight
        error = float(weight @ np.exp(middle + 0.5 * covariance[:, 0, 0]))
        sd = np.sqrt(covariance[:, 0, 0] + self._scale.noise(error) ** 2)
        shift, kernel = self._shift(query), self._kernel_gain(query)
        ends = [math.exp(_mixture_quantile(middle, sd, weight, q)) for q in (0.05, 0.95)]
        sign = 1.0 if self._scale.higher_is_better else -1.0
        values = [self._scale.value(e + shift - kernel) for e in (error, *ends)]
        best, worst = values[1], values[2]
        low, high = (worst, best) if sign > 0 else (best, worst)
        return self._widen_for_kernel(values[0], low, high, kernel)

    def _relative(self, query: AccuracyQuery) -> tuple[float, float, float]:
        """Return mean and band of the gain over the base."""
        assert self.origin is not None
        mean, sd = self._component_gains(query, self.origin)
        weight = self._posterior.weight
        kernel = self._kernel_gain(query)
        low, high = (_mixture_quantile(mean, sd, weight, q) + kernel for q in (0.05, 0.95))
        middle = self.gain(query, self.origin)[0]
        low, middle, high = (min(max(v, -100.0), 100.0) for v in (low, middle, high))
        return self._widen_for_kernel(middle, low, high, kernel)

    def _component_gains(
        self, query: AccuracyQuery, reference: AccuracyQuery
    ) -> "tuple[Array, Array]":
        """Return mean and sd of the fall in error by component, from log-normal moments."""
        import numpy as np

        mean, covariance = self._posterior.predict(_points([query, reference], self._references))
        variance = np.diagonal(covariance, axis1=1, axis2=2)
        error = np.exp(mean + 0.5 * variance)
        second = error[:, :, None] * error[:, None, :] * np.expm1(covariance)
        spread = second[:, 0, 0] + second[:, 1, 1] - 2 * second[:, 0, 1]
        return error[:, 1] - error[:, 0], np.sqrt(np.maximum(spread, 0.0))

    def _kernel_gain(self, query: AccuracyQuery) -> float:
        return kernel_gain(query.kernel_size) if self._scale.imagenet else 0.0

    def _widen_for_kernel(
        self, mean: float, low: float, high: float, kernel: float
    ) -> tuple[float, float, float]:
        doubt = _Z90 * 0.5 * abs(kernel)
        low, high = mean - math.hypot(mean - low, doubt), mean + math.hypot(high - mean, doubt)
        if self.origin is None and self._scale.percent:
            low, high = max(low, 0.0), min(high, 100.0)
        return mean, low, high

    def _shift(self, query: AccuracyQuery) -> float:
        """Return what makes the mean error fall with balanced compute, in points."""
        import numpy as np

        if self._correction is None:
            return 0.0
        grid, shift = self._correction
        return float(np.interp(math.log(query.gmacs), grid, shift))

    def _accuracy(
        self, mean: float | None, low: float, high: float, status: str, reason: str | None
    ) -> Accuracy:
        return Accuracy(
            metric=self.metric,
            mean=mean,
            p05=low,
            p95=high,
            status=status,  # type: ignore[arg-type]
            reason=reason or None,
        )


def fit_accuracy_law(
    points: Sequence[TrainedModel],
    *,
    regime: str | None = None,
    metric: str = "top1_percent",
    family_is_transformer: bool = False,
    prior: "FloorPrior | None" = None,
) -> AccuracyLaw:
    """Fit the law to trained relatives of a base.

    Args:
        points: The anchors: the base, members of its family, or the user's own runs.
        regime: Training regime they share: ``plain``, ``strong``, ``mobile`` or ``extra``; any
            other text counts as unknown.
        metric: What `TrainedModel.metric` is. ``top1_percent`` uses what is known of ImageNet;
            ``error`` and ``loss`` fall with compute; other names are accuracies in percent.
        family_is_transformer: Whether lopsided recipes are free of the penalty of
            convolutional nets.
        prior: The population of families; by default that of the published tables.

    Returns:
        The fitted law.

    Raises:
        ValueError: If there is no anchor, or one has a value that is not a number or impossible.

    Examples:
        >>> law = fit_accuracy_law([TrainedModel(gmacs=4.09, metric=76.1)], regime="plain")
        >>> law.predict(AccuracyQuery(gmacs=7.8)).status
        'ok'
    """
    from ._floor_law import fit_posterior
    from ._priors import PUBLISHED_PRIOR

    import numpy as np

    if not points:
        raise ValueError("the accuracy law needs at least one trained model, got none")
    scale, prior = metric_scale(metric), prior or PUBLISHED_PRIOR
    queries = [point.query for point in points]
    anchors = anchor_arrays(points, scale)
    errors = np.exp(anchors[1]).tolist()
    best = min(range(len(errors)), key=errors.__getitem__)
    components = _components(
        prior, regime, scale, errors[best], queries[best].gmacs, family_is_transformer
    )
    posterior = fit_posterior(components, *anchors)

    def refit(others: Sequence[TrainedModel]) -> AccuracyLaw:
        return fit_accuracy_law(
            others,
            regime=regime,
            metric=metric,
            family_is_transformer=family_is_transformer,
            prior=prior,
        )

    law = AccuracyLaw(
        metric=metric,
        anchors=tuple(points),
        regime_posterior=posterior.regime_weights(),
        notes=_notes(posterior, queries, errors, regime, scale),
        origin=None,
        _scale=scale,
        _posterior=posterior,
        _refit=refit,
    )
    return replace(law, _correction=_monotone_correction(law))


def relative_gain_law(
    gmacs: float,
    *,
    regime: str | None = None,
    family_is_transformer: bool = False,
    prior: "FloorPrior | None" = None,
) -> AccuracyLaw:
    """Predict gains over a base whose own accuracy is unknown.

    The base's accuracy is integrated over the published population, so the band is wide.

    Args:
        gmacs: Multiply-adds of the base for one image, in units of 1e9.
        regime: Training regime the variants will share, if known.
        family_is_transformer: Whether lopsided recipes are free of the penalty of
            convolutional nets.
        prior: The population of families; by default that of the published tables.

    Returns:
        A law whose predictions are ``top1_gain``, 0 for the base.

    Examples:
        >>> law = relative_gain_law(1.0)
        >>> law.predict(AccuracyQuery(gmacs=1.0)).mean
        0.0
    """
    from ._floor_law import fit_posterior
    from ._priors import PUBLISHED_PRIOR, regime_components, regime_weights

    import numpy as np

    origin, prior = AccuracyQuery(gmacs=gmacs), prior or PUBLISHED_PRIOR
    components = regime_components(
        prior, regime_weights(prior, regime), transformer=family_is_transformer
    )
    nothing = np.empty(0)
    posterior = fit_posterior(components, _points([], [origin]), nothing, nothing)

    def refit(others: Sequence[TrainedModel]) -> AccuracyLaw:
        raise AssertionError("a law without anchors leaves none out")

    return AccuracyLaw(
        metric="top1_gain",
        anchors=(),
        regime_posterior=posterior.regime_weights(),
        notes=("the base's accuracy is unknown: gain over the base, from published models",),
        origin=origin,
        _scale=metric_scale("top1_gain"),
        _posterior=posterior,
        _refit=refit,
    )


def anchor_arrays(
    points: Sequence[TrainedModel], scale: MetricScale
) -> "tuple[Points, Array, Array]":
    """Return places, ln error and its noise of trained models, as the base's kernel had them."""
    import numpy as np

    queries = [point.query for point in points]
    errors = [
        scale.error(point.metric) + (kernel_gain(point.kernel_size) if scale.imagenet else 0.0)
        for point in points
    ]
    noise = [scale.noise(error) for error in errors]
    return _points(queries, queries), np.log(errors), np.array(noise)


def _components(
    prior: "FloorPrior",
    regime: str | None,
    scale: MetricScale,
    best_error: float,
    best_gmacs: float,
    transformer: bool,
) -> "Components":
    from ._priors import (
        GENERIC_WEIGHT,
        generic_components,
        join,
        regime_components,
        regime_weights,
    )

    generic = generic_components(
        prior,
        error=best_error,
        log_compute=math.log(best_gmacs),
        weight=GENERIC_WEIGHT if scale.imagenet else 1.0,
        transformer=transformer,
    )
    if not scale.imagenet:
        return generic
    weights = {
        name: (1 - GENERIC_WEIGHT) * weight
        for name, weight in regime_weights(prior, regime).items()
    }
    return join(regime_components(prior, weights, transformer=transformer), generic)


def _points(queries: Sequence[AccuracyQuery], references: Sequence[AccuracyQuery]) -> "Points":
    import numpy as np

    from ._floor_law import Points

    shapes = [query.shape for query in queries]
    return Points(
        log_compute=np.array([math.log(_compute(query, references)) for query in queries]),
        features=np.array([shape_features(shape) for shape in shapes]).reshape(-1, 2),
        coordinates=np.array([shape_coordinates(shape) for shape in shapes]).reshape(-1, 2),
    )


def _compute(query: AccuracyQuery, references: Sequence[AccuracyQuery]) -> float:
    """Return the compute that counts, GMACs: what a larger kernel costs buys nothing."""
    if query.kernel_size == 1.0:
        return query.gmacs
    same = [r for r in references if r.kernel_size == 1.0]
    if not same:
        return query.gmacs
    near = min(same, key=lambda r: abs(math.log(r.gmacs / query.gmacs)))
    explained = near.gmacs * query.shape.compute / near.shape.compute
    if query.kernel_size > 1.0:
        return min(query.gmacs, explained)
    return max(query.gmacs, explained)


def _monotone_correction(law: AccuracyLaw) -> "tuple[Array, Array] | None":
    """Return grid and shift that make the error of balanced scaling fall everywhere.

    Anchors can reverse (a large member trained badly); a recipe that scales a model up must not
    look worse for it. The mean of the two monotone envelopes moves the curve least.
    """
    import numpy as np

    computes = [anchor.gmacs for anchor in law.anchors]
    low, high = math.log(min(computes) / REACH_DOWN), math.log(max(computes) * REACH_UP)
    grid = np.linspace(low, high, _GRID_POINTS)
    queries = [AccuracyQuery(gmacs=math.exp(x)) for x in grid]
    mean, covariance = law._posterior.predict(_points(queries, law._references))
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    error = law._posterior.weight @ np.exp(mean + 0.5 * variance)
    lower, upper = np.minimum.accumulate(error), np.maximum.accumulate(error[::-1])[::-1]
    shift = 0.5 * (lower + upper) - error
    return (grid, shift) if np.abs(shift).max() > 0 else None


def _notes(
    posterior: "FloorPosterior",
    queries: Sequence[AccuracyQuery],
    errors: Sequence[float],
    regime: str | None,
    scale: MetricScale,
) -> tuple[str, ...]:
    notes = []
    weights = posterior.regime_weights()
    points = posterior.residual_scale() * math.exp(sum(map(math.log, errors)) / len(errors))
    if scale.percent and points > SCATTER_POINTS:
        notes.append(f"the anchors do not lie on one curve: they scatter by {points:.1f} points")
    if not scale.imagenet:
        return tuple(notes)
    likely = max(weights, key=weights.__getitem__)
    if weights["generic"] > GENERIC_SHARE:
        notes.append("the anchors lie outside the training recipes the law knows")
    elif regime in weights and regime != likely and weights[likely] > CONTRADICTION:
        notes.append(f"stated regime {regime!r}, but the anchors look like {likely!r}")
    low, high = PLAUSIBLE_GMACS
    odd = [query.gmacs for query in queries if not low <= query.gmacs <= high]
    if odd:
        notes.append(
            f"{odd[0]:g} GMACs an image is implausible: check the unit (1e9 multiply-adds)"
        )
    return tuple(notes)


def _distinct_computes(references: Sequence[AccuracyQuery]) -> list[float]:
    """Return the anchors' compute, GMACs ascending, near-duplicates once."""
    distinct: list[float] = []
    for gmacs in sorted(reference.gmacs for reference in references):
        if not distinct or gmacs > SAME_COMPUTE * distinct[-1]:
            distinct.append(gmacs)
    return distinct


def _refusal(query: AccuracyQuery, references: Sequence[AccuracyQuery]) -> str | None:
    largest = max(reference.gmacs for reference in references)
    smallest = min(reference.gmacs for reference in references)
    if query.gmacs > REACH_UP * largest:
        return f"{query.gmacs / largest:.3g}x the largest anchor's compute; the law reaches 16x"
    if query.gmacs < smallest / REACH_DOWN:
        return f"1/{smallest / query.gmacs:.3g} of the smallest anchor's compute; it reaches 1/4"
    return None


def _widened(query: AccuracyQuery, references: Sequence[AccuracyQuery]) -> list[str]:
    """Name what made the band wider than compute alone would."""
    reasons = []
    if query.kernel_size not in {reference.kernel_size for reference in references}:
        reasons.append("kernel size moves accuracy by at most 0.4 points, whatever it costs")
    if _distinct_lopsided(query):
        reasons.append("band widened for a lopsided recipe")
    return reasons


def _distinct_lopsided(query: AccuracyQuery) -> bool:
    return sum(shape_features(query.shape)) > 0.5


def _mixture_quantile(mean: "Array", sd: "Array", weight: "Array", q: float) -> float:
    """Return a quantile of a mixture of normals, by bisection."""
    import numpy as np
    from scipy.special import ndtr

    low, high = float((mean - 9 * sd).min()), float((mean + 9 * sd).max())
    safe = np.maximum(sd, 1e-12)
    for _ in range(60):
        middle = 0.5 * (low + high)
        if float(weight @ ndtr((middle - mean) / safe)) < q:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _require_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"`{name}` must be a positive number, got {value}")
