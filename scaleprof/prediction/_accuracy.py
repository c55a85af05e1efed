r"""Accuracy of variants that nobody trained, from relatives that somebody did.

Error falls with compute to a floor, :math:`e = E + A\,C^{-b}`. What a handful of anchors cannot
say about E, A and b comes from published families (`_priors`), and what stays open shows in the
band. A recipe's shape changes what its compute is worth (`_recipe_shape`); outside its support
the law refuses (`_accuracy_support`).

numpy is imported where it is needed: it costs 0.2 s, and most commands never predict.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

from scaleprof.records import Accuracy

from ._accuracy_metric import MetricScale, metric_scale
from ._accuracy_query import AccuracyQuery, TrainedModel, credited_gmacs
from ._accuracy_support import (
    REACH_DOWN,
    REACH_UP,
    SAME_COMPUTE,
    implausible_compute,
    refusal,
    single_anchor_doubt,
    widenings,
)
from ._recipe_shape import kernel_gain, shape_coordinates, shape_features

if TYPE_CHECKING:
    from ._floor_law import Array, FloorPosterior, Points
    from ._priors import Components, FloorPrior

Status = Literal["anchor", "ok", "band_only", "refused"]

# Above these a prediction is still made, with a word of warning.
SCATTER_POINTS = 1.5
GENERIC_SHARE = 0.5
CONTRADICTION = 0.5

# One anchor of a metric with few errors (top-5, an easy data set) says little: one was 20 % off.
LOW_ERROR = 10.0

# The kernel term is known to within half of itself.
KERNEL_DOUBT = 0.5

# Percent: in the middle of published nets, where noise in points hardly depends on it.
TYPICAL_ERROR = 20.0

BAND = (0.05, 0.95)
_Z = NormalDist().inv_cdf(BAND[1])
_GRID_POINTS = 65


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """What a law is fitted with besides its anchors.

    Attributes:
        scale: The metric.
        prior: The population of families.
        regime: Training regime the user stated, or None.
        transformer: Whether the family mixes positions by attention.
    """

    scale: MetricScale
    prior: "FloorPrior"
    regime: str | None
    transformer: bool


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
    _settings: FitSettings
    _posterior: "FloorPosterior"
    _correction: "tuple[Array, Array] | None" = None

    def predict(self, query: AccuracyQuery) -> Accuracy:
        """Predict one variant, with a 90 % band that includes the noise of training it.

        Args:
            query: The variant.

        Returns:
            The prediction. Its status is ``anchor`` for a trained variant, ``refused`` outside
            the law's support, and ``band_only`` where only the band can be vouched for.
        """
        known = self._known(query)
        if known is not None:
            return self._record("anchor", known, (known, known), ())
        reason = refusal(query, self._references)
        if reason:
            return self._record("refused", None, None, (reason,))
        mean, band = self._mean_and_band(query)
        reasons = (*widenings(query, self._references), *self.notes)
        doubt = self._doubt(query)
        if doubt:
            return self._record("band_only", None, band, (doubt, *reasons))
        return self._record("ok", mean, band, reasons)

    def gain(self, query: AccuracyQuery, reference: AccuracyQuery) -> tuple[float, float]:
        """Compare two variants; what they share in uncertainty cancels.

        Args:
            query: The variant.
            reference: The variant it is compared with.

        Returns:
            Mean and standard deviation of the improvement over the reference, in the metric's
            unit, positive if the query is better whatever the metric's direction. Noise of
            training is left out: it is the same for any two variants.
        """
        from ._mixtures import mixture_moments

        centre, sd = mixture_moments(
            *self._component_gains(query, reference), self._posterior.weight
        )
        kernels = self._kernel_gain(query) - self._kernel_gain(reference)
        shift = self._shift(reference) - self._shift(query)
        return centre + shift + kernels, math.hypot(sd, KERNEL_DOUBT * kernels)

    def leave_largest_out(self) -> float | None:
        """Return how far the law misses its largest anchor when fitted to the smaller ones.

        Returns:
            The absolute error in the metric's unit; None without a smaller anchor.
        """
        largest = max(self.anchors, key=lambda anchor: anchor.gmacs, default=None)
        if largest is None:
            return None
        smaller = [a for a in self.anchors if a.gmacs * SAME_COMPUTE < largest.gmacs]
        if not smaller:
            return None
        return abs(_fit(smaller, self._settings)._mean_and_band(largest.query)[0] - largest.metric)

    @property
    def _references(self) -> tuple[AccuracyQuery, ...]:
        return (self.origin,) if self.origin else tuple(a.query for a in self.anchors)

    def _known(self, query: AccuracyQuery) -> float | None:
        if query == self.origin:
            return 0.0
        values = [anchor.metric for anchor in self.anchors if anchor.query == query]
        return sum(values) / len(values) if values else None

    def _doubt(self, query: AccuracyQuery) -> str | None:
        """Say why only a band can be given, or return None."""
        scale = self._settings.scale
        easy = scale.percent and not scale.imagenet
        if easy and len(self.anchors) == 1 and scale.error(self.anchors[0].metric) < LOW_ERROR:
            return "one anchor of a metric with few errors: a band, no value"
        return single_anchor_doubt(query, self._references)

    def _mean_and_band(self, query: AccuracyQuery) -> tuple[float, tuple[float, float]]:
        return self._relative(query, self.origin) if self.origin else self._absolute(query)

    def _absolute(self, query: AccuracyQuery) -> tuple[float, tuple[float, float]]:
        """Return mean and band of the metric itself."""
        import numpy as np

        from ._mixtures import lognormal_mean, mixture_quantile

        scale, weight = self._settings.scale, self._posterior.weight
        mean, covariance = self._posterior.predict(_points([query], self._references))
        error = float(weight @ lognormal_mean(mean, covariance)[:, 0])
        sd = np.sqrt(covariance[:, 0, 0] + scale.noise(error) ** 2)
        ends = [math.exp(mixture_quantile(mean[:, 0], sd, weight, share)) for share in BAND]
        move = self._shift(query) - self._kernel_gain(query)
        middle, *values = (scale.value(e + move) for e in (error, *ends))
        low, high = self._widened(query, middle, sorted(values))
        if scale.percent:
            low, high = max(low, 0.0), min(high, 100.0)
        return middle, (low, high)

    def _relative(
        self, query: AccuracyQuery, origin: AccuracyQuery
    ) -> tuple[float, tuple[float, float]]:
        """Return mean and band of the gain over the base."""
        import numpy as np

        from ._mixtures import mixture_quantile

        scale, weight = self._settings.scale, self._posterior.weight
        mean, sd = self._component_gains(query, origin)
        # both were trained once
        sd = np.hypot(sd, math.sqrt(2.0) * scale.noise(TYPICAL_ERROR) * TYPICAL_ERROR)
        kernel = self._kernel_gain(query)
        ends = [mixture_quantile(mean, sd, weight, share) + kernel for share in BAND]
        middle = self.gain(query, origin)[0]
        low, high = self._widened(query, middle, ends)
        middle, low, high = (min(max(value, -100.0), 100.0) for value in (middle, low, high))
        return middle, (low, high)

    def _component_gains(
        self, query: AccuracyQuery, reference: AccuracyQuery
    ) -> "tuple[Array, Array]":
        """Return mean and sd of the fall in error from the reference to the query."""
        from ._mixtures import lognormal_difference

        return lognormal_difference(
            *self._posterior.predict(_points([query, reference], self._references))
        )

    def _kernel_gain(self, query: AccuracyQuery) -> float:
        return kernel_gain(query.kernel_size) if self._settings.scale.imagenet else 0.0

    def _widened(
        self, query: AccuracyQuery, middle: float, ends: Sequence[float]
    ) -> tuple[float, float]:
        """Add the doubt about the kernel term to a band."""
        doubt = _Z * KERNEL_DOUBT * self._kernel_gain(query)
        low, high = ends
        return middle - math.hypot(middle - low, doubt), middle + math.hypot(high - middle, doubt)

    def _shift(self, query: AccuracyQuery) -> float:
        """Return what makes the mean error fall with balanced compute, in the metric's unit."""
        import numpy as np

        if self._correction is None:
            return 0.0
        grid, falling = self._correction
        gmacs = credited_gmacs(query, self._references)
        error = _mean_errors(self._posterior, [AccuracyQuery(gmacs=gmacs)], self._references)
        return float(np.interp(math.log(gmacs), grid, falling) - error[0])

    def _record(
        self,
        status: Status,
        mean: float | None,
        band: tuple[float, float] | None,
        reasons: Sequence[str],
    ) -> Accuracy:
        low, high = band or (None, None)
        return Accuracy(
            metric=self.metric,
            mean=mean,
            p05=low,
            p95=high,
            status=status,
            reason="; ".join(reasons) or None,
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
        family_is_transformer: Whether the family mixes positions by attention. Its small members
            do worse, and lopsided recipes cost it nothing that published rows would show.
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
    from ._priors import PUBLISHED_PRIOR

    scale = metric_scale(metric)
    _require_sensible(points, scale)
    settings = FitSettings(
        scale=scale,
        prior=prior or PUBLISHED_PRIOR,
        regime=regime,
        transformer=family_is_transformer,
    )
    law = _fit(points, settings)
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
        regime: Training regime of base and variants, if known.
        family_is_transformer: As in `fit_accuracy_law`.
        prior: As in `fit_accuracy_law`.

    Returns:
        A law whose predictions are ``top1_gain`` in points, 0 for the base.

    Raises:
        ValueError: If the compute is not a positive number.

    Examples:
        >>> law = relative_gain_law(1.0)
        >>> law.predict(AccuracyQuery(gmacs=1.0)).mean
        0.0
    """
    import numpy as np

    from ._floor_law import fit_posterior
    from ._priors import PUBLISHED_PRIOR, regime_components, regime_weights

    origin = AccuracyQuery(gmacs=gmacs)
    settings = FitSettings(
        scale=metric_scale("top1_gain"),
        prior=prior or PUBLISHED_PRIOR,
        regime=regime,
        transformer=family_is_transformer,
    )
    weights = regime_weights(settings.prior, regime)
    components = regime_components(settings.prior, weights, transformer=family_is_transformer)
    posterior = fit_posterior(components, _points([], [origin]), np.empty(0), np.empty(0))
    odd = implausible_compute([origin])
    return AccuracyLaw(
        metric="top1_gain",
        anchors=(),
        regime_posterior=posterior.regime_weights(),
        notes=("the base's accuracy is unknown: gain over it", *([odd] if odd else [])),
        origin=origin,
        _settings=settings,
        _posterior=posterior,
    )


def anchor_arrays(
    points: Sequence[TrainedModel], scale: MetricScale
) -> "tuple[Points, Array, Array]":
    """Return places, ln error and its noise of trained models, as with the base's kernel."""
    import numpy as np

    queries = [point.query for point in points]
    errors = [
        scale.error(point.metric) + (kernel_gain(point.kernel_size) if scale.imagenet else 0.0)
        for point in points
    ]
    noise = [scale.noise(error) for error in errors]
    return _points(queries, queries), np.log(errors), np.array(noise)


def _require_sensible(points: Sequence[TrainedModel], scale: MetricScale) -> None:
    if not points:
        raise ValueError("the accuracy law needs at least one trained model, got none")
    best = max(point.metric for point in points)
    if scale.percent and scale.higher_is_better and 0 < best <= 1:
        raise ValueError(f"`metric` must be in percent, got {best:g} at most, as of a fraction")


def _fit(points: Sequence[TrainedModel], settings: FitSettings) -> AccuracyLaw:
    """Fit without the correction that keeps the mean monotone."""
    from ._floor_law import fit_posterior

    places, log_error, noise = anchor_arrays(points, settings.scale)
    best = int(log_error.argmin())
    components = _components(
        settings, error=math.exp(log_error[best]), log_compute=float(places.log_compute[best])
    )
    posterior = fit_posterior(components, places, log_error, noise)
    return AccuracyLaw(
        metric=settings.scale.name,
        anchors=tuple(points),
        regime_posterior=posterior.regime_weights(),
        notes=_notes(posterior, points, float(log_error.mean()), settings),
        origin=None,
        _settings=settings,
        _posterior=posterior,
    )


def _components(settings: FitSettings, *, error: float, log_compute: float) -> "Components":
    """Return the prior mixture: curves of ImageNet, where they apply, and the generic one."""
    from ._priors import (
        GENERIC_WEIGHT,
        generic_components,
        join,
        regime_components,
        regime_weights,
    )

    imagenet = settings.scale.imagenet
    generic = generic_components(
        settings.prior,
        error=error,
        log_compute=log_compute,
        weight=GENERIC_WEIGHT if imagenet else 1.0,
        transformer=settings.transformer,
    )
    if not imagenet:
        return generic
    weights = {
        regime: (1 - GENERIC_WEIGHT) * weight
        for regime, weight in regime_weights(settings.prior, settings.regime).items()
    }
    known = regime_components(settings.prior, weights, transformer=settings.transformer)
    return join(known, generic)


def _points(queries: Sequence[AccuracyQuery], references: Sequence[AccuracyQuery]) -> "Points":
    import numpy as np

    from ._floor_law import Points

    gmacs = [credited_gmacs(query, references) for query in queries]
    return Points(
        log_compute=np.log(gmacs),
        features=np.array([shape_features(query) for query in queries]).reshape(-1, 2),
        coordinates=np.array([shape_coordinates(query) for query in queries]).reshape(-1, 2),
    )


def _monotone_correction(law: AccuracyLaw) -> "tuple[Array, Array] | None":
    """Return ln GMACs and a mean error that falls everywhere, or None where it does already.

    Anchors can reverse (a large member trained badly); a recipe that scales a model up must not
    look worse for it. The middle of the two monotone envelopes stays near the curve.
    """
    import numpy as np

    known = np.log([anchor.gmacs for anchor in law.anchors])
    ends = known.min() - math.log(REACH_DOWN), known.max() + math.log(REACH_UP)
    grid = np.union1d(np.linspace(*ends, _GRID_POINTS), known)
    queries = [AccuracyQuery(gmacs=math.exp(x)) for x in grid]
    error = _mean_errors(law._posterior, queries, law._references)
    if np.all(np.diff(error) <= 0):
        return None
    lower, upper = np.minimum.accumulate(error), np.maximum.accumulate(error[::-1])[::-1]
    return grid, 0.5 * (lower + upper)


def _mean_errors(
    posterior: "FloorPosterior",
    queries: Sequence[AccuracyQuery],
    references: Sequence[AccuracyQuery],
) -> "Array":
    from ._mixtures import lognormal_mean

    moments = posterior.predict(_points(queries, references))
    return posterior.weight @ lognormal_mean(*moments)


def _notes(
    posterior: "FloorPosterior",
    points: Sequence[TrainedModel],
    mean_log_error: float,
    settings: FitSettings,
) -> tuple[str, ...]:
    """Return the warnings that hold for every prediction of a law."""
    notes = []
    scatter = posterior.residual_scale() * math.exp(mean_log_error)
    if settings.scale.percent and scatter > SCATTER_POINTS:
        notes.append(f"the anchors are not on one curve: they scatter by {scatter:.1f} points")
    if settings.scale.imagenet:
        notes += _regime_notes(posterior.regime_weights(), settings.regime)
        odd = implausible_compute([point.query for point in points])
        notes += [odd] if odd else []
    return tuple(notes)


def _regime_notes(weights: dict[str, float], stated: str | None) -> list[str]:
    likely = max(weights, key=weights.__getitem__)
    if weights["generic"] > GENERIC_SHARE:
        return ["the anchors lie outside the training recipes the law knows"]
    if stated in weights and stated != likely and weights[likely] > CONTRADICTION:
        return [f"stated regime {stated}, but the anchors look like {likely}"]
    return []
