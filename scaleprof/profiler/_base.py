"""A model measured as it is: the base alone, in several worker processes, to be held by a gate."""

from ..errors import InputError, ModelError
from ..records import Base, Report, Variant
from ._bench import Bench
from ._job import job_of
from ._options import Options
from ._profile import contention_notes, host_notes
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
    # what a gate holds is what the model takes now: it is kept, but nothing is taken
    with job_of(model, options, fresh=True, progress=progress) as job:
        sweep = job.sweep()
        _measure(sweep, job.bench, processes)
        context = job.finish(sweep)
    variants = (sweep.base,)
    return Report(
        context=context(),
        base=Base(model=model),
        axes={},
        variants=variants,
        selection_reason="only the base was measured: nothing was chosen",
        notes=(*sweep.notes, *contention_notes(variants), *host_notes(variants)),
    )


def _measure(sweep: Sweep, bench: Bench, processes: int) -> None:
    for seed in range(processes):
        if seed and not bench.has_time_for(1):
            sweep.notes.append(f"the time limit ended it after {seed} of {processes} processes")
            return
        base = sweep.measure(sweep.base, seed=seed)
        refuse_failure(sweep, base)


def refuse_failure(sweep: Sweep, variant: Variant) -> None:
    """Raise what went wrong where a variant that was just measured could not be."""
    if variant.measurement is not None and variant.measurement.status != "ok":
        error = sweep.failure(variant)
        raise ModelError(f"it cannot be measured: {error}", hint=error.hint)
