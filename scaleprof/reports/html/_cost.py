"""Arithmetic behind the pictures: stages of a model, and the line through a cloud."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import StatisticsError, linear_regression

from ...records import Cost, ModuleCost, OperatorCost


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One part of a model.

    Attributes:
        name: Path of a module, or name of an operator.
        params: Its parameters; None for an operator.
        macs: Multiply-adds; None for an operator that has no formula.
        activations: Output elements of its convolutions and matrix products.
        traffic_bytes: Bytes its operators read and write.
    """

    name: str
    params: int | None
    macs: int | None
    activations: int
    traffic_bytes: int


def stages(cost: Cost, *, at_most: int) -> tuple[Stage, ...]:
    """Cut a model into its stages: modules, the largest of them cut further; else operators.

    Args:
        cost: What the model needs.
        at_most: Most stages to return.
    """
    if not cost.modules:
        found = sorted(map(_operator, cost.operators), key=lambda stage: -stage.traffic_bytes)
        return tuple(stage for stage in found[:at_most] if stage.traffic_bytes)
    rows = {row.path: row for row in cost.modules}
    inside: dict[str, list[str]] = {}
    for path in filter(None, rows):
        inside.setdefault(_parent(path, rows), []).append(path)
    cut = _cut([""], inside, rows, at_most)
    return tuple(_module(row) for path, row in rows.items() if path in cut and row.traffic_bytes)


def _parent(path: str, rows: Mapping[str, ModuleCost]) -> str:
    """Return the nearest listed module around a module; a name may hold dots that are none."""
    parent = path
    while parent and (parent == path or parent not in rows):
        parent = parent.rpartition(".")[0]
    return parent


def _cut(
    paths: list[str],
    inside: Mapping[str, list[str]],
    rows: Mapping[str, ModuleCost],
    at_most: int,
) -> set[str]:
    """Replace the module with the most traffic by those inside it while there is room."""
    whole = sorted(
        (path for path in paths if path in inside), key=lambda path: _traffic(path, rows)
    )
    while whole:
        path = whole.pop()
        parts = [part for part in inside[path] if _traffic(part, rows)]
        if parts and len(paths) - 1 + len(parts) <= at_most:
            kept = [other for other in paths if other != path]
            return _cut(kept + parts, inside, rows, at_most)
    return set(paths)


def _traffic(path: str, rows: Mapping[str, ModuleCost]) -> int:
    return rows[path].traffic_bytes if path in rows else 0


def _module(row: ModuleCost) -> Stage:
    return Stage(
        name=row.path or row.type,
        params=row.params,
        macs=row.macs,
        activations=row.activations,
        traffic_bytes=row.traffic_bytes,
    )


def _operator(row: OperatorCost) -> Stage:
    return Stage(
        name=row.operator,
        params=None,
        macs=row.macs,
        activations=row.activations,
        traffic_bytes=row.read_bytes + row.written_bytes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    r"""A power law through points, :math:`y = e^{a} x^{b}`.

    Attributes:
        intercept: :math:`a`.
        slope: :math:`b`.
        scatter: Standard deviation of the residuals of :math:`\log y`, as a share of :math:`y`.
    """

    intercept: float
    slope: float
    scatter: float

    def at(self, x: float) -> float:
        """Return the value of the law."""
        return math.exp(self.intercept + self.slope * math.log(x))


def fit_through(x: Sequence[float], y: Sequence[float]) -> Fit | None:
    """Fit a power law by least squares of logarithms; None if the points do not determine it.

    Examples:
        >>> round(fit_through([1, 10, 100], [2, 20, 200]).at(1000), 6)
        2000.0
    """
    if len(x) < 3 or min(x) <= 0 or min(y) <= 0:
        return None
    log_x, log_y = [math.log(value) for value in x], [math.log(value) for value in y]
    try:
        slope, intercept = linear_regression(log_x, log_y)
    except StatisticsError:
        return None
    residuals = (b - intercept - slope * a for a, b in zip(log_x, log_y, strict=True))
    spread = math.sqrt(math.fsum(r**2 for r in residuals) / (len(x) - 2))
    return Fit(intercept=intercept, slope=slope, scatter=math.expm1(spread))
