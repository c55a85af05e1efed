"""The chance of meeting every budget that is required: ``95%`` or ``0.95``."""

import re

from ..errors import BudgetError

CONFIDENCE = 0.95
"""What is required where nothing else is asked for."""

# below an even chance a budget would be missed more often than held; above the other end, a band
# from a handful of measurements says nothing
LOWEST, HIGHEST = 0.5, 0.999
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(%?)")


def parse_confidence(given: float | str) -> float:
    """Return a chance between 50 % and 99.9 % as a number between 0 and 1.

    Args:
        given: ``"95%"``, ``"95 %"``, ``"0.95"`` or ``0.95``.

    Raises:
        BudgetError: If it is not a chance, or outside of these ends.

    Examples:
        >>> parse_confidence("95%"), parse_confidence("0.9"), parse_confidence(0.99)
        (0.95, 0.9, 0.99)
    """
    match = _PERCENT.fullmatch(str(given).strip())
    value = float("nan") if match is None else float(match[1]) / (100 if match[2] else 1)
    # 99.9 / 100 is a little more than 0.999
    value = round(value, 12)
    if LOWEST <= value <= HIGHEST:
        return value
    raise BudgetError(
        f"`confidence` must be a chance from {LOWEST:.0%} to {HIGHEST:.1%}, got `{given}`",
        hint=f"write {value:g}%" if LOWEST <= value / 100 <= HIGHEST else "write 95% or 0.95",
    )


def confidence_text(confidence: float) -> str:
    """Return a chance as people read it.

    Examples:
        >>> confidence_text(0.95), confidence_text(0.999)
        ('95 %', '99.9 %')
    """
    return f"{100 * confidence:.4g} %"
