"""Gates: how far a quantity may move from the baseline, as people write it.

``latency.p50:+3%``, ``memory.planned:+0``, ``memory:+2MiB``, ``latency:+0.5ms``. The sign is that
of the change of the value itself: ``latency:-5%`` must become 5 % less, ``throughput:-3%`` may.
"""

import re
from fractions import Fraction
from typing import Literal

from ...errors import GateError
from ...records import Record
from ...selection import METRICS
from ...units import Dimension, parse_quantity

_GATE = re.compile(r"\s*([A-Za-z0-9._]+)\s*:\s*([+-])\s*(\S.*?)\s*")
# nine digits are more than any threshold needs, and keep exact arithmetic small
_PERCENT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})\s*%")
_ZERO = re.compile(r"0+(?:\.0*)?\s*(?:%|[^\s0-9.]*)")
_EXAMPLES: dict[Dimension, str] = {
    "time": "+0.5ms", "bytes": "+2MiB", "count": "+10k", "energy": "+1mJ", "rate": "-5/s",
}  # fmt: skip


class Gate(Record, frozen=True, kw_only=True):
    """One gate.

    Attributes:
        text: As the user wrote it.
        metric: One of `scaleprof.selection.METRICS`.
        bound: ``<=`` where less is better, ``>=`` where more is.
        share: Change that is allowed, over the baseline's value; 0 if it is absolute.
        amount: Change that is allowed, in base units; 0 if it is relative.
    """

    text: str
    metric: str
    bound: Literal["<=", ">="]
    share: Fraction
    amount: Fraction

    def limit(self, baseline: Fraction) -> Fraction:
        """Return the furthest value that passes, in base units."""
        return baseline * (1 + self.share) + self.amount


def parse_gate(text: str) -> Gate:
    """Parse one gate.

    Raises:
        GateError: If it does not parse or gates nothing known.

    Examples:
        >>> gate = parse_gate("latency.p50:+3%")
        >>> gate.metric, float(gate.share)
        ('latency.p50', 0.03)
        >>> parse_gate("memory.planned:+0").limit(Fraction(4096))
        Fraction(4096, 1)
    """
    match = _GATE.fullmatch(text)
    if match is None:
        raise GateError(
            f"`{text}` is not a gate: expected METRIC:+CHANGE or METRIC:-CHANGE",
            hint="write latency.p50:+3%",
        )
    name, sign, amount = match.groups()
    if name not in METRICS:
        raise GateError(
            f"unknown metric `{name}` in gate `{text}`", hint=f"use one of {', '.join(METRICS)}"
        )
    metric = METRICS[name]
    signed = 1 if sign == "+" else -1
    share, change = _threshold(text, name, amount)
    if signed * share <= -1:
        raise GateError(
            f"gate `{text}` asks for less than nothing", hint=f"write {name}:-5% or another share"
        )
    return Gate(
        text=text, metric=name, bound=metric.bound, share=signed * share, amount=signed * change
    )


def _threshold(text: str, name: str, amount: str) -> tuple[Fraction, Fraction]:
    """Return the share and the amount, of which one is 0, without the sign."""
    nothing = Fraction(0)
    percent = _PERCENT.fullmatch(amount)
    if percent:
        return Fraction(percent[1]) / 100, nothing
    dimension = METRICS[name].dimension
    if _ZERO.fullmatch(amount):
        return nothing, nothing
    try:
        return nothing, Fraction(parse_quantity(amount, dimension))
    except ValueError as error:
        raise GateError(
            f"gate `{text}`: {error}", hint=f"write {name}:+3%, or {name}:{_EXAMPLES[dimension]}"
        ) from None
