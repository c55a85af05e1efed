"""Measure the choice once more, in fresh processes beside the base, and hold it to the budgets."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..jobs import MeasureReply
from ..records import BudgetOutcome, Selection, Variant, Verification, replace
from ..selection import (
    METRICS,
    Budget,
    Limit,
    budget_outcome,
    quantity,
    resolve_limits,
    select_variant,
)
from ._bench import Bench, pool
from ._measurable import samples_wanted
from ._options import Options
from ._sweep import CHECK_PROCESSES, Sweep

MAX_TRIES = 3
_DISTURBED = "other processes kept the cores busy during the check; run it again on a quiet machine"
_ROUNDS = CHECK_PROCESSES // 2


def select_and_check(sweep: Sweep, bench: Bench, options: Options, device: str) -> Selection | None:
    """Choose, measure the choice again, and try the next one when it misses a budget.

    Returns:
        The choice with its check; None if nothing meets the budgets.
    """
    rejected: list[str] = []
    last: Selection | None = None
    while len(rejected) < MAX_TRIES:
        selection = select_variant(
            list(sweep.variants.values()),
            sweep.limits,
            batch=options.batch,
            confidence=options.confidence,
            excluded=rejected,
        )
        if selection is None:
            return last
        # a second try must leave a ladder its time
        others = sweep.kept_for_ladder if rejected else 0
        if sweep.interrupted or not bench.has_time_for(CHECK_PROCESSES + others):
            return last or _unchecked(selection, sweep)
        try:
            last = _check(
                selection, sweep, options=options, device=device, bench=bench, rejected=rejected
            )
        except KeyboardInterrupt:
            sweep.interrupted = True
            return last or _unchecked(selection, sweep)
        if last.verified is not False:
            return last
        rejected.append(selection.variant)
    return last


def _unchecked(selection: Selection, sweep: Sweep) -> Selection:
    why = "interrupted" if sweep.interrupted else "no time was left to measure it again"
    check = Verification(
        predicted=_known(selection), measured={}, met=None, reason=why, processes=0
    )
    return replace(selection, verification=check)


def _known(selection: Selection) -> dict[str, float | None]:
    return {outcome.metric: outcome.value for outcome in selection.budgets}


def _check(
    selection: Selection,
    sweep: Sweep,
    *,
    options: Options,
    device: str,
    bench: Bench,
    rejected: Sequence[str],
) -> Selection:
    chosen = sweep.variants[selection.variant]
    held = hold(chosen, sweep, options=options, device=device, bench=bench)
    verification = Verification(
        predicted=_known(selection),
        measured={outcome.metric: outcome.value for outcome in held.outcomes},
        met=held.met,
        reason=held.reason,
        processes=held.processes,
        rejected=tuple(rejected),
    )
    return replace(selection, budgets=held.outcomes, verified=held.met, verification=verification)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How a variant stood to budgets when it was measured again.

    Attributes:
        outcomes: The budgets, as measured then.
        met: Whether all of them held; None when undecided.
        reason: What was undecided or missed.
        processes: Worker processes that measured it again.
    """

    outcomes: tuple[BudgetOutcome, ...]
    met: bool | None
    reason: str
    processes: int


def hold(chosen: Variant, sweep: Sweep, *, options: Options, device: str, bench: Bench) -> Held:
    """Measure a variant again beside the base, and hold it to the budgets of the options."""
    again, base_again = _measure_beside_base(chosen, sweep, bench, options)
    check = _remeasured(chosen, again, device)
    base = _remeasured(sweep.base, base_again, device)
    limits = _limits(options.budgets, base, sweep, options.batch)
    outcomes = tuple(budget_outcome(check, limit, batch=options.batch) for limit in limits)
    disturbed = is_timed(options) and (is_contended(check) or is_contended(base))
    if disturbed:
        # others only ever make a model slower: what holds against the base at its fastest, holds
        strict = _limits(options.budgets, _at_its_fastest(base), sweep, options.batch)
        outcomes = tuple(budget_outcome(check, limit, batch=options.batch) for limit in strict)
    unknown = not again or (_any_relative(options) and not base_again)
    unread = _unread(check, options)
    met = None if unknown or unread else _all_met([outcome.met for outcome in outcomes])
    disturbed = disturbed and met is not True
    met = None if disturbed else met
    reason = _explain(met, len(again), [o.text for o in outcomes if o.met is False], unread)
    return Held(
        outcomes=outcomes,
        met=met,
        reason=_DISTURBED if disturbed else reason,
        processes=len(again),
    )


def _unread(check: Variant, options: Options) -> str | None:
    """Say which bounded quantity the check did not measure itself, if there is one."""
    for budget in options.budgets:
        known = quantity(check, budget.metric, batch=options.batch)
        if known is not None and known.source in ("estimated", "predicted"):
            reasons = check.measurement.reasons if check.measurement else {}
            field = budget.metric.replace("latency.", "latency_s.")
            why = reasons.get(field, "it was not measured")
            return f"{budget.metric} {why} (a longer --time-limit takes more)"
    return None


def _measure_beside_base(
    chosen: Variant, sweep: Sweep, bench: Bench, options: Options
) -> tuple[list[MeasureReply], list[MeasureReply]]:
    """Measure choice and base in turn, so that what the machine does meanwhile hits both."""
    again: list[MeasureReply] = []
    base_again: list[MeasureReply] = []
    relative = _any_relative(options)
    for seed in range(1, _ROUNDS + 1):
        samples = samples_wanted(options.budgets)
        again += _once(sweep, bench, chosen, seed, samples)
        if relative and chosen.id != "base":
            base_again += _once(sweep, bench, sweep.base, seed, samples)
    return again, base_again or (again if chosen.id == "base" else [])


def _any_relative(options: Options) -> bool:
    return any(budget.relative is not None for budget in options.budgets)


def _once(
    sweep: Sweep, bench: Bench, variant: Variant, seed: int, samples: int
) -> list[MeasureReply]:
    # a choice is checked by what it takes now
    sweep.measure(variant, seed=seed, again=True, samples=samples)
    reply = bench.last(variant)
    return [reply] if reply is not None else []


def _remeasured(variant: Variant, replies: Sequence[MeasureReply], device: str) -> Variant:
    """Return the variant with these measurements alone."""
    if not replies:
        return variant
    return replace(variant, measurement=pool(variant, replies, device))


def is_timed(options: Options) -> bool:
    """Tell whether a budget bounds something that other processes can disturb."""
    return any(METRICS[budget.metric].is_timed for budget in options.budgets)


def _at_its_fastest(variant: Variant) -> Variant:
    measurement = variant.measurement
    if measurement is None or measurement.latency_s is None:
        return variant
    fastest = replace(measurement.latency_s, p50=min(measurement.latency_s.samples))
    return replace(variant, measurement=replace(measurement, latency_s=fastest))


def is_contended(variant: Variant) -> bool:
    """Tell whether others disturbed every process that measured a variant."""
    return variant.measurement is not None and variant.measurement.contended


def _limits(
    budgets: Sequence[Budget], base: Variant, sweep: Sweep, batch: int
) -> tuple[Limit, ...]:
    if all(quantity(base, budget.metric, batch=batch) is not None for budget in budgets):
        return resolve_limits(budgets, base, batch=batch)
    return sweep.limits_of(budgets)


def _all_met(met: Sequence[bool | None]) -> bool | None:
    if any(value is False for value in met):
        return False
    return None if any(value is None for value in met) else True


def _explain(met: bool | None, processes: int, missed: Sequence[str], unread: str | None) -> str:
    if not processes:
        return "it could not be measured again"
    how = f"measured again in {processes} fresh processes"
    if met is None:
        return f"{how}, but {unread or 'a bounded quantity is unknown there'}"
    return f"{how}, missed {', '.join(missed)}" if missed else how
