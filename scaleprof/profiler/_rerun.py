"""Measure again what a report was recorded of, as far as a check needs it.

A report may come from anywhere. Nothing that it names is imported or called: what is built is the
model that the user names. A variant of it is found anew from its strategy and multiplier, as a
profile finds it, or from the numbers among its arguments. What else a report says of its calls and
costs is only compared with what was found.
"""

import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from ..errors import InputError, ReportError
from ..jobs import BUILD, BuildRequest
from ..models import parse_inputs, with_dtype
from ..records import Check, Cost, Measurement, Report, Variant, replace
from ..reports import check_writable, write_json
from ..reports.comparison import Judged, Named, differences, judge
from ..scaling import STRATEGIES
from ..workers import Done
from ._base import refuse_failure
from ._context import context_of
from ._decide import LOOKS, decide
from ._job import Job, job_of
from ._options import MAX_MULTIPLIER
from ._recorded import as_text, call_with_numbers, changed_code, options_of
from ._sweep import Progress, Sweep


def check_and_measure(
    reports: Sequence[Named],
    baselines: Sequence[Named],
    rules: Mapping[str, Any],
    *,
    model: str,
    time_limit_s: float,
    output: str | None,
    progress: Progress,
) -> Check:
    """Judge a report, and measure its model again where a line of the check is undecided.

    Args:
        reports: The report, alone.
        baselines: What it is held against.
        rules: Gates, budgets and the like, as `scaleprof.reports.comparison.judge` takes them.
        model: The model, as the user names it.
        time_limit_s: Time for measuring.
        output: Path to write the report to with what was added; None for nowhere.
        progress: Called with a line for every step.

    Raises:
        ReportError: If the report is of another model, of other code, or of other conditions.
        ScaleprofError: If the model or the device is not as it should be.
    """
    if len(reports) != 1:
        raise InputError(
            f"one report at a time can be measured again, got {len(reports)}",
            hint="check them one by one",
        )
    (now,) = reports

    def judged(report: Report) -> Judged:
        return judge([Named(name=now.name, report=report)], baselines, looks=LOOKS, **rules)

    check_writable(output)
    again = Again(
        now,
        model,
        time_limit_s=time_limit_s,
        allow_different=rules["allow_different"],
        progress=progress,
    )
    with again:
        decided = decide(now.report, judged, again.measure)
    if output is not None:
        write_json(decided.report, output)
    notes = (*decided.check.notes, *again.notes, *_same_code(decided.check, now, baselines))
    different = (*decided.check.differences, *again.differences)
    return replace(decided.check, notes=notes, differences=different)


class Again:
    """A job that begins when it is first needed; use it as a context manager.

    Args:
        now: The report.
        model: The model, as the user names it.
        time_limit_s: Time for the job.
        allow_different: Whether to measure under other conditions than those of the report.
        progress: Called with a line for every step.

    Raises:
        ReportError: If the report is of another model.
        InputError: If its conditions make no sense.
    """

    def __init__(
        self,
        now: Named,
        model: str,
        *,
        time_limit_s: float,
        allow_different: bool,
        progress: Progress,
    ) -> None:
        if model.strip() != now.report.base.model:
            raise ReportError(
                f"`{now.name}` is of model `{now.report.base.model}`, not of `{model}`, which is "
                "to be measured again",
                hint="name the model that was recorded, exactly as it was named then",
            )
        self._now = now
        self._allow_different = allow_different
        self._options = options_of(now.report, time_limit_s)
        self._progress = progress
        self._stack = ExitStack()
        self._begun: tuple[Job, Sweep] | None = None
        self._random = random.Random(0)
        self._known: set[str] = set()
        self._ended: str | None = None
        self.differences: tuple[str, ...] = ()

    def __enter__(self) -> "Again":
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """What ended it before all that was wanted was measured."""
        return (self._ended,) if self._ended else ()

    def measure(self, wanted: Mapping[str, int]) -> dict[str, Measurement]:
        """Measure variants in so many more processes each, in turn, as far as there is time.

        Returns:
            All that this job measured so far, by variant.

        Raises:
            ReportError: If the code is not what the report was recorded of.
            ModelError: If a variant cannot be measured.
        """
        job, sweep = self._begun or self._begin()
        for name in wanted:
            self._find(name)
        for name in self._turns(wanted):
            self._ended = self._ended or self._limit(job)
            if self._ended:
                break
            try:
                measured = sweep.measure(sweep.variants[name], seed=job.bench.processes)
            except KeyboardInterrupt:
                # what was measured before still counts
                self._ended = f"it was interrupted after {job.bench.processes} more processes"
            else:
                refuse_failure(sweep, measured)
        all_ = {name: sweep.variants[name].measurement for name in self._known}
        seen = {name: known for name, known in all_.items() if known is not None}
        # under other conditions the yardstick is another one
        return (
            {n: replace(m, yardsticks_s=()) for n, m in seen.items()} if self.differences else seen
        )

    def _turns(self, wanted: Mapping[str, int]) -> list[str]:
        """Variants in turn, in random order within each: what the machine does hits all alike."""
        turns = [
            (turn, self._random.random(), name) for name in wanted for turn in range(wanted[name])
        ]
        return [name for _, _, name in sorted(turns)]

    def _limit(self, job: Job) -> str | None:
        done = job.bench.processes
        if not done or job.bench.has_time_for(1):
            return None
        limit = self._options.time_limit_s
        return f"the time limit, {limit:g} s, ended it after {done} more processes (--time-limit)"

    def _begin(self) -> tuple[Job, Sweep]:
        model = self._now.report.base.model
        job = self._stack.enter_context(
            job_of(model, self._options, fresh=True, progress=self._progress)
        )
        self._hold_conditions(job)
        self._begun = job, job.sweep()
        self._find("base")
        return self._begun

    def _hold_conditions(self, job: Job) -> None:
        """Refuse another device, other versions or other settings than those of the report."""
        here = replace(
            self._now.report, context=context_of(job.state, job.options, job.started, 0.0)
        )
        found = differences(self._now.report, here)
        if found and not self._allow_different:
            raise ReportError(
                f"`{self._now.name}` was not recorded under the conditions of here and now: "
                f"{'; '.join(found)}",
                hint="measure where it was recorded, or pass --allow-different",
            )
        self.differences = tuple(f"measured again with {difference}" for difference in found)

    def _find(self, name: str) -> None:
        """Find a variant anew, and refuse it unless it is what the report was recorded of."""
        if name in self._known:
            return
        assert self._begun is not None
        job, sweep = self._begun
        recorded = self._now.report.variant(name)
        found = _by_strategy(sweep, recorded) or _by_numbers(job, recorded)
        changed = [] if found is None else changed_code(recorded, found)
        if found is None or changed:
            how = f"differs in {', '.join(changed)}" if changed else "is not found"
            raise ReportError(
                f"the code of `{self._now.report.base.model}` has changed since "
                f"`{self._now.name}` was recorded: variant `{name}` {how}",
                hint="record the report anew, with the code that is here",
            )
        sweep.variants[name] = found
        self._known.add(name)


def _by_strategy(sweep: Sweep, recorded: Variant) -> Variant | None:
    """Return the base, or what a profile finds at the strategy and multiplier of a variant."""
    recipe = recorded.recipe
    scaled = recipe.strategy in STRATEGIES
    if recorded.id != "base" and scaled and 1 / MAX_MULTIPLIER < recipe.multiplier < MAX_MULTIPLIER:
        sweep.resolve(recipe.strategy, [recipe.multiplier])
    return sweep.variants.get(recorded.id)


def _by_numbers(job: Job, recorded: Variant) -> Variant | None:
    """Return what the user's constructor builds with the numbers of a variant, counted."""
    call = call_with_numbers(job.knobs, recorded.recipe)
    if call is None or job.options.step != "inference":
        return None
    texts = [as_text(spec, job.options.dtype) for spec in recorded.cost.inputs]
    inputs = with_dtype(parse_inputs(texts, batch=job.options.batch), job.options.dtype)
    request = BuildRequest(call=call, inputs=inputs, trust=True, dtype=job.options.dtype)
    outcome = job.crew.try_count(BUILD, request, Cost)
    if not isinstance(outcome, Done):
        return None
    recipe = replace(recorded.recipe, arguments=call.arguments, callables=call.callables)
    return replace(recorded, recipe=recipe, cost=outcome.reply, measurement=None)


def _same_code(check: Check, now: Named, baselines: Sequence[Named]) -> list[str]:
    """Say which variants are of the same code in both reports: only the machine sets them apart."""
    if len(baselines) != 1:
        return []
    gated = dict.fromkeys(line.variant for line in check.lines if line.kind == "gate")
    (baseline,) = baselines
    return [
        f"the graph of `{name}` is the same in both reports{_same_commit(now, baseline)}"
        for name in gated
        if _graph(now, name) is not None and _graph(now, name) == _graph(baseline, name)
    ]


def _graph(named: Named, variant: str) -> str | None:
    graphs = [found.cost.graph for found in named.report.variants if found.id == variant]
    return graphs[0] if graphs else None


def _same_commit(now: Named, baseline: Named) -> str:
    commits = {named.report.context.git_commit for named in (now, baseline)}
    commit = commits.pop()
    if commits or commit is None or commit.endswith("+"):
        return ": if its code is too, only the machine sets them apart"
    return f", and so is the commit, {commit[:12]}: only the machine sets them apart"
