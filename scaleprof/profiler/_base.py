"""A model measured as it is: the base alone, in several worker processes, to be held by a gate."""

import datetime as dt
import time

from ..errors import InputError, ModelError
from ..records import Base, Report, Variant, replace
from ..store import Store, store_path
from ._bench import Bench
from ._cache import Cache
from ._crew import Crew, libraries_of
from ._devices import known_calibration
from ._kept import Kept
from ._options import Options, resolve_kernels
from ._probing import knobs_request, probe_knobs
from ._profile import RULE, contention_notes, context_of, device_of
from ._stages import with_modules
from ._sweep import Progress, Sweep

MOST_PROCESSES = 100


def measure_base(model: str, options: Options, *, processes: int, progress: Progress) -> Report:
    """Measure the base in so many worker processes, as far as the time limit lets it.

    Args:
        model: Model reference.
        options: Conditions.
        processes: Worker processes.
        progress: Called with a line for every step.

    Raises:
        ScaleprofError: If the model, the input or the device is not as it should be.
    """
    if not 1 <= processes <= MOST_PROCESSES:
        raise InputError(
            f"`processes` must be between 1 and {MOST_PROCESSES}, got {processes}",
            hint="6 of them decide most gates of 10 %",
        )
    began, started = time.monotonic(), dt.datetime.now(dt.UTC)
    request = knobs_request(model, inputs=options.inputs, batch=options.batch, dtype=options.dtype)
    libraries = libraries_of([request.reference])
    deadline = began + options.time_limit_s
    cache = Cache(fresh=options.fresh)
    crew_of = Crew(libraries, device=options.device, deadline=deadline, cache=cache)
    with crew_of as crew, Store(store_path(options.store)) as store:
        progress("starting")
        state = device_of(crew, options, libraries)
        options = replace(options, kernels=resolve_kernels(options, state.device))
        crew.uses(state.device.type)
        knobs = probe_knobs(crew, request)
        # what a gate holds is what the model takes now: it is kept, but nothing is taken
        kept = Kept(store, model=model, state=state, files=knobs.sources, fresh=True)
        bench = Bench(crew, options, state.name, deadline=deadline, rule=RULE, kept=kept)
        sweep = Sweep(
            model=model, knobs=knobs, options=options, crew=crew, bench=bench, progress=progress
        )
        _measure(sweep, bench, processes)
        sweep.variants.update(with_modules(crew, sweep.variants, None, dtype=options.dtype))
        sweep.notes += kept.notes
        calibration = known_calibration(store, state)
    variants = (sweep.base,)
    return Report(
        context=replace(
            context_of(state, options, started, time.monotonic() - began),
            model_s=round(bench.model_s, 3),
            calibration=calibration,
        ),
        base=Base(model=model),
        axes={},
        variants=variants,
        selection_reason="only the base was measured: nothing was chosen",
        notes=(*sweep.notes, *contention_notes(variants)),
    )


def _measure(sweep: Sweep, bench: Bench, processes: int) -> None:
    for seed in range(processes):
        if seed and not bench.has_time_for(1):
            sweep.notes.append(f"the time limit ended it after {seed} of {processes} processes")
            return
        base = sweep.measure(sweep.base, seed=seed)
        _refuse_failure(sweep, base)


def _refuse_failure(sweep: Sweep, base: Variant) -> None:
    if base.measurement is not None and base.measurement.status != "ok":
        error = sweep.failure(base)
        raise ModelError(f"it cannot be measured: {error}", hint=error.hint)
