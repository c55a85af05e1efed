"""Budgets: bounds that must hold, as people write them.

``latency<=5ms``, ``latency.p99<=8ms``, ``throughput>=200/s``, ``memory<=2GiB``, ``params<=10M``,
``macs<=1.5G``, and relative to the base ``latency<=2x``.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from ..errors import BudgetError
from ..records import Record
from ..units import Dimension, format_quantity, parse_quantity

Bound = Literal["<=", ">="]


class Metric(NamedTuple):
    """A quantity that can be bounded: what it measures, and the direction that makes sense."""

    dimension: Dimension
    bound: Bound

    @property
    def is_timed(self) -> bool:
        """Whether what else the machine does changes it."""
        return self.dimension in ("time", "rate", "energy")


METRICS: Mapping[str, Metric] = {
    "latency": Metric("time", "<="),
    "latency.p50": Metric("time", "<="),
    "latency.p90": Metric("time", "<="),
    "latency.p99": Metric("time", "<="),
    "throughput": Metric("rate", ">="),
    "memory": Metric("bytes", "<="),
    "memory.planned": Metric("bytes", "<="),
    "memory.allocated": Metric("bytes", "<="),
    "memory.reserved": Metric("bytes", "<="),
    "memory.process": Metric("bytes", "<="),
    "params": Metric("count", "<="),
    "macs": Metric("count", "<="),
    "flops": Metric("count", "<="),
    "activations": Metric("count", "<="),
    "energy": Metric("energy", "<="),
}
"""Quantities that a budget can bound. ``latency`` is ``latency.p50``, the median."""

_BUDGET = re.compile(r"\s*([A-Za-z0-9._]+)\s*(<=|>=|=<|=>|<|>|==|=)\s*(\S.*?)\s*")
_RELATIVE = re.compile(r"([0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)\s*[x×]", re.IGNORECASE)


class Budget(Record, frozen=True, kw_only=True):
    """One bound.

    Attributes:
        text: As the user wrote it.
        metric: One of `METRICS`.
        bound: ``<=`` or ``>=``.
        limit: In base units; None for a relative bound.
        relative: Factor over the base's value; None for an absolute bound.
    """

    text: str
    metric: str
    bound: Bound
    limit: float | None = None
    relative: float | None = None

    def limit_for(self, base: float | None) -> float:
        """Return the bound in base units.

        Args:
            base: The base's value, which only a relative bound needs.

        Raises:
            BudgetError: If the bound is relative and the base's value is unknown.
        """
        if self.limit is not None:
            return self.limit
        if base is None or self.relative is None:
            raise BudgetError(
                f"budget `{self.text}` is relative to the base, whose {self.metric} is unknown",
                hint="give an absolute bound",
            )
        return self.relative * base

    def describe(self, limit: float) -> str:
        """Return the bound as people read it, for example ``latency <= 4.00 ms``."""
        return (
            f"{self.metric} {self.bound} {format_quantity(limit, METRICS[self.metric].dimension)}"
        )


def parse_budget(text: str) -> Budget:
    """Parse one budget.

    Raises:
        BudgetError: If it does not parse, bounds nothing known, or bounds it in a direction
            that makes no sense.

    Examples:
        >>> parse_budget("latency<=5ms").limit, parse_budget("memory <= 2x").relative
        (0.005, 2.0)
    """
    match = _BUDGET.fullmatch(text)
    if match is None:
        raise BudgetError(
            f"`{text}` is not a budget: expected METRIC<=VALUE", hint="write latency<=5ms"
        )
    name, sign, value = match.groups()
    if name not in METRICS:
        raise BudgetError(
            f"unknown metric `{name}` in budget `{text}`", hint=f"use one of {', '.join(METRICS)}"
        )
    metric = METRICS[name]
    if sign != metric.bound:
        raise BudgetError(
            f"budget `{text}` makes no sense: {name} is bounded by {metric.bound}, got {sign}",
            hint=f"write {name}{metric.bound}{value}",
        )
    relative = _RELATIVE.fullmatch(value)
    try:
        if relative:
            return Budget(text=text, metric=name, bound=metric.bound, relative=_factor(relative[1]))
        limit = parse_quantity(value, metric.dimension)
    except ValueError as error:
        raise BudgetError(
            f"budget `{text}`: {error}", hint=f"write {name}{metric.bound}2x or an absolute value"
        ) from None
    return Budget(text=text, metric=name, bound=metric.bound, limit=limit)


def _factor(text: str) -> float:
    factor = float(text)
    if not 0 < factor < float("inf"):
        raise ValueError(f"expected a positive factor, got `{text}x`")
    return factor


def parse_budgets(texts: Sequence[str]) -> tuple[Budget, ...]:
    """Parse several budgets; see `parse_budget`."""
    return tuple(parse_budget(text) for text in texts)
