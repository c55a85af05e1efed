"""The conductor: from a model reference to a measured recipe.

knobs → variants → what matters is measured → the rest is predicted → accuracy → choice → check.
"""

import datetime as dt
import subprocess
import time
from collections.abc import Sequence

from ..devices import DeviceState
from ..errors import InputError, ModelError
from ..jobs import DEVICE, DeviceRequest, KnobsReply, KnobsRequest
from ..records import Base, Context, InputSpec, Report, Selection, Variant, replace
from ..scaling import AXES
from ..selection import (
    RUNNERS_UP,
    Limit,
    nearest_miss_error,
    select_variant,
    strategies_side_by_side,
)
from ..store import Store, store_path
from ..timing import StoppingRule
from ..workers import expect
from ._accuracy import describe_base, with_accuracy
from ._bench import Bench
from ._cache import Cache
from ._check import is_contended, is_timed, select_and_check
from ._crew import Crew, libraries_of
from ._devices import known_calibration
from ._kept import Kept
from ._options import SEARCHED, Options, resolve_kernels
from ._predict import device_law
from ._probing import knobs_request, probe_knobs
from ._stages import with_modules
from ._sweep import Progress, Sweep

# batch, channels, height, width
IMAGE_DIMS = 4
# one process of a sweep samples for a second and a half at most: about 100 samples of a 15 ms model
RULE = StoppingRule(max_seconds=1.5, warmup_max_seconds=0.7)


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
        progress("looking for knobs")
        knobs = _knobs(crew, request, options)
        base = describe_base(model, knobs.base, options)
        kept = Kept(store, model=model, state=state, files=knobs.sources, fresh=options.fresh)
        bench = Bench(crew, options, state.name, deadline=deadline, rule=RULE, kept=kept)
        sweep = Sweep(
            model=model,
            knobs=knobs,
            options=options,
            crew=crew,
            bench=bench,
            progress=progress,
            device_name=state.device.name,
        )
        selection = _run(sweep, bench, base, options, state.name)
        sweep.notes += kept.notes
        calibration = known_calibration(store, state)
        chosen = selection.variant if selection is not None else None
        sweep.variants.update(with_modules(crew, sweep.variants, chosen, dtype=options.dtype))
    context = replace(
        context_of(state, options, started, time.monotonic() - began),
        model_s=round(bench.model_s, 3),
        drift=sweep.drift.largest,
        calibration=calibration,
    )
    return _report(context, base, knobs=knobs, sweep=sweep, selection=selection, options=options)


def device_of(crew: Crew, options: Options, libraries: Sequence[str]) -> DeviceState:
    """Return the device of a job and its state, or say that there is none."""
    request = DeviceRequest(name=options.device, libraries=tuple(libraries))
    return expect(crew.measure(DEVICE, request, DeviceState), f"device `{options.device}`")


def _knobs(crew: Crew, request: KnobsRequest, options: Options) -> KnobsReply:
    knobs = probe_knobs(crew, request)
    if options.layout == "nhwc" and any(len(spec.shape) != IMAGE_DIMS for spec in knobs.inputs):
        raise InputError("layout nhwc applies to batches of images", hint="leave --layout out")
    if not any(knobs.axes[axis].status != "none" for axis in options.axes):
        reasons = "; ".join(f"{axis}: {knobs.axes[axis].reason}" for axis in options.axes)
        raise ModelError(f"`{request.reference.text}` has nothing to scale: {reasons}")
    return knobs


def _run(sweep: Sweep, bench: Bench, base: Base, options: Options, device: str) -> Selection | None:
    """Measure, predict, choose and check; an interruption keeps what there is."""
    try:
        _measure(sweep, options)
        _finish(sweep, base, options)
        if options.budgets:
            sweep.look_again()
    except KeyboardInterrupt:
        if sweep.base.measurement is None:
            raise
        sweep.interrupted = True
        sweep.notes.append("interrupted: only what was measured until then is here")
    _finish(sweep, base, options)
    if not options.budgets:
        return None
    selection = select_and_check(sweep, bench, options, device)
    sweep.correct_drift()
    _finish(sweep, base, options)
    return selection


def _measure(sweep: Sweep, options: Options) -> None:
    base = sweep.measure_base()
    if options.budgets:
        base = sweep.measure(base, seed=1)
    if base.measurement is not None and base.measurement.status != "ok":
        raise _base_failed(sweep, base)
    fresh = [
        v for strategy in options.strategies for v in sweep.resolve(strategy, options.multipliers)
    ]
    sweep.measure_all(sweep.worth_measuring(fresh))
    if options.budgets:
        sweep.fill_budgets()


def _base_failed(sweep: Sweep, base: Variant) -> ModelError:
    error = sweep.failure(base)
    return ModelError(f"the base cannot be measured: {error}", hint=error.hint)


def _finish(sweep: Sweep, base: Base, options: Options) -> None:
    """Fill in what is predicted: latency, memory and accuracy."""
    sweep.predict()
    for variant in with_accuracy(list(sweep.variants.values()), base, options):
        sweep.variants[variant.id] = variant


def context_of(
    state: DeviceState, options: Options, started: dt.datetime, elapsed_s: float
) -> Context:
    """Return the conditions of a job."""
    commit = _git_commit()
    return Context(
        device=state.device,
        versions=state.versions,
        platform=state.platform,
        flags=state.flags,
        dtype=options.dtype,
        layout=options.layout,
        mode=options.mode,
        step=options.step,
        kernels=resolve_kernels(options, state.device),
        batch=options.batch,
        command=options.command,
        started_at=started.isoformat(timespec="seconds"),
        elapsed_s=round(elapsed_s, 3),
        git_commit=commit,
        load=state.load,
        reasons={} if commit else {"git_commit": "not inside a git repository with a commit"},
    )


def _git_commit() -> str | None:
    """Commit of the repository in the working directory, with ``+`` if files are changed."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


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
        strategies_side_by_side(standing, options.strategies, limits, batch=options.batch)
        if limits
        else ()
    )
    if selection is not None:
        selection = _with_runners_up(selection, standing, limits, options.batch)
    return Report(
        context=context,
        base=base,
        # patch and kernel size are found, but no strategy scales them
        axes={axis: knobs.axes[axis] for axis in (*AXES, *SEARCHED) if axis in (*AXES, *asked)},
        variants=variants,
        strategies=strategies,
        selection=selection,
        selection_reason=None if selection else _why_none(base.model, variants, limits, context),
        notes=(
            *sweep.notes,
            *contention_notes(variants),
            *_drift_notes(sweep),
            *_device_notes(variants),
            *_accuracy_notes(base, knobs.inputs),
        ),
        skipped=tuple(sweep.skipped),
        law=device_law(variants, on_cpu=context.device.type == "cpu", device=context.device.name),
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
    next_best = select_variant(standing, limits, batch=batch, excluded=[selection.variant])
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
    model: str, variants: Sequence[Variant], limits: Sequence[Limit], context: Context
) -> str:
    if not limits:
        return "no budget was given: nothing was chosen (--budget 'latency<=2x')"
    error = nearest_miss_error(model, variants, limits, batch=context.batch)
    return f"{error}; {error.hint}" if error.hint else str(error)
