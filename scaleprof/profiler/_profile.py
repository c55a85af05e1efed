"""The conductor: from a model reference to a measured recipe.

knobs → variants → what matters is measured → the rest is predicted → accuracy → choice → check.
"""

from collections.abc import Sequence

from ..errors import InputError, ModelError
from ..jobs import KnobsReply
from ..records import Base, Context, InputSpec, Ladder, Report, Selection, Variant, replace
from ..scaling import AXES
from ..selection import (
    RUNNERS_UP,
    Limit,
    nearest_miss_error,
    select_variant,
    strategies_side_by_side,
)
from ._accuracy import accuracy_reach, describe_base, with_accuracy
from ._check import is_contended, is_timed, select_and_check
from ._job import Job, job_of
from ._ladder import climb_and_check, measure_near_rungs
from ._measurable import check_known, samples_wanted
from ._more import with_more
from ._options import SEARCHED, Options
from ._predict import device_law
from ._spaces import STAGE_PROCESSES, check_space, resolve_grid, search_stages
from ._spend import Stop, effort, spend
from ._sweep import Progress, Sweep

# batch, channels, height, width
IMAGE_DIMS = 4
# a host that was slower by less is not worth a note
_HOST_TOLD = 0.2


def profile_model(model: str, options: Options, *, progress: Progress) -> Report:
    """Profile scaled variants of a model, and choose one if there are budgets.

    Args:
        model: Model reference.
        options: Conditions and budgets.
        progress: Called with a line for every step.

    Returns:
        The report. Its selection is None without budgets, and when nothing meets them.

    Raises:
        ScaleprofError: If the model, the input or the device is not as it should be.
    """
    with job_of(model, options, fresh=options.fresh, progress=progress) as job:
        options = job.options
        _check_knobs(model, job.knobs, options)
        check_space(model, job.knobs, options)
        base = describe_base(model, job.knobs.base, options)
        sweep = job.sweep()
        selection, stop = _run(sweep, job, base)
        ladder = _climb(sweep, job, base)
        context = job.finish(sweep, chosen=selection.variant if selection else None)
    report = _report(
        context(), base, knobs=job.knobs, sweep=sweep, selection=selection, options=options
    )
    return replace(report, ladder=ladder, effort=effort(sweep, options, stop))


def _check_knobs(model: str, knobs: KnobsReply, options: Options) -> None:
    if options.layout == "nhwc" and any(len(spec.shape) != IMAGE_DIMS for spec in knobs.inputs):
        raise InputError("layout nhwc applies to batches of images", hint="leave --layout out")
    if not any(knobs.axes[axis].status != "none" for axis in options.axes):
        reasons = "; ".join(f"{axis}: {knobs.axes[axis].reason}" for axis in options.axes)
        raise ModelError(f"`{model}` has nothing to scale: {reasons}")


def _run(sweep: Sweep, job: Job, base: Base) -> tuple[Selection | None, Stop | None]:
    """Measure, predict, choose and check; an interruption keeps what there is."""
    options, stop = job.options, None
    try:
        stop = _measure(sweep, job.knobs, base, options)
        if options.budgets:
            sweep.look_again()
    except KeyboardInterrupt:
        if sweep.base.measurement is None:
            raise
        sweep.interrupted, stop = True, None
        sweep.notes.append("interrupted: only what was measured until then is here")
    _finish(sweep, base, options)
    if not options.budgets:
        return None, stop
    selection = select_and_check(sweep, job.bench, options, job.state.name)
    sweep.correct_drift()
    _finish(sweep, base, options)
    return selection, stop


def _climb(sweep: Sweep, job: Job, base: Base) -> Ladder | None:
    """Measure near each rung of a ladder, find the ladder and check it."""
    options = job.options
    if not options.ladder:
        return None

    def refresh() -> None:
        sweep.correct_drift()
        _finish(sweep, base, options)

    try:
        if not sweep.interrupted:
            measure_near_rungs(sweep, options, refresh=refresh)
    except KeyboardInterrupt:
        sweep.interrupted = True
    return climb_and_check(sweep, job.bench, options, job.state.name, refresh=refresh)


def _measure(sweep: Sweep, knobs: KnobsReply, known: Base, options: Options) -> Stop:
    base = sweep.measure_base()
    if options.budgets or options.ladder:
        base = sweep.measure(base, seed=1, samples=samples_wanted(options.budgets))
    if base.measurement is not None and base.measurement.status != "ok":
        raise _base_failed(sweep, base)
    check_known(options.budgets, base, batch=options.batch)
    for strategy in options.strategies:
        sweep.resolve(strategy, options.multipliers)
    if options.space == "grid":
        resolve_grid(sweep, knobs, options)
    _finish(sweep, known, options)
    sweep.kept_free = STAGE_PROCESSES if options.space == "stages" else 0
    stop = spend(sweep, options)
    if options.budgets:
        sweep.fill_budgets()
    if options.space == "stages":
        sweep.kept_free = 0
        search_stages(sweep, knobs, options, accuracy_reach(base, known, options))
    if not options.budgets:
        return stop
    _finish(sweep, known, options)
    # what fills a budget may be the choice, and one process may have been an unlucky one
    return spend(sweep, options, most_processes=2)


def _base_failed(sweep: Sweep, base: Variant) -> ModelError:
    error = sweep.failure(base)
    return ModelError(f"the base cannot be measured: {error}", hint=error.hint)


def _finish(sweep: Sweep, base: Base, options: Options) -> None:
    """Fill in what is predicted: latency, memory and accuracy."""
    sweep.predict()
    for variant in with_accuracy(list(sweep.variants.values()), base, options):
        sweep.variants[variant.id] = variant


def _report(
    context: Context,
    base: Base,
    *,
    knobs: KnobsReply,
    sweep: Sweep,
    selection: Selection | None,
    options: Options,
) -> Report:
    variants, asked = tuple(sweep.variants.values()), options.axes
    limits = sweep.limits if options.budgets else ()
    # what missed a budget when it was checked is out, whatever its other measurements say
    missed = _missed(selection)
    standing = [variant for variant in variants if variant.id not in missed]
    strategies = (
        strategies_side_by_side(
            standing,
            options.strategies,
            limits,
            batch=options.batch,
            confidence=options.confidence,
        )
        if limits
        else ()
    )
    if selection is not None:
        selection = _with_runners_up(selection, standing, limits, options.batch)
        selection = with_more(selection, variants, limits, options.strategies, batch=options.batch)
    return Report(
        context=context,
        base=base,
        # patch and kernel size are found, but no strategy scales them
        axes={axis: knobs.axes[axis] for axis in (*AXES, *SEARCHED) if axis in (*AXES, *asked)},
        variants=variants,
        strategies=strategies,
        selection=selection,
        selection_reason=None if selection else _why_none(base.model, variants, limits, options),
        notes=(
            *sweep.notes,
            *contention_notes(variants),
            *host_notes(variants),
            *_drift_notes(sweep),
            *_device_notes(variants),
            *_accuracy_notes(base, knobs.inputs),
        ),
        skipped=tuple(sweep.skipped),
        law=device_law(
            variants,
            on_cpu=context.device.type == "cpu",
            device=context.device.name,
            like=sweep.like,
        ),
        decided=selection is not None
        or not (is_timed(options) and any(map(is_contended, variants))),
    )


def _missed(selection: Selection | None) -> tuple[str, ...]:
    check = selection.verification if selection else None
    return check.rejected if check else ()


def _with_runners_up(
    selection: Selection, standing: Sequence[Variant], limits: Sequence[Limit], batch: int
) -> Selection:
    """Name the runners-up by what is known after the check, as the strategies are."""
    next_best = select_variant(
        standing,
        limits,
        batch=batch,
        confidence=selection.confidence,
        excluded=[selection.variant],
    )
    if next_best is None:
        return replace(selection, runners_up=())
    runners_up = (next_best.variant, *next_best.runners_up)[:RUNNERS_UP]
    return replace(selection, runners_up=runners_up)


def contention_notes(variants: Sequence[Variant]) -> list[str]:
    """Say how many measurements other processes disturbed, if any."""
    disturbed = sum(map(is_contended, variants))
    measured = sum(v.measurement is not None for v in variants)
    if not disturbed:
        return []
    return [
        f"other processes kept the cores busy while {disturbed} of {measured} variants were "
        "measured: their latencies are too high; run this on a quiet machine"
    ]


def host_notes(variants: Sequence[Variant]) -> list[str]:
    """Say how far apart the host's speeds were for different processes, if it is worth a note."""
    times = [s for v in variants if v.measurement is not None for s in v.measurement.yardsticks_s]
    if not times or (change := max(times) / min(times) - 1) < _HOST_TOLD:
        return []
    return [
        f"the host was up to {change:.0%} slower for some processes than for others, as a "
        "yardstick timed beside every model shows; gates take that out"
    ]


def _drift_notes(sweep: Sweep) -> list[str]:
    if not sweep.drift.corrected:
        return []
    return [
        f"the machine changed its speed by up to {sweep.drift.largest:.0%} meanwhile, as the base "
        "showed: latencies are corrected for it"
    ]


def _device_notes(variants: Sequence[Variant]) -> list[str]:
    """What an accelerator did that makes latencies other than they could be, and the remedy."""
    measured = [v.measurement for v in variants if v.measurement is not None]
    notes = []
    if throttled := [m for m in measured if m.throttled]:
        why = dict.fromkeys(r for m in throttled for state in m.gpu for r in state.throttle_reasons)
        notes.append(
            f"the GPU ran below its clock while {len(throttled)} of {len(measured)} variants were "
            f"measured ({', '.join(why) or 'it does not say why'}): let it cool, or lock its clocks"
        )
    if bound := sum(m.host_bound for m in measured):
        notes.append(
            f"{bound} of {len(measured)} variants wait for the host to launch them: --mode graph "
            "or compile, or a larger --batch, would use the device"
        )
    return notes


def _accuracy_notes(base: Base, inputs: Sequence[InputSpec]) -> list[str]:
    if base.anchor is None:
        why = base.accuracy_reason or "no published accuracy is known"
        notes = [f"accuracy is relative to the base: {why}; give it with --base-accuracy"]
        if not any(len(spec.shape) >= IMAGE_DIMS for spec in inputs):
            notes.append("the law of accuracy is that of image classifiers; here it ranks by size")
        return notes
    anchor = base.anchor
    name = f"{anchor.model}.{anchor.tag}" if anchor.tag else anchor.model
    at = f" at {anchor.resolution} px" if anchor.resolution else ""
    unit = " %" if anchor.metric == "top1_percent" else f" {anchor.metric}"
    return [f"accuracy is predicted from {name}, {anchor.value:.2f}{unit}{at} ({anchor.source})"]


def _why_none(
    model: str, variants: Sequence[Variant], limits: Sequence[Limit], options: Options
) -> str:
    if not limits:
        return "no budget was given: nothing was chosen (--budget 'latency<=2x')"
    error = nearest_miss_error(
        model, variants, limits, batch=options.batch, confidence=options.confidence
    )
    return f"{error}; {error.hint}" if error.hint else str(error)
