"""One job that measures: its device, the knobs of its model, and its workers."""

import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..devices import DeviceState
from ..jobs import KnobsReply
from ..records import Context, replace
from ..store import Store, store_path
from ._bench import RULE, Bench
from ._cache import Cache
from ._context import context_of, device_of
from ._crew import Crew, libraries_of
from ._devices import known_calibration
from ._kept import Kept
from ._like import learned_elsewhere
from ._measurable import check_measurable
from ._options import Options, resolve_kernels
from ._probing import knobs_request, probe_knobs
from ._stages import with_modules
from ._sweep import Progress, Sweep


@dataclass(kw_only=True)
class Job:
    """What a job has while its workers are there.

    Attributes:
        model: Model reference.
        options: Conditions, as the device resolved them.
        state: The device.
        knobs: What scaling needs to know about the model.
        crew: Workers.
        bench: Measurements.
        store: Where they are kept.
        progress: Called with a line for every step.
        began: Value of `time.monotonic` at which it began.
        started: The same as a date.
    """

    model: str
    options: Options
    state: DeviceState
    knobs: KnobsReply
    crew: Crew
    bench: Bench
    store: Store
    progress: Progress
    began: float
    started: dt.datetime

    def sweep(self) -> Sweep:
        """Return the variants of the job: the base, to begin with.

        Raises:
            ReportError: If the profile that predictions are to start from does not fit the job.
        """
        return Sweep(
            model=self.model,
            knobs=self.knobs,
            options=self.options,
            crew=self.crew,
            bench=self.bench,
            progress=self.progress,
            device_name=self.state.device.name,
            like=learned_elsewhere(self.model, self.options, self.state.device),
        )

    def finish(self, sweep: Sweep, *, chosen: str | None = None) -> Callable[[], Context]:
        """Add what modules need and take, and what the store has to say, before workers end.

        Args:
            sweep: The variants.
            chosen: Identifier of the choice, if there is one.

        Returns:
            What gives the conditions of the job once it has ended.
        """
        self.progress("looking at modules")
        found = with_modules(
            self.crew, self.bench, sweep.variants, chosen, dtype=self.options.dtype
        )
        sweep.variants.update(found)
        sweep.notes += self.bench.kept.notes
        calibration = known_calibration(self.store, self.state)

        def context() -> Context:
            elapsed = time.monotonic() - self.began
            return replace(
                context_of(self.state, self.options, self.started, elapsed),
                model_s=round(self.bench.model_s, 3),
                drift=sweep.drift.largest,
                calibration=calibration,
            )

        return context


@contextmanager
def job_of(model: str, options: Options, *, fresh: bool, progress: Progress) -> Iterator[Job]:
    """Find the device and the knobs of a model, and keep the workers until the job ends.

    Args:
        model: Model reference.
        options: Conditions.
        fresh: Whether to measure whatever was measured before.
        progress: Called with a line for every step.

    Raises:
        ScaleprofError: If the model, the input or the device is not as it should be.
    """
    began, started = time.monotonic(), dt.datetime.now(dt.UTC)
    request = knobs_request(model, inputs=options.inputs, batch=options.batch, dtype=options.dtype)
    libraries = libraries_of([request.reference])
    deadline = began + options.time_limit_s
    cache = Cache(fresh=options.fresh)
    crew_of = Crew(libraries, device=options.device, deadline=deadline, cache=cache)
    with crew_of as crew, Store(store_path(options.store)) as store:
        progress("starting")
        crew.start()
        state = device_of(crew, options, libraries)
        check_measurable(options.budgets, state)
        options = replace(options, kernels=resolve_kernels(options, state.device))
        crew.uses(state.device.type)
        progress("looking for knobs")
        knobs = probe_knobs(crew, request)
        kept = Kept(store, model=model, state=state, files=knobs.sources, fresh=fresh)
        bench = Bench(crew, options, state.name, deadline=deadline, rule=RULE, kept=kept)
        yield Job(
            model=model,
            options=options,
            state=state,
            knobs=knobs,
            crew=crew,
            bench=bench,
            store=store,
            progress=progress,
            began=began,
            started=started,
        )
