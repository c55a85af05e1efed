"""Quantities as people write them, and back: ``5ms``, ``500MiB``, ``28.6M``, ``100/s``, ``2x``.

Inside the program every quantity is in base units (seconds, bytes, elements, joules, one per
second); this module is the only border where anything else appears. Decimal prefixes (kB, MB) are
powers of 1000, binary ones (KiB, MiB) powers of 1024, as IEC 80000-13 has them.
"""

import math
import re
from typing import Literal

Dimension = Literal["time", "bytes", "count", "energy", "rate"]

_SI = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_IEC = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}

UNITS: dict[Dimension, dict[str, float]] = {
    "time": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9, "min": 60.0},
    "bytes": {f"{prefix}B": scale for prefix, scale in (_SI | _IEC).items()},
    "count": dict(_SI),
    "energy": {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "µJ": 1e-6, "kJ": 1e3},
    "rate": {"/s": 1.0, "/min": 1 / 60.0},
}

_NUMBER = re.compile(
    r"([0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|\.[0-9]+)\s*([^\s0-9]*)", re.IGNORECASE
)


def parse_quantity(text: str, dimension: Dimension) -> float:
    """Parse a number with a unit into base units.

    Args:
        text: For example ``5ms`` or ``1.5 GiB``. A bare number has no unit, which only counts
            may leave out.
        dimension: What the quantity measures.

    Returns:
        The quantity in seconds, bytes, elements, joules, or one per second. Positive and finite.

    Raises:
        ValueError: If the text is not a positive number followed by a unit of ``dimension``.

    Examples:
        >>> parse_quantity("5ms", "time"), parse_quantity("2GiB", "bytes")
        (0.005, 2147483648.0)
    """
    units = UNITS[dimension]
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"expected a number with a unit such as {_example(dimension)}, got `{text}`"
        )
    number, unit = float(match[1]), match[2]
    if unit not in units:
        known = ", ".join(unit for unit in units if unit)
        problem = f"unknown unit `{unit}`" if unit else "a unit is missing"
        raise ValueError(f"{problem} in `{text}`: expected one of {known}")
    value = number * units[unit]
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"expected a positive number, got `{text}`")
    return value


def _example(dimension: Dimension) -> str:
    return {"time": "5ms", "bytes": "500MiB", "count": "28M", "energy": "20mJ", "rate": "100/s"}[
        dimension
    ]


def format_quantity(value: float | None, dimension: Dimension) -> str:
    """Show a quantity with three significant digits in the unit that reads best.

    Args:
        value: In base units; None is unknown and shows as ``unknown``.
        dimension: What the quantity measures.

    Examples:
        >>> format_quantity(0.00512, "time"), format_quantity(28_589_128, "count")
        ('5.12 ms', '28.6 M')
        >>> format_quantity(None, "energy")
        'unknown'
    """
    if value is None:
        return "unknown"
    steps = _SHOWN[dimension]
    # a value that rounds up to the next unit is shown in that unit: 999.7 MiB, but 1 s, not 1000 ms
    unit, scale = next(
        ((unit, scale) for unit, scale in steps if abs(value) >= 0.9995 * scale), steps[-1]
    )
    return f"{_three_digits(value / scale)} {unit}".strip()


_SHOWN: dict[Dimension, list[tuple[str, float]]] = {
    "time": [("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)],
    "bytes": [("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10), ("B", 1.0)],
    "count": [("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0)],
    "energy": [("kJ", 1e3), ("J", 1.0), ("mJ", 1e-3), ("µJ", 1e-6)],
    "rate": [("/s", 1.0)],
}


def _three_digits(number: float) -> str:
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    decimals = max(0, 2 - math.floor(math.log10(abs(number))))
    return f"{number:.{min(decimals, 2)}f}" if decimals else f"{number:.0f}"
