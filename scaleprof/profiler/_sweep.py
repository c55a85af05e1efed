"""The variants of one profile: resolved, measured where that matters, and kept."""

import math
import random
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from ..errors import ModelError, ScaleprofError
from ..jobs import (
    PLAN_TRAINING,
    SCALE,
    KnobsReply,
    PlanReply,
    PlanRequest,
    ScaleReply,
    ScaleRequest,
)
from ..records import Record, Variant, replace
from ..selection import Budget, Limit, log_room, meets, quantity, rank, resolve_limits
from ..timing import Drift
from ..workers import Failure, failure_error
from ._bench import Bench
from ._crew import Crew
from ._fill import filling_multiplier, halfway, keeps_sizes, margin
from ._options import Options
from ._predict import Elsewhere, with_predictions

Progress = Callable[[str], None]
Reply = TypeVar("Reply")

# processes between two of the sentinel
SENTINEL_EVERY = 6
# processes kept free at the end for checking the choice: two of it and two of the base
CHECK_PROCESSES = 4
# processes kept free for each rung of a ladder: two near it, and two that check what is on it
PROCESSES_OF_RUNG = 4
# multipliers closer than this are the same question
_SAME = 0.015
# a strategy fills a budget if it comes this near to where it is aimed
_FILLED = 0.93
_FILL_ROUNDS = 2
# variants that get a second process before the choice, and the factor they may miss a budget by
_SECOND_LOOKS = 5
_NARROWLY = 1.1


class Sweep:
    """All variants, by identifier in the order they were found.

    Args:
        model: The model reference, for messages.
        knobs: What scaling needs to know about the model.
        options: Conditions.
        crew: Workers.
        bench: Measurements.
        progress: Called with a line for every step.
        device_name: Name of the device, whose data sheet predictions start from.
        like: What a profile of another device teaches of the model.

    Attributes:
        kept_free: Processes that `measure_all` leaves time for besides those of the check.
    """

    def __init__(
        self,
        *,
        model: str,
        knobs: KnobsReply,
        options: Options,
        crew: Crew,
        bench: Bench,
        progress: Progress,
        device_name: str = "",
        like: Elsewhere | None = None,
    ) -> None:
        self.variants: dict[str, Variant] = {}
        self.skipped: list[str] = []
        self.notes: list[str] = []
        self.interrupted = False
        self.kept_for_ladder = PROCESSES_OF_RUNG * len(options.ladder)
        self.kept_free = 0
        self.drift = Drift()
        self._random = random.Random(0)
        self.model = model
        self._knobs = knobs
        self._options = options
        self._crew = crew
        self._bench = bench
        self._progress = progress
        self.device_name = device_name
        self.like = like
        # the base is every strategy at multiplier 1
        base = self._planned([knobs.base])
        if not base:
            raise ModelError(f"`{model}` cannot be trained", hint="leave --step training out")
        self._keep(replace(base[0], strategies=options.strategies))

    @property
    def base(self) -> Variant:
        """The base, as far as it is measured."""
        return self.variants["base"]

    @property
    def on_cpu(self) -> bool:
        """Whether memory is the static plan, as it is on a CPU."""
        measured = self.base.measurement
        return measured is None or measured.peak_bytes_source == "planned"

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The budgets in base units, by what is known of the base now."""
        return self.limits_of(self._options.budgets)

    def limits_of(self, budgets: Sequence[Budget]) -> tuple[Limit, ...]:
        """Return any budgets in base units, by what is known of the base now."""
        return resolve_limits(budgets, self.base, batch=self._options.batch)

    def resolve(self, strategy: str, multipliers: Iterable[float]) -> list[Variant]:
        """Resolve a strategy at some multipliers; return the variants that are new."""
        request = ScaleRequest(
            model=self.model,
            knobs=self._knobs,
            strategy=strategy,
            multipliers=tuple(m for m in multipliers if abs(math.log(m)) > _SAME),
            axes=self._options.axes,
            dtype=self._options.dtype,
        )
        return self.join(SCALE, request, strategy)

    def join(self, job: str, request: Record, strategy: str) -> list[Variant]:
        """Add the variants that a job resolves for a strategy; return those that are new."""
        reply = self.ask(job, request, ScaleReply, of=f"strategy {strategy}")
        return [] if reply is None else self.take(reply.variants, reply.skipped, strategy)

    def take(
        self, variants: Sequence[Variant], skipped: Sequence[str], strategy: str
    ) -> list[Variant]:
        """Add variants that were resolved for a strategy; return those that are new."""
        self._skip(skipped)
        found = self._planned(variants)
        return [v for variant in found if (v := self._add(variant, strategy))]

    def ask(self, job: str, request: Record, reply: type[Reply], *, of: str) -> Reply | None:
        """Run a job that touches no device; None if it fails, and then say so in `skipped`."""
        files = self._knobs.sources
        outcome = self._crew.probe(job, request, reply, lambda _: files)
        if isinstance(outcome, Failure):
            self.skipped.append(f"{of}: {outcome.reason}")
            return None
        return outcome.reply

    def _skip(self, why: Iterable[str]) -> None:
        self.skipped += [text for text in why if text not in self.skipped]

    def _planned(self, variants: Sequence[Variant]) -> Sequence[Variant]:
        """Variants with the static plan of what is measured of them."""
        if self._options.step == "inference" or not variants:
            return variants
        request = PlanRequest(variants=tuple(variants), dtype=self._options.dtype)
        files = self._knobs.sources
        outcome = self._crew.probe(PLAN_TRAINING, request, PlanReply, lambda _: files)
        if isinstance(outcome, Failure):
            raise failure_error(outcome, f"`{self.model}` in training")
        self._skip(outcome.reply.skipped)
        return outcome.reply.variants

    def _add(self, variant: Variant, strategy: str) -> Variant | None:
        known = self.variants.get(variant.id)
        if known is None:
            self._keep(replace(variant, strategies=(strategy,)))
            return self.variants[variant.id]
        if strategy not in known.strategies:
            self._keep(replace(known, strategies=(*known.strategies, strategy)))
        return None

    def _keep(self, variant: Variant) -> None:
        self.variants[variant.id] = variant

    def measure(
        self, variant: Variant, *, seed: int = 0, again: bool = False, samples: int = 0
    ) -> Variant:
        """Measure a variant in one more process, and return it with all its measurements.

        Args:
            variant: The variant.
            seed: Of weights and inputs.
            again: Whether to measure it whatever was measured before.
            samples: Take so many at least, if there is time.
        """
        self._progress(self._doing(variant))
        self._bench.run(variant, seed=seed, again=again, samples=samples)
        return self._measured(variant)

    def measure_base(self) -> Variant:
        """Measure the base, before anything else."""
        self._progress("measuring the base")
        self._bench.run_base(self.base)
        return self._measured(self.base)

    def _doing(self, variant: Variant) -> str:
        measured = sum(v.measurement is not None for v in self.variants.values())
        noise = self._bench.noise
        about = f" · noise ±{noise:.1%}" if noise is not None else ""
        left, recipe = self._bench.seconds_left, variant.recipe
        return (
            f"measuring {recipe.strategy} ×{recipe.counted_multiplier:.2f} · {measured} of "
            f"{len(self.variants)} variants measured · {left:.0f} s left{about}"
        )

    def _measured(self, variant: Variant) -> Variant:
        measured = self._bench.measured(self.variants[variant.id])
        self._keep(measured)
        return measured

    def failure(self, variant: Variant) -> ScaleprofError:
        """Return the error of a variant that could not be measured."""
        return failure_error(self._bench.failures[variant.id], f"`{self.model}`")

    def measure_all(self, variants: Iterable[Variant]) -> None:
        """Measure variants as long as there is time, with the base between them as a sentinel.

        They come in the order given, but for chance among those between two sentinels: what the
        machine does meanwhile must not look like an effect of their size.
        """
        left = [v for v in variants if self.variants[v.id].measurement is None]
        for start in range(0, len(left), SENTINEL_EVERY):
            block = left[start : start + SENTINEL_EVERY]
            self._random.shuffle(block)
            for variant in block:
                if not self.has_time:
                    self.note_time()
                    return
                self.measure(variant)
            if len(block) == SENTINEL_EVERY and self.has_time:
                self.watch()

    def measure_once_more(self, variant: Variant) -> Variant:
        """Measure a variant in one more process, with weights and inputs of its own."""
        return self.measure(variant, seed=self._bench.blocks(variant))

    def watch(self) -> None:
        """Measure the sentinel, and correct everything for what it shows."""
        self.measure(self.base, seed=0)
        self.correct_drift()

    def correct_drift(self) -> None:
        """Divide latencies by how much slower than usual the machine was, if it was."""
        self.drift = self._bench.watch_drift(self.base)
        for variant in list(self.variants.values()):
            self._measured(variant)

    @property
    def has_time(self) -> bool:
        """Whether there is time for one more process and for checking the choice."""
        return self._bench.has_time_for(1 + self._reserve)

    @property
    def _reserve(self) -> int:
        kept = self.kept_free + self.kept_for_ladder
        return kept + (CHECK_PROCESSES if self._options.budgets else 0)

    def note_time(self) -> None:
        """Note once that the time limit ended the sweep."""
        text = "the time limit ended the sweep; variants marked ~ are predicted (--time-limit)"
        if text not in self.notes:
            self.notes.append(text)

    def predict(self) -> None:
        """Predict every variant from the measured others."""
        variants = list(self.variants.values())
        for variant in with_predictions(
            variants, on_cpu=self.on_cpu, device=self.device_name, like=self.like
        ):
            self._keep(variant)

    def _room(self, variant: Variant, limits: Sequence[Limit]) -> float:
        """Logarithm of the room a variant is expected to leave under its tightest limit."""
        rooms = [self._room_under(variant, limit) for limit in limits]
        return min(rooms)

    def _room_under(self, variant: Variant, limit: Limit) -> float:
        metric, batch = limit.budget.metric, self._options.batch
        known = quantity(variant, metric, batch=batch)
        if known is None:
            base = quantity(self.base, metric, batch=batch)
            if base is None:
                return 0.0
            growth = _growth(variant, self.base)
            value = base.value * growth if limit.budget.bound == "<=" else base.value / growth
        else:
            value = known.value
        return log_room(value, limit.budget.bound, limit.value)

    def fill_budgets(self) -> None:
        """Add and measure, for each strategy, the variant that just fills the budgets."""
        for _ in range(_FILL_ROUNDS):
            fresh = [v for strategy in self._options.strategies for v in self._to_fill(strategy)]
            # two strategies may round to the same variant
            self.measure_all({variant.id: variant for variant in fresh}.values())

    def _to_fill(self, strategy: str) -> list[Variant]:
        """Return what to measure for a strategy to fill the budgets; nothing if it does."""
        limits, own = self.limits, self._of(strategy)
        filling = [v for v in own if self._fills(v, limits)]
        if filling:
            # counted quantities say that it fills, and nobody has measured how fast it is
            known = any(v.measurement is not None for v in filling)
            return [] if known else [min(filling, key=lambda v: self._room(v, limits))]
        multiplier = self._unfilled(own)
        found: list[Variant] = []
        if multiplier is not None:
            found = self.resolve(strategy, [multiplier]) or self._nearest(strategy, multiplier)
        return found or self._halfway(strategy, limits)

    def _halfway(self, strategy: str, limits: Sequence[Limit]) -> list[Variant]:
        """What lies between the measured variants that hold the budgets and those that do not."""
        by_outcome: dict[bool, list[float]] = {True: [], False: []}
        for variant in self._of(strategy):
            if variant.measurement is not None:
                by_outcome[self._holds(variant, limits)].append(variant.recipe.counted_multiplier)
        multiplier = halfway(by_outcome[True], by_outcome[False])
        return [] if multiplier is None else self.resolve(strategy, [multiplier])

    def _holds(self, variant: Variant, limits: Sequence[Limit]) -> bool:
        options = self._options
        return meets(variant, limits, batch=options.batch, confidence=options.confidence)

    def _nearest(self, strategy: str, multiplier: float) -> list[Variant]:
        """The variant that a multiplier was rounded to, unless it is measured."""
        own = self._of(strategy)
        nearest = min(own, key=lambda v: abs(math.log(v.recipe.counted_multiplier / multiplier)))
        return [nearest] if nearest.measurement is None else []

    def _of(self, strategy: str) -> list[Variant]:
        # other kernels and patches change the latency at the same multiplier
        return [v for v in self.variants.values() if strategy in v.strategies and keeps_sizes(v)]

    def look_again(self) -> None:
        """Measure in one more process what the choice hangs on.

        One process can be unlucky (a neighbour on the machine, an unfortunate memory layout). The
        best variants that meet the budgets, or miss them narrowly, get a second one.
        """
        limits = self.limits
        near = [
            variant
            for variant in self.variants.values()
            if variant.id != "base"
            and variant.measurement is not None
            and variant.measurement.counted_processes == 1
            and self._room(variant, limits) > -math.log(_NARROWLY)
        ]
        for variant in rank(near, batch=self._options.batch)[:_SECOND_LOOKS]:
            if self.has_time:
                self.measure(variant, seed=1)

    def _unfilled(self, own: Sequence[Variant]) -> float | None:
        """Return the multiplier that a strategy should be tried at; None if it was."""
        options = self._options
        wanted = filling_multiplier(
            own, self.limits, batch=options.batch, confidence=options.confidence, predicted=True
        )
        tried = [v.recipe.counted_multiplier for v in own if v.measurement is not None]
        if wanted is None or any(abs(math.log(wanted / m)) < _SAME for m in tried):
            return None
        return wanted

    def _fills(self, variant: Variant, limits: Sequence[Limit]) -> bool:
        if not self._holds(variant, limits):
            return False
        known = [
            quantity(variant, limit.budget.metric, batch=self._options.batch) for limit in limits
        ]
        sources = {q.source for q in known if q is not None}
        enough = -math.log(_FILLED * margin(self._options.confidence))
        return "predicted" not in sources and self._room(variant, limits) < enough


def _growth(variant: Variant, base: Variant) -> float:
    """Factor by which latency is expected to grow before anything is known of the device."""
    macs = variant.cost.macs / max(base.cost.macs, 1)
    activations = variant.cost.activations / max(base.cost.activations, 1)
    return math.sqrt(max(macs, 1e-9) * max(activations, 1e-9))
