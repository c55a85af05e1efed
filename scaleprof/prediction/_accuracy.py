r"""Accuracy of variants that nobody trained, from relatives that somebody did.

Error falls with compute to a floor, :math:`e = E + A\,C^{-b}`. What a handful of anchors cannot
say about E, A and b comes from published families (`_priors`), and what stays open shows in the
band. A recipe's shape changes what its compute is worth (`_recipe_shape`); outside its support
the law refuses (`_accuracy_support`).

numpy is imported where it is needed: it costs 0.2 s, and most commands never predict.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ._accuracy_law import AccuracyLaw, FitSettings, mean_errors, places_of
from ._accuracy_metric import MetricScale, metric_scale
from ._accuracy_query import AccuracyQuery, TrainedModel
from ._accuracy_support import REACH_DOWN, REACH_UP, SAME_COMPUTE, implausible_compute
from ._recipe_shape import kernel_gain

if TYPE_CHECKING:
    from ._floor_law import Array, FloorPosterior, Points
    from ._priors import Components, FloorPrior

__all__ = [
    "AccuracyLaw",
    "AccuracyQuery",
    "TrainedModel",
    "fit_accuracy_law",
    "leave_largest_out",
    "relative_gain_law",
]

# Above these a prediction is still made, with a word of warning.
SCATTER_POINTS = 1.5
GENERIC_SHARE = 0.5
CONTRADICTION = 0.5

# Nodes of the curve that is made monotone: 0.1 apart in ln GMACs for one anchor.
GRID_POINTS = 65


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
    return replace(law, correction=_monotone_correction(law))


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
    posterior = fit_posterior(components, places_of([], [origin]), np.empty(0), np.empty(0))
    odd = implausible_compute([origin])
    return AccuracyLaw(
        metric="top1_gain",
        anchors=(),
        regime_posterior=posterior.regime_weights(),
        notes=("the base's accuracy is unknown: gain over it", *([odd] if odd else [])),
        origin=origin,
        settings=settings,
        posterior=posterior,
    )


def leave_largest_out(law: AccuracyLaw) -> float | None:
    """Return how far a law misses its largest anchor when fitted to the smaller ones.

    Args:
        law: A law of `fit_accuracy_law`.

    Returns:
        The absolute error in the metric's unit; None without a smaller anchor.
    """
    largest = max(law.anchors, key=lambda anchor: anchor.gmacs, default=None)
    if largest is None:
        return None
    smaller = [a for a in law.anchors if a.gmacs * SAME_COMPUTE < largest.gmacs]
    if not smaller:
        return None
    return abs(_fit(smaller, law.settings).mean_and_band(largest.query)[0] - largest.metric)


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
    return places_of(queries, queries), np.log(errors), np.array(noise)


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
        settings=settings,
        posterior=posterior,
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


def _monotone_correction(law: AccuracyLaw) -> "tuple[Array, Array] | None":
    """Return ln GMACs and a mean error that falls everywhere, or None where it does already.

    Anchors can reverse (a large member trained badly); a recipe that scales a model up must not
    look worse for it. The middle of the two monotone envelopes stays near the curve.
    """
    import numpy as np

    known = np.log([anchor.gmacs for anchor in law.anchors])
    ends = known.min() - math.log(REACH_DOWN), known.max() + math.log(REACH_UP)
    grid = np.union1d(np.linspace(*ends, GRID_POINTS), known)
    queries = [AccuracyQuery(gmacs=math.exp(x)) for x in grid]
    error = mean_errors(law.posterior, queries, law.references)
    if np.all(np.diff(error) <= 0):
        return None
    lower, upper = np.minimum.accumulate(error), np.maximum.accumulate(error[::-1])[::-1]
    return grid, 0.5 * (lower + upper)


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
