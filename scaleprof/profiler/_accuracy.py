"""Give every variant a predicted accuracy, anchored at what is known of the base."""

import dataclasses
from collections.abc import Sequence

from ..prediction import (
    AccuracyLaw,
    AccuracyQuery,
    TrainedModel,
    choose_anchor,
    fit_accuracy_law,
    published_anchors,
    relative_gain_law,
)
from ..records import Anchor, Base, Variant, replace
from ._options import Options
from ._own_runs import describe_runs, gmacs_of, is_transformer, law_of_runs

# the published figures that the law is fitted to begin here; it says nothing of smaller networks
MIN_GMACS = 0.05
# factors of compute at which the reach of the law is looked up; it ends at 4 or at 16
_REACHES = (15.9, 11.2, 8.0, 5.6, 3.99, 2.8, 2.0, 1.4)


def describe_base(model: str, base: Variant, options: Options) -> Base:
    """Find the accuracy that predictions start from.

    Raises:
        InputError: If the options name a training tag that is not published.
    """
    shape = base.cost.input_shape
    resolution = shape[-1] if len(shape) >= 4 else None
    if options.accuracy is not None:
        return describe_runs(model, base, options)
    if options.base_accuracy is not None:
        anchor = Anchor(
            model=model,
            tag=None,
            regime=None,
            metric=options.metric or "top1_percent",
            value=options.base_accuracy,
            gmacs=gmacs_of(base, options.batch),
            resolution=resolution,
            source="given with --base-accuracy",
        )
        return Base(model=model, anchor=anchor, accuracy_reason="as given")
    chosen, reason = choose_anchor(
        published_anchors(model), tag=options.anchor, resolution=resolution
    )
    return Base(model=model, anchor=chosen, accuracy_reason=reason)


def with_accuracy(variants: Sequence[Variant], base: Base, options: Options) -> list[Variant]:
    """Return the variants with predicted accuracies; relative gains if the base's is unknown."""
    law = _law(variants[0], base, options)
    unit = _unit(variants[0], base, options)
    return [
        replace(variant, accuracy=law.predict(_query(variant, options.batch * unit)))
        for variant in variants
    ]


def accuracy_reach(base: Variant, known: Base, options: Options) -> float:
    """Return the factor of compute up to which the law gives a value for a balanced recipe."""
    law, unit = _law(base, known, options), _unit(base, known, options)
    query = _query(base, options.batch * unit)
    grown = (dataclasses.replace(query, gmacs=query.gmacs * factor) for factor in _REACHES)
    known_up_to = (
        factor
        for factor, each in zip(_REACHES, grown, strict=True)
        if law.predict(each).mean is not None
    )
    return next(known_up_to, 1.0)


def _unit(base: Variant, known: Base, options: Options) -> float:
    """Compute of the base over the least that was published, if it is below that; else 1.

    Gains follow ratios of compute. A base below the law's support is treated as the smallest
    network inside it; with a published anchor of its own, compute is what it is.
    """
    trained = options.base_accuracy is None or options.accuracy is not None
    published = known.anchor is not None and trained
    return 1.0 if published else min(1.0, gmacs_of(base, options.batch) / MIN_GMACS)


def _law(base: Variant, known: Base, options: Options) -> AccuracyLaw:
    if options.accuracy is not None:
        return law_of_runs(known.model, base, options)
    anchor = known.anchor
    transformer = is_transformer(base)
    per_image = options.batch * _unit(base, known, options)
    if anchor is None:
        return relative_gain_law(gmacs_of(base, per_image), family_is_transformer=transformer)
    resolution = base.cost.input_shape[-1]
    trained = TrainedModel(
        # the count at hand where it is the same model: published figures are rounded
        gmacs=gmacs_of(base, per_image) if anchor.resolution == resolution else anchor.gmacs,
        metric=anchor.value,
        resolution=anchor.resolution / resolution if anchor.resolution else 1.0,
    )
    return fit_accuracy_law(
        [trained],
        regime=anchor.regime,
        metric=anchor.metric,
        family_is_transformer=transformer,
    )


def _query(variant: Variant, batch: float) -> AccuracyQuery:
    achieved = variant.recipe.achieved
    return AccuracyQuery(
        gmacs=gmacs_of(variant, batch),
        width=achieved.get("width", 1.0),
        depth=achieved.get("depth", 1.0),
        resolution=achieved.get("resolution", 1.0),
        patch_size=achieved.get("patch_size", 1.0),
        kernel_size=achieved.get("kernel_size", 1.0),
        stages=variant.recipe.stages,
    )
