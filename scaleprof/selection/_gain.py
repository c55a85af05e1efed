r"""What one more measurement is expected to change of the choice, in units of accuracy.

A variant that is predicted to take :math:`\ln t \sim N(m, s^2)` holds the budgets with confidence
once it is measured if :math:`\ln t \le T`, which leaves room for what one process is off by. Three
things can come of measuring it: it is the choice, it only raises the bar that the choice must
reach, or it is out. The gain is the chance of each times what that choice is worth beside the
present one (a knowledge gradient: Frazier, Powell and Dayanik 2008,
https://doi.org/10.1137/070693424; here one variant at a time, and in closed form).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

from ..records import Variant
from ._confidence import CONFIDENCE
from ._outlook import Outlook, outlook, processes, surprise
from ._quantity import quantity
from ._select import Limit, _tie, meets, worth

# among ties the cheaper is chosen: a tenth of the latency is taken to be worth a tie
TIE_IN_LATENCY = math.log(1.1)
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What measuring a variant in one more process is expected to bring.

    Attributes:
        variant: Its identifier.
        value: Expected change of the choice in units of accuracy; without budgets, half of the
            predicted 90 % band of its latency, as a logarithm.
    """

    variant: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A variant as the choice sees it."""

    id: str
    accuracy: float
    log_latency: float
    macs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Present:
    """The choice as it stands, and what others are worth beside it."""

    chosen: _Candidate | None
    worst: float
    tie: float

    def worth(self, other: _Candidate | None) -> float:
        """How much another choice changes, in units of accuracy.

        Within a tie it is what changes of the latency, a tie at most. To have no choice is a tie
        worse than the least accurate variant.
        """
        here = self.chosen
        if here is None or other is None:
            some = here or other
            return some.accuracy - self.worst + self.tie if some else 0.0
        apart = abs(here.accuracy - other.accuracy)
        if here.id == other.id or apart > self.tie:
            return apart
        saved = abs(here.log_latency - other.log_latency) / TIE_IN_LATENCY
        return max(apart, self.tie * min(saved, 1.0))


def expected_gains(
    variants: Sequence[Variant],
    limits: Sequence[Limit],
    *,
    batch: int,
    most_processes: int = 2,
    confidence: float = CONFIDENCE,
) -> list[Gain]:
    """Return what measuring each variant in one more process is expected to bring.

    Args:
        variants: All variants, the base first, with predictions and accuracies.
        limits: Bounds that the choice must hold.
        batch: Items in one forward pass.
        most_processes: A variant that was measured in so many processes is left out.
        confidence: Chance of meeting each bound that is required.

    Returns:
        One for each variant that can still be measured, the largest first; equal ones in the
        order of the variants.
    """
    known = {v.id: _candidate(v, batch) for v in variants if _is_ranked(v)}
    ranked = [v for v in variants if v.id in known]
    if not ranked:
        return []
    held = [known[v.id] for v in ranked if meets(v, limits, batch=batch, confidence=confidence)]
    tie = _tie(ranked[0])
    worst = min(candidate.accuracy for candidate in known.values())
    present = _Present(chosen=_choice(held, tie), worst=worst, tie=tie)
    doubt = surprise(variants)
    gains = []
    for variant in ranked:
        if processes(variant) < most_processes:
            ahead = outlook(
                variant, variants[0], limits, batch=batch, confidence=confidence, doubt=doubt
            )
            others = [candidate for candidate in held if candidate.id != variant.id]
            value = _expected_change(known[variant.id], ahead, others, present)
            gains.append(Gain(variant=variant.id, value=value))
    return sorted(gains, key=lambda gain: -gain.value)


def widest_bands(variants: Sequence[Variant]) -> list[Gain]:
    """Return the variants that were not measured, the least surely predicted first.

    Args:
        variants: All variants with predictions; those without one come first, as unknown.
    """
    gains = []
    for variant in variants:
        if variant.measurement is None:
            band = variant.prediction.latency_s if variant.prediction else None
            half = math.log(band.p95 / band.p05) / 2 if band and band.p05 > 0 else math.inf
            gains.append(Gain(variant=variant.id, value=half))
    return sorted(gains, key=lambda gain: -gain.value)


def _is_ranked(variant: Variant) -> bool:
    """Whether it can be chosen: it has not failed, and there is an accuracy to rank it by."""
    failed = variant.measurement is not None and variant.measurement.status != "ok"
    return not failed and variant.accuracy is not None and variant.accuracy.mean is not None


def _candidate(variant: Variant, batch: int) -> _Candidate:
    latency = quantity(variant, "latency", batch=batch)
    return _Candidate(
        id=variant.id,
        accuracy=worth(variant),
        log_latency=math.log(latency.value) if latency else math.inf,
        macs=variant.cost.macs,
    )


def _choice(held: Sequence[_Candidate], tie: float, bar: float = -math.inf) -> _Candidate | None:
    """The cheapest of those that tie with the most accurate one and with the bar, if any do."""
    best = max([bar, *(candidate.accuracy for candidate in held)])
    tied = [candidate for candidate in held if candidate.accuracy >= best - tie]
    return min(tied, key=lambda candidate: (candidate.log_latency, candidate.macs), default=None)


def _expected_change(
    variant: _Candidate, ahead: Outlook, others: Sequence[_Candidate], present: _Present
) -> float:
    """Sum over what measuring the variant may show, weighted by its chance."""
    without = _choice(others, present.tie)
    best = max((candidate.accuracy for candidate in others), default=-math.inf)
    if ahead.spread == 0 or variant.accuracy < best - present.tie:
        return 0.0
    rival = _choice(others, present.tie, variant.accuracy)
    below = (rival.log_latency - variant.log_latency) / ahead.spread if rival else math.inf
    cut = min(below, ahead.room)
    chosen, fits = ahead.chance * _NORMAL.cdf(cut), ahead.chance * _NORMAL.cdf(ahead.room)
    return (
        (chosen * present.worth(_as_if_below(variant, ahead.spread, cut)) if chosen else 0.0)
        + max(fits - chosen, 0.0) * present.worth(rival)
        + (1.0 - fits) * present.worth(without)
    )


def _as_if_below(variant: _Candidate, spread: float, cut: float) -> _Candidate:
    """The variant with the latency to expect if it comes out below so many standard deviations."""
    lower = spread * _NORMAL.pdf(cut) / _NORMAL.cdf(cut)
    return replace(variant, log_latency=variant.log_latency - lower)
