"""Spend measurements where they are expected to change the choice, until none is by much."""

import math
from collections import Counter
from typing import Literal, NamedTuple

from ..records import Effort, Variant
from ..selection import Gain, expected_gains, widest_bands
from ._options import Options
from ._sweep import SENTINEL_EVERY, Sweep

# a change of the choice by this share of what no training could tell apart is not worth a process
_SETTLED_SHARE = 1 / 30
# the law is not believed before it was held against so many measurements
_LEAST = 6
# without budgets: half of a 90 % band, little more than what two fresh processes are apart
_NARROW = math.log(1.1)


class Stop(NamedTuple):
    """Why no more was measured.

    Attributes:
        why: As in `Effort.stopped`.
        left: What the best further measurement was expected to bring; None if there is none.
    """

    why: Literal["settled", "measured", "time"]
    left: float | None


def spend(sweep: Sweep, options: Options, *, most_processes: int = 1) -> Stop:
    """Measure the variant with the largest expected gain, again and again.

    Args:
        sweep: The variants, with accuracies; the base is measured.
        options: Conditions and budgets.
        most_processes: Under budgets, a variant is measured in so many at most.
    """
    tried = Counter[str]()
    while True:
        sweep.predict()
        gains = _gains(sweep, options, most_processes)
        # what fails or is disturbed again and again teaches nothing
        best = next((gain for gain in gains if tried[gain.variant] < most_processes), None)
        if best is None:
            return Stop("measured", None)
        if best.value < threshold(sweep.base, options) and not _is_doubted(best, sweep, options):
            return Stop("settled", best.value)
        if not sweep.has_time:
            sweep.note_time()
            return Stop("time", best.value)
        sweep.measure_once_more(sweep.variants[best.variant])
        tried[best.variant] += 1
        if tried.total() % SENTINEL_EVERY == 0 and sweep.has_time:
            sweep.watch()


def threshold(base: Variant, options: Options) -> float:
    """Return the gain below which nothing more is measured, in the units of `Gain.value`."""
    if not options.budgets:
        return _NARROW
    return _SETTLED_SHARE * (base.accuracy.tie if base.accuracy else 0.0)


def _is_doubted(best: Gain, sweep: Sweep, options: Options) -> bool:
    """Whether the law says that there is little to gain, and was held against too little yet."""
    measured = sum(v.measurement is not None for v in sweep.variants.values())
    by_law = best.value > 0 and sweep.variants[best.variant].measurement is None
    return bool(options.budgets) and by_law and measured < _LEAST


def effort(sweep: Sweep, options: Options, stop: Stop | None) -> Effort:
    """Say how much was measured, and why no more.

    Args:
        sweep: The variants.
        options: Conditions and budgets.
        stop: Why it ended; None if it was interrupted.
    """
    variants = list(sweep.variants.values())
    done = [v.measurement for v in variants if v.measurement is not None]
    processes = sum(max(1, m.counted_processes + m.discarded_processes) for m in done)
    return Effort(
        variants=len(variants),
        measured=len(done),
        processes=processes,
        stopped=stop.why if stop else "interrupted",
        left=stop.left if stop and stop.left != math.inf else None,
        threshold=threshold(sweep.base, options),
        reason=_reason(stop, sweep.base, options),
    )


def _gains(sweep: Sweep, options: Options, most_processes: int) -> list[Gain]:
    variants = list(sweep.variants.values())
    if not options.budgets:
        return widest_bands(variants)
    return expected_gains(
        variants,
        sweep.limits,
        batch=options.batch,
        most_processes=most_processes,
        confidence=options.confidence,
    )


def _reason(stop: Stop | None, base: Variant, options: Options) -> str:
    if stop is None:
        return "interrupted"
    if stop.why == "measured":
        return "nothing was left to measure"
    if stop.why == "time":
        return "the time limit ended it"
    if not options.budgets:
        within = math.exp(threshold(base, options)) - 1
        return f"the latency of all others is predicted to ±{within:.0%} (90 % band)"
    metric = base.accuracy.metric if base.accuracy else ""
    unit = "points" if metric.startswith("top1") else metric
    return (
        "no further measurement is expected to change the choice by "
        f"{threshold(base, options):.2g} {unit}"
    )
