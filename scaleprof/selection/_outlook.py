"""What measuring a variant in one more process may show, seen from what is known of it now."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from ..records import Variant
from ._budget import METRICS
from ._quantity import BETWEEN_PROCESSES, Quantity, band_spread, log_room, quantity
from ._select import Limit

# what only a measurement tells grows about as something does that is predicted
_GROWS_AS = {"latency": "latency", "energy": "latency", "memory": "memory.planned"}
# give or take so much, as a standard deviation of the logarithm
_BY_PROPORTION = 0.1
# bands weigh as much as so many measurements that are as far off as they say
_TRUST = 2.0
_FOLLOWS_LATENCY = ("time", "rate", "energy")
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a measurement may show.

    Attributes:
        spread: Standard deviation of the logarithm of the latency that it will leave us with; 0
            where nothing can be learnt.
        room: How many of them above its expectation the latency may come out for all budgets that
            follow it to hold with confidence.
        chance: Of all other budgets holding.
    """

    spread: float
    room: float
    chance: float


def outlook(
    variant: Variant,
    base: Variant,
    limits: Sequence[Limit],
    *,
    batch: int,
    confidence: float,
    doubt: float = 1.0,
) -> Outlook:
    """Return what measuring a variant in one more process may show of the bounded quantities.

    Args:
        variant: The variant, predicted or measured.
        base: The base, measured; for what is predicted of no variant, such as percentiles.
        limits: Bounds.
        batch: Items in one forward pass.
        confidence: Chance of meeting each bound that is required.
        doubt: By how much predictions are less sure than they say; see `surprise`.
    """
    latency = quantity(variant, "latency", batch=batch)
    if latency is None:
        return Outlook(spread=0.0, room=-math.inf, chance=0.0)
    shown, left = _shown_and_left(latency, processes(variant), doubt)
    rooms, chance = [math.inf], 1.0
    for limit in limits:
        known = _expected(variant, base, limit.budget.metric, batch)
        if known is None:
            chance = 0.0
        elif METRICS[limit.budget.metric].dimension in _FOLLOWS_LATENCY:
            # what a percentile varies by beyond the median, a process more does not tell
            beyond = math.sqrt(max(known.spread**2 - latency.spread**2, 0.0))
            doubtful = _NORMAL.inv_cdf(confidence) * math.hypot(left, beyond)
            rooms.append(log_room(known.value, limit.budget.bound, limit.value) - doubtful)
        else:
            chance *= known.chance(limit.budget.bound, limit.value)
    room = min(rooms)
    return Outlook(spread=shown, room=room / shown if shown else room, chance=chance)


def processes(variant: Variant) -> int:
    """Return in how many processes the latency of a variant was measured."""
    return variant.measurement.counted_processes if variant.measurement else 0


def surprise(variants: Sequence[Variant]) -> float:
    """Return by how much measurements are further off than the bands of their predictions say.

    Args:
        variants: Variants with predictions; those of measured ones are from the others alone.

    Returns:
        A factor of the spread, 1 at least: bands are widened by it, and never narrowed.
    """
    squares = [
        (math.log(v.measurement.latency_s.p50 / band.p50) / spread) ** 2
        for v in variants
        if v.measurement is not None
        and v.measurement.latency_s is not None
        and v.prediction is not None
        and (band := v.prediction.latency_s) is not None
        and (spread := band_spread(band)) > 0
    ]
    return math.sqrt(max((_TRUST + sum(squares)) / (_TRUST + len(squares)), 1.0))


def _shown_and_left(latency: Quantity, known_from: int, doubt: float) -> tuple[float, float]:
    """Spread of what will be known after one more process as seen now, and what is left then."""
    if known_from == 0:
        # the band of a prediction is about what one process will measure
        return doubt * latency.spread, BETWEEN_PROCESSES
    left = latency.spread * math.sqrt(known_from / (known_from + 1))
    return math.sqrt(latency.spread**2 - left**2), left


def _expected(variant: Variant, base: Variant, metric: str, batch: int) -> Quantity | None:
    """What is known of a quantity, or what it is if it grows as a predicted one does."""
    known = quantity(variant, metric, batch=batch)
    of_base = quantity(base, metric, batch=batch)
    if known is not None or of_base is None:
        return known
    like = _GROWS_AS[metric.partition(".")[0]]
    there, here = quantity(base, like, batch=batch), quantity(variant, like, batch=batch)
    if there is None or here is None:
        return None
    value = of_base.value * here.value / there.value
    return Quantity(value=value, spread=math.hypot(here.spread, _BY_PROPORTION), source="predicted")
