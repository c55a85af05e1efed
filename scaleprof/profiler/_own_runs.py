"""Predict accuracy from the user's own trained runs of a family."""

from ..errors import InputError
from ..prediction import AccuracyLaw, fit_family, leave_largest_out
from ..records import AccuracyRuns, Anchor, Base, TrainedRun, Variant, replace
from ._options import Options

# published compute is rounded to this, relative
_ROUNDED = 0.03
# share of multiply-adds in products of two activations from which a model is a transformer
_ATTENTION_SHARE = 0.005
_ATTENTION = ("aten::scaled_dot_product_attention", "aten::matmul", "aten::bmm", "aten::baddbmm")


def describe_runs(model: str, base: Variant, options: Options) -> Base:
    """Find the run that is nearest to the base, and say how well the runs predict each other.

    Raises:
        InputError: If no family of the runs is the model's, or a run is impossible.
    """
    members, why = _members(model, options)
    law = law_of_runs(model, base, options)
    gmacs = gmacs_of(base, options.batch)
    near = min(law.anchors, key=lambda a: max(a.gmacs / gmacs, gmacs / a.gmacs))
    missed = leave_largest_out(law)
    by = "" if missed is None else f"; the largest is {missed:.2f} off when left out"
    runs = _runs(options)
    anchor = Anchor(
        model=members[0].family,
        tag=None,
        regime=members[0].regime,
        metric=runs.metric,
        value=near.metric,
        gmacs=near.gmacs,
        resolution=None,
        source=f"the nearest of {len(law.anchors)} runs in {runs.source}{by}",
    )
    return Base(model=model, anchor=anchor, accuracy_reason=why)


def law_of_runs(model: str, base: Variant, options: Options) -> AccuracyLaw:
    """Fit the law to the runs of the base's family, factors relative to the base.

    Raises:
        InputError: If no family of the runs is the model's, or a run is impossible.
    """
    members, _ = _members(model, options)
    shape = base.cost.input_shape
    reference = TrainedRun(
        family=members[0].family,
        metric=0.0,
        width=1.0,
        depth=1.0,
        resolution=shape[-1] if shape else None,
        gmacs=gmacs_of(base, options.batch),
        regime=members[0].regime,
    )
    if options.base_accuracy is not None:
        given = TrainedRun(
            family=reference.family, metric=options.base_accuracy, gmacs=reference.gmacs
        )
        members = [*members, given]
    members = [_counted(run, reference) for run in members]
    transformer = is_transformer(base)
    return fit_family(
        members, _runs(options).metric, reference=reference, transformer=transformer
    ).law


def _counted(run: TrainedRun, base: TrainedRun) -> TrainedRun:
    """Give a run of the base itself the base's compute as counted: tables round it."""
    same = all(
        getattr(run, column) in (None, getattr(base, column))
        for column in ("width", "depth", "resolution")
    )
    if not same or run.gmacs is None or base.gmacs is None:
        return run
    return replace(run, gmacs=base.gmacs) if abs(run.gmacs / base.gmacs - 1) < _ROUNDED else run


def _runs(options: Options) -> AccuracyRuns:
    assert options.accuracy is not None, "asked for only where runs were given"
    return options.accuracy


def _members(model: str, options: Options) -> tuple[list[TrainedRun], str]:
    """Return the runs of a model's family under its most frequent regime, and why these."""
    runs = _runs(options)
    families = list(dict.fromkeys(run.family for run in runs.runs))
    own = [name for name in families if name in (model, model.rpartition(":")[2])]
    if not own and len(families) > 1:
        known = ", ".join(families[:5]) + (", …" if len(families) > 5 else "")
        raise InputError(
            f"no family in {runs.source} is `{model}`; there are {known}",
            hint="name the family in the runs as the model, or leave the others out",
        )
    name = own[0] if own else families[0]
    by_regime: dict[str | None, list[TrainedRun]] = {}
    for run in runs.runs:
        if run.family == name:
            by_regime.setdefault(run.regime, []).append(run)
    regime = max(by_regime, key=lambda key: len(by_regime[key]))
    which = f" under regime {regime}" if regime else ""
    return by_regime[regime], f"own runs of family `{name}`{which}"


def is_transformer(base: Variant) -> bool:
    """Tell whether a model mixes positions by products of activations."""
    products = sum(row.macs or 0 for row in base.cost.operators if row.operator in _ATTENTION)
    return products > _ATTENTION_SHARE * base.cost.macs


def gmacs_of(variant: Variant, batch: float) -> float:
    """Return multiply-adds of one item in units of 1e9."""
    return max(variant.cost.macs, 1) / batch / 1e9
