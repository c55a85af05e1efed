"""A ladder in a profile: measure near its rungs, find it, and check what is on every rung."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..records import Ladder, Rung, Variant, Verification
from ..records import replace as changed
from ..selection import Limit, budget_outcome, climb, nearest_miss_error, quantity
from ._bench import Bench
from ._check import Held, hold, is_contended
from ._fill import filling_multiplier, keeps_sizes, margin
from ._options import Options
from ._sweep import CHECK_PROCESSES, Sweep

# looks for a ladder before it is checked; each measures what the last one only predicted
_ROUNDS = 3
# recipes that are tried on a rung when they miss it
_MAX_TRIES = 3
# a strategy has a variant near a rung if its multiplier is this near to the one that fills it
_NEAR = 0.04
# with an even chance of meeting a rung
_EXPECTED = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a ladder must hold.

    Attributes:
        limits: On every rung.
        rungs: Bounds of latency, the tightest first.
        batch: Items in one forward pass.
        confidence: Chance of meeting each bound that is required.
    """

    limits: tuple[Limit, ...]
    rungs: tuple[Limit, ...]
    batch: int
    confidence: float

    def on(self, place: int) -> tuple[Limit, ...]:
        """Return everything that must hold on one rung."""
        return (*self.limits, self.rungs[place])

    def climb(
        self, variants: Sequence[Variant], missed: Mapping[int, Sequence[str]] | None = None
    ) -> list[Variant | None]:
        """Return the best ladder of some variants, without those that missed a rung before."""
        return climb(
            variants,
            self.limits,
            self.rungs,
            batch=self.batch,
            confidence=self.confidence,
            excluded=missed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """A check of one rung, with what was known of its variant before."""

    known: Rung
    held: Held


Checks = Mapping[tuple[int, str], _Checked]


def measure_near_rungs(sweep: Sweep, options: Options, *, refresh: Callable[[], None]) -> None:
    """Build variants that fill each rung, and measure those that the ladder rests on.

    Args:
        sweep: The variants.
        options: Conditions, with the ladder.
        refresh: Predicts latency and accuracy of all variants anew.
    """
    # half of what was kept is for checking
    sweep.kept_for_ladder //= 2
    for _ in range(_ROUNDS):
        refresh()
        bounds = _bounds(sweep, options)
        _build_near_rungs(sweep, options, bounds)
        refresh()
        aimed = replace(bounds, rungs=_aimed_below(bounds), confidence=_EXPECTED)
        chain = aimed.climb(list(sweep.variants.values()))
        unsure = {v.id: v for v in chain if v is not None and v.measurement is None}
        if not unsure:
            return
        sweep.measure_all(unsure.values())


def _bounds(sweep: Sweep, options: Options) -> Bounds:
    rungs = sweep.limits_of(options.ladder)
    return Bounds(
        limits=sweep.limits,
        rungs=tuple(sorted(rungs, key=lambda limit: limit.value)),
        batch=options.batch,
        confidence=options.confidence,
    )


def _aimed_below(bounds: Bounds) -> tuple[Limit, ...]:
    """Return what a variant must be expected to hold, for a measurement to make it sure."""
    share = margin(bounds.confidence)
    return tuple(replace(rung, value=share * rung.value) for rung in bounds.rungs)


def _build_near_rungs(sweep: Sweep, options: Options, bounds: Bounds) -> None:
    for strategy in options.strategies:
        of_strategy = (v for v in sweep.variants.values() if strategy in v.strategies)
        own = [v for v in of_strategy if keeps_sizes(v)]
        tried = [v.recipe.counted_multiplier for v in own]
        wanted: list[float] = []
        for place in range(len(bounds.rungs)):
            multiplier = filling_multiplier(
                own,
                bounds.on(place),
                batch=bounds.batch,
                confidence=bounds.confidence,
                predicted=True,
            )
            if multiplier is not None and not _is_near(multiplier, [*tried, *wanted]):
                wanted.append(multiplier)
        if wanted:
            sweep.resolve(strategy, wanted)


def _is_near(multiplier: float, others: Sequence[float]) -> bool:
    return any(abs(math.log(multiplier / other)) < _NEAR for other in others)


def climb_and_check(
    sweep: Sweep, bench: Bench, options: Options, device: str, *, refresh: Callable[[], None]
) -> Ladder:
    """Find the ladder and measure its variants again; one that misses its rung is replaced.

    Args:
        sweep: The variants.
        bench: Their measurements.
        options: Conditions, with the ladder.
        device: Torch device string.
        refresh: Predicts latency and accuracy of all variants anew.
    """
    missed: defaultdict[int, list[str]] = defaultdict(list)
    checks: dict[tuple[int, str], _Checked] = {}
    while True:
        refresh()
        bounds, variants = _bounds(sweep, options), list(sweep.variants.values())
        chain = bounds.climb(variants, missed)
        place = _next_to_check(chain, checks)
        if place is None or sweep.interrupted or not bench.has_time_for(_processes(options)):
            return ladder_of(sweep.model, variants, bounds, chain, checks)
        variant = chain[place]
        assert variant is not None
        with_rung = changed(options, budgets=(*options.budgets, bounds.rungs[place].budget))
        try:
            held = hold(variant, sweep, options=with_rung, device=device, bench=bench)
        except KeyboardInterrupt:
            sweep.interrupted = True
            continue
        known = _known(bounds, place, variant)
        checks[place, variant.id] = _Checked(known=known, held=held)
        if held.met is False and len(missed[place]) < _MAX_TRIES - 1:
            missed[place].append(variant.id)


def _processes(options: Options) -> int:
    """Return how many processes a check takes: those of the base only where it is compared."""
    relative = any(budget.relative is not None for budget in (*options.budgets, *options.ladder))
    return CHECK_PROCESSES if relative else CHECK_PROCESSES // 2


def _next_to_check(chain: Sequence[Variant | None], checks: Checks) -> int | None:
    for place, variant in enumerate(chain):
        if variant is not None and _check_of(place, variant.id, checks) is None:
            return place
    return None


def _check_of(place: int, identifier: str, checks: Checks) -> _Checked | None:
    """Return the check of a variant on a rung; what held a tighter rung holds this one."""
    if (place, identifier) in checks:
        return checks[place, identifier]
    tighter = (checks.get((below, identifier)) for below in range(place))
    return next((check for check in tighter if check is not None and check.held.met), None)


def ladder_of(
    model: str,
    variants: Sequence[Variant],
    bounds: Bounds,
    chain: Sequence[Variant | None],
    checks: Checks,
) -> Ladder:
    """Record a ladder with what is known of each rung.

    Args:
        model: The model reference, for messages.
        variants: All variants.
        bounds: What it holds.
        chain: The variant of each rung.
        checks: Checks by place and variant.
    """
    rungs = []
    for place, variant in enumerate(chain):
        if variant is None:
            rungs.append(_empty(model, variants, bounds, place))
            continue
        check = _check_of(place, variant.id, checks)
        known = _known(bounds, place, variant)
        rungs.append(known if check is None else _with_check(known, check))
    decided = not any(map(is_contended, variants))
    return Ladder(rungs=tuple(rungs), confidence=bounds.confidence, decided=decided)


def _known(bounds: Bounds, place: int, variant: Variant) -> Rung:
    rung = bounds.rungs[place]
    latency = quantity(variant, "latency", batch=bounds.batch)
    return changed(
        _bare(rung),
        variant=variant.id,
        source=latency.source if latency else None,
        budgets=tuple(
            budget_outcome(variant, limit, batch=bounds.batch) for limit in bounds.on(place)
        ),
    )


def _with_check(known: Rung, check: _Checked) -> Rung:
    held, before = check.held, check.known
    own = held.outcomes[-1]
    if own.text != known.budgets[-1].text:
        # the check was of a tighter rung, with another limit of latency
        own = changed(known.budgets[-1], value=own.value, met=own.met)
    outcomes = (*held.outcomes[:-1], own)
    return changed(
        known,
        source=before.source,
        budgets=outcomes,
        verified=held.met,
        verification=Verification(
            predicted={outcome.text: outcome.value for outcome in before.budgets},
            measured={outcome.text: outcome.value for outcome in outcomes},
            met=held.met,
            reason=held.reason,
            processes=held.processes,
        ),
    )


def _empty(model: str, variants: Sequence[Variant], bounds: Bounds, place: int) -> Rung:
    rung = bounds.rungs[place]
    # a looser budget of latency adds nothing to what the rung says
    others = [limit for limit in bounds.limits if limit.budget.metric != rung.budget.metric]
    error = nearest_miss_error(
        model, variants, (*others, rung), batch=bounds.batch, confidence=bounds.confidence
    )
    return changed(_bare(rung), reason=str(error))


def _bare(rung: Limit) -> Rung:
    text = rung.budget.text.removeprefix("latency<=")
    return Rung(text=text, limit=rung.value, relative=rung.budget.relative)
