"""A fitted accuracy law: what it answers and where it refuses.

numpy is imported where it is needed: it costs 0.2 s, and most commands never predict.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

from scaleprof.records import Accuracy

from ._accuracy_metric import MetricScale
from ._accuracy_query import AccuracyQuery, TrainedModel, credited_gmacs
from ._accuracy_support import (
    refusal,
    single_anchor_doubt,
    widenings,
)
from ._recipe_shape import kernel_gain, shape_coordinates, shape_features, thinness
from ._stage_shape import uneven_loss, uneven_refusal

if TYPE_CHECKING:
    from ._floor_law import Array, FloorPosterior, Points
    from ._priors import FloorPrior

Status = Literal["anchor", "ok", "band_only", "refused"]

# One anchor of a metric with few errors (top-5, an easy data set) says little: one was 20 % off.
LOW_ERROR = 10.0

# The kernel term is known to within half of itself.
KERNEL_DOUBT = 0.5

# Percent: in the middle of published nets, where noise in points hardly depends on it.
TYPICAL_ERROR = 20.0

BAND = (0.05, 0.95)
_Z = NormalDist().inv_cdf(BAND[1])


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
        settings: What it was fitted with.
        posterior: What the anchors say about E, A and b.
        correction: ln GMACs and a mean error that falls everywhere; None where it does already.
    """

    metric: str
    anchors: tuple[TrainedModel, ...]
    regime_posterior: dict[str, float]
    notes: tuple[str, ...]
    origin: AccuracyQuery | None
    settings: FitSettings
    posterior: "FloorPosterior"
    correction: "tuple[Array, Array] | None" = None

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
        reason = refusal(query, self.references) or uneven_refusal(query.stages)
        if reason:
            return self._record("refused", None, None, (reason,))
        mean, band = self.mean_and_band(query)
        reasons = (*widenings(query, self.references), *self.notes)
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
            *self._component_gains(query, reference), self.posterior.weight
        )
        kernels = self._kernel_gain(query) - self._kernel_gain(reference)
        shift = self._shift(reference) - self._shift(query)
        return centre + shift + kernels, math.hypot(sd, KERNEL_DOUBT * kernels)

    @property
    def references(self) -> tuple[AccuracyQuery, ...]:
        """What reach is measured from: the anchors, or the base of a relative law."""
        return (self.origin,) if self.origin else tuple(a.query for a in self.anchors)

    def _known(self, query: AccuracyQuery) -> float | None:
        if query == self.origin:
            return 0.0
        values = [anchor.metric for anchor in self.anchors if anchor.query == query]
        return sum(values) / len(values) if values else None

    def _doubt(self, query: AccuracyQuery) -> str | None:
        """Say why only a band can be given, or return None."""
        scale = self.settings.scale
        easy = scale.percent and not scale.imagenet
        if easy and len(self.anchors) == 1 and scale.error(self.anchors[0].metric) < LOW_ERROR:
            return "one anchor of a metric with few errors: a band, no value"
        return single_anchor_doubt(query, self.references)

    def mean_and_band(self, query: AccuracyQuery) -> tuple[float, tuple[float, float]]:
        """Return mean and 90 % band without asking whether the law may be used here."""
        return self._relative(query, self.origin) if self.origin else self._absolute(query)

    def _absolute(self, query: AccuracyQuery) -> tuple[float, tuple[float, float]]:
        """Return mean and band of the metric itself."""
        import numpy as np

        from ._mixtures import lognormal_mean, mixture_quantile

        scale, weight = self.settings.scale, self.posterior.weight
        mean, covariance = self.posterior.predict(places_of([query], self.references))
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

        scale, weight = self.settings.scale, self.posterior.weight
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
            *self.posterior.predict(places_of([query, reference], self.references))
        )

    def _kernel_gain(self, query: AccuracyQuery) -> float:
        return kernel_gain(query.kernel_size) if self.settings.scale.imagenet else 0.0

    def _widened(
        self, query: AccuracyQuery, middle: float, ends: Sequence[float]
    ) -> tuple[float, float]:
        """Add the doubt about kernels and about uneven stages to a band."""
        doubt = _Z * math.hypot(
            KERNEL_DOUBT * self._kernel_gain(query), self._cost_of_stages(query, middle)
        )
        low, high = ends
        return middle - math.hypot(middle - low, doubt), middle + math.hypot(high - middle, doubt)

    def _cost_of_stages(self, query: AccuracyQuery, middle: float) -> float:
        """Return what scaling stages differently costs, in the metric's unit."""
        if not query.stages:
            return 0.0
        return abs(self.mean_and_band(replace(query, stages=()))[0] - middle)

    def _shift(self, query: AccuracyQuery) -> float:
        """Return what makes the mean error fall with balanced compute, in the metric's unit."""
        import numpy as np

        if self.correction is None:
            return 0.0
        grid, falling = self.correction
        gmacs = credited_gmacs(query, self.references)
        error = mean_errors(self.posterior, [AccuracyQuery(gmacs=gmacs)], self.references)
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
            lower_is_better=not self.settings.scale.higher_is_better,
            tie=self.settings.scale.tie(mean),
        )


def places_of(queries: Sequence[AccuracyQuery], references: Sequence[AccuracyQuery]) -> "Points":
    """Return where variants lie on the law, kernels not credited."""
    import numpy as np

    from ._floor_law import Points

    gmacs = [credited_gmacs(query, references) for query in queries]
    return Points(
        log_compute=np.log(gmacs) - [uneven_loss(query.stages) for query in queries],
        features=np.array(
            [(*shape_features(query), thinness(query, references)) for query in queries]
        ).reshape(-1, 3),
        coordinates=np.array([shape_coordinates(query) for query in queries]).reshape(-1, 2),
    )


def mean_errors(
    posterior: "FloorPosterior",
    queries: Sequence[AccuracyQuery],
    references: Sequence[AccuracyQuery],
) -> "Array":
    """Return the posterior mean of the error, [queries], before any correction."""
    from ._mixtures import lognormal_mean

    moments = posterior.predict(places_of(queries, references))
    return posterior.weight @ lognormal_mean(*moments)
