"""Whether a variant needs something else than it did: by its cost, by operator and by module.

A model that computes more is another model; one that computes the same and takes longer got slower.
"""

from collections.abc import Mapping, Sequence

from ...records import CountChange, GraphChange, ModuleCost, OperatorCost, PartChange, Variant

_TOTALS = (
    "params", "weight_bytes", "macs", "activations", "activation_bytes", "traffic_bytes",
    "peak_bytes",
)  # fmt: skip
_OPERATOR = ("calls", "macs", "activations", "read_bytes", "written_bytes")
_MODULE = ("params", "macs", "activations", "activation_bytes", "traffic_bytes")


def graph_change(report: str, baseline: Variant, now: Variant) -> GraphChange | None:
    """Return what changed between two counts of a variant; None if nothing did.

    Args:
        report: Path of the report that holds `now`.
        baseline: The variant as it was.
        now: The variant as it is.
    """
    counts = _changed(_TOTALS, baseline.cost, now.cost)
    operators = _parts(_OPERATOR, _by_operator(baseline), _by_operator(now))
    modules = None
    if baseline.cost.modules is not None and now.cost.modules is not None:
        modules = _parts(_MODULE, _by_path(baseline.cost.modules), _by_path(now.cost.modules))
    if not (counts or operators or modules):
        return None
    return GraphChange(
        report=report, variant=now.id, counts=counts, operators=operators, modules=modules
    )


def _by_operator(variant: Variant) -> dict[str, OperatorCost]:
    return {row.operator: row for row in variant.cost.operators}


def _by_path(modules: Sequence[ModuleCost]) -> dict[str, ModuleCost]:
    return {row.path: row for row in modules}


def _changed(
    names: Sequence[str], then: object | None, now: object | None
) -> tuple[CountChange, ...]:
    pairs = [(name, getattr(then, name, None), getattr(now, name, None)) for name in names]
    return tuple(
        CountChange(quantity=name, baseline=before, now=after)
        for name, before, after in pairs
        if before != after
    )


def _parts(
    names: Sequence[str], then: Mapping[str, object], now: Mapping[str, object]
) -> tuple[PartChange, ...]:
    """Return the parts that differ, the largest change of MACs first."""
    parts = []
    for name in [*then, *(name for name in now if name not in then)]:
        counts = _changed(names, then.get(name), now.get(name))
        if counts:
            parts.append(PartChange(name=name, counts=counts))
    return tuple(sorted(parts, key=_macs_moved, reverse=True))


def _macs_moved(part: PartChange) -> int:
    return sum(
        abs((count.now or 0) - (count.baseline or 0))
        for count in part.counts
        if count.quantity == "macs"
    )
