"""The conductor: the only place where counting, scaling, measuring, predicting and selecting meet.

These functions are the public API, `scaleprof.count` and so on. Importing them leaves torch alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InputError, ModelError
from ..records import AccuracyRuns, Check, CountedModel, Devices, FoundKnobs, Report, ScaledModel

if TYPE_CHECKING:
    from torch import nn

    from ..reports.comparison import Reports


def count(
    model: "str | nn.Module",
    *,
    inputs: Sequence[str] = (),
    batch: int = 1,
    dtype: str = "float32",
    module_depth: int | None = None,
) -> CountedModel:
    """Count what one forward pass of a model needs, without running it.

    Args:
        model: A model reference, which is built in a worker process without weights, or a
            module, which is counted here and left as it is.
        inputs: What it is called with, as in ``3x224x224`` or ``int64:128<5000``, without the
            batch; a reference may leave it to what the model was made for.
        batch: Size of the dimension in front of every input.
        dtype: Floating-point type of weights and inputs of a reference; a module keeps its own.
        module_depth: Also count by module, down to this many dots in a module's path.

    Returns:
        Parameters, MACs, FLOPs, activations, bytes, and which operators they include.

    Raises:
        ModelError: If there is no such model, or it fails to build or to run on the input.
        InputError: If an input does not parse.

    Examples:
        >>> import scaleprof
        >>> cost = scaleprof.count("timm:resnet18")
        >>> cost.params, cost.macs, cost.flops == 2 * cost.macs
        (11689512, 1814073344, True)
        >>> import torch
        >>> scaleprof.count(torch.nn.Conv2d(3, 8, 3), inputs=["3x32x32"]).activations
        7200
    """
    from ._options import check_count_options

    check_count_options(batch=batch, dtype=dtype, module_depth=module_depth, against=None)
    if not isinstance(model, str):
        return _count_module(model, _listed(inputs), batch, module_depth)
    from ..jobs import COUNT, CountRequest
    from ..models import parse_inputs, parse_reference
    from ._crew import Crew, libraries_of

    reference = parse_reference(model)
    request = CountRequest(
        reference=reference,
        inputs=parse_inputs(_listed(inputs), batch=batch),
        batch=batch,
        dtype=dtype,
        module_depth=module_depth,
    )
    with Crew(libraries_of([reference])) as crew:
        return crew.count(COUNT, request, CountedModel, f"`{model}`")


def _count_module(
    module: "nn.Module", inputs: Sequence[str], batch: int, module_depth: int | None
) -> CountedModel:
    import msgspec

    from ..costs import count_module
    from ..models import parse_inputs

    if not inputs:
        raise ModelError(
            "a module does not say what its input is", hint='pass inputs=["3x224x224"]'
        )
    specs = parse_inputs(inputs, batch=batch)
    try:
        cost = count_module(module, specs, module_depth=module_depth)
    except Exception as error:
        raise ModelError(
            f"`{type(module).__name__}` raised {type(error).__name__}: {error}",
            hint="check that it runs on these inputs",
        ) from error
    return CountedModel(model=type(module).__name__, **msgspec.structs.asdict(cost))


def knobs(
    model: str | Callable[..., Any],
    *,
    inputs: Sequence[str] = (),
    batch: int = 1,
    dtype: str = "float32",
    fresh: bool = False,
) -> FoundKnobs:
    """Find the constructor arguments behind each scaling axis of a model, by probing.

    Args:
        model: A model reference, or a class or function that can be imported by name.
        inputs: What it is called with; see `count`.
        batch: Size of the dimension in front of every input.
        dtype: Floating-point type of weights and inputs.
        fresh: Find them anew, whatever was found before.

    Returns:
        By axis the arguments, their values in the base and how FLOPs grow, or why there are none.

    Raises:
        ScaleprofError: If there is no such model, or it fails to build or to run on the input.

    Examples:
        >>> import scaleprof
        >>> found = scaleprof.knobs("timm:test_convnext")
        >>> found.axes["width"].base
        {'dims': [24, 32, 48, 64]}
    """
    from ._scale import find_knobs_of

    return find_knobs_of(
        _reference_text(model), inputs=_listed(inputs), batch=batch, dtype=dtype, fresh=fresh
    )


def scale(
    model: str | Callable[..., Any],
    *,
    strategy: str | None = None,
    multiplier: float | None = None,
    width: float | None = None,
    depth: float | None = None,
    resolution: int | None = None,
    settings: Sequence[str] = (),
    inputs: Sequence[str] = (),
    batch: int = 1,
    dtype: str = "float32",
    fresh: bool = False,
) -> ScaledModel:
    """Scale a model by a strategy at a compute multiplier, or by a factor per axis.

    Args:
        model: A model reference, or a class or function that can be imported by name.
        strategy: ``d``, ``w``, ``r``, ``dw``, ``dr``, ``wr``, ``dwr`` or ``dWr``.
        multiplier: Compute of the variant over that of the base.
        width: Factor of channel counts, without a strategy.
        depth: Factor of the number of blocks, without a strategy.
        resolution: Size of the input in pixels, without a strategy.
        settings: Further arguments as ``name=value``.
        inputs: What the base is called with; see `count`.
        batch: Size of the dimension in front of every input.
        dtype: Floating-point type of weights and inputs.
        fresh: Find the knobs anew, whatever was found before.

    Returns:
        The recipe with nominal and achieved factors and the call to paste, and its counted cost.

    Raises:
        RecipeError: If nothing that was asked for builds.
        ScaleprofError: If there is no such model, or it fails to build or to run on the input.

    Examples:
        >>> import scaleprof
        >>> scaleprof.scale("timm:test_convnext", depth=2).recipe.call
        "timm.create_model('test_convnext', depths=(2, 4, 8, 4))"
    """
    from ._scale import scale_model

    return scale_model(
        _reference_text(model),
        strategy=strategy,
        multiplier=multiplier,
        width=width,
        depth=depth,
        resolution=resolution,
        settings=_listed(settings),
        inputs=_listed(inputs),
        batch=batch,
        dtype=dtype,
        fresh=fresh,
    )


def profile(
    model: str | Callable[..., Any],
    *,
    budgets: Sequence[str] = (),
    device: str = "auto",
    axes: Sequence[str] = ("width", "depth", "resolution"),
    dtype: str = "float32",
    batch: int = 1,
    layout: str = "nchw",
    mode: str = "eager",
    step: str = "inference",
    kernels: Literal["auto", "torch", "triton"] = "auto",
    strategies: Sequence[str] = ("d", "w", "r", "dw", "dr", "wr", "dwr", "dWr"),
    multipliers: Sequence[float] = (0.5, 1.0, 2.0, 4.0),
    space: Literal["strategies", "grid", "stages"] = "strategies",
    grid: Mapping[str, Sequence[float]] | None = None,
    time_limit: float = 120.0,
    inputs: Sequence[str] = (),
    base_accuracy: float | None = None,
    anchor: str | None = None,
    accuracy: AccuracyRuns | str | None = None,
    metric: str | None = None,
    like: Report | str | None = None,
    confidence: float | str = 0.95,
    ladder: Sequence[str] = (),
    fresh: bool = False,
    store: str | None = None,
    progress: Callable[[str], None] | None = None,
    command: str | None = None,
) -> Report:
    """Measure scaled variants of a model on a device, and choose one under budgets.

    Args:
        model: A model reference, or a class or function that can be imported by name.
        budgets: Bounds that the choice must hold: ``latency<=5ms``, ``memory<=500MiB``,
            ``latency<=2x`` (relative to the base). Without any, nothing is chosen.
        device: Torch device string; ``auto`` takes the accelerator if there is one, else the CPU.
        axes: Axes that may be scaled. With ``kernel_size`` and ``patch_size``, which no strategy
            scales, the sizes around those of each variant are searched too.
        dtype: ``float32``, ``float16`` or ``bfloat16``.
        batch: Items in one forward pass.
        layout: ``nchw``, or ``nhwc`` for channels last.
        mode: ``eager``, ``compile`` (through `torch.compile`) or ``graph`` (a CUDA graph, which
            launches in one go).
        step: ``inference``, or ``training``: forward and backward pass and a step of AdamW.
        kernels: Who runs depthwise convolutions with large kernels and LS convolution: ``torch``,
            ``triton`` (our kernels, on an NVIDIA GPU), or ``auto``: the latter where it can run.
        strategies: Strategies to compare.
        multipliers: Compute multipliers at which strategies are profiled. Under a budget, the
            multiplier at which each strategy just fills it is solved for and added.
        space: What is searched besides the strategies: nothing; a ``grid``, the cross product of
            factors of width, depth and resolution; or ``stages``, a width and a depth for every
            stage, solved for under the budgets, where the constructor takes lists of them.
        grid: Factors by axis, as in ``{"width": [0.75, 1, 1.25], "depth": [1, 2]}``; None for
            three around the base in each.
        time_limit: Seconds for the whole job. What it leaves unmeasured is predicted.
        inputs: What the model is called with; see `count`.
        base_accuracy: Accuracy of the base in percent; overrides the published figure.
        anchor: Training tag of the published figure to start from.
        accuracy: Your own trained runs to start from instead: what ``scaleprof fit --json`` wrote,
            or its path.
        metric: What `base_accuracy` is, if not top-1 in percent: ``error``, ``loss``, or the name
            of an accuracy in percent. Runs say themselves.
        like: A profile of the same model on another device of this type, or its path: what it
            taught is where predictions start from, so that fewer measurements are needed here.
        confidence: Chance of meeting each budget that is required of the choice, from the spread
            of what was measured or predicted: ``0.95`` or ``"95%"``, from 50 % to 99.9 %.
        ladder: Latencies (``1ms``) or factors over the base's (``0.5x``) for which a family of
            recipes is wanted, one each, of which none is smaller along any axis than the one
            before; the budgets hold for all of them.
        fresh: Find the knobs and measure anew, whatever was found and measured before.
        store: Path of the SQLite file that keeps measurements, to resume from; ``off`` for none.
            By default the environment variable ``SCALEPROF_STORE``, or one in the user's cache.
        progress: Called with a line for every step.
        command: The command line, for the record.

    Returns:
        The report. Its selection is None if no budget was given or nothing meets the budgets;
        ``selection_reason`` then says which.

    Raises:
        ScaleprofError: With what was wrong and what to do. See `scaleprof.errors`.

    Examples:
        >>> import scaleprof
        >>> report = scaleprof.profile(
        ...     "timm:test_convnext", device="cpu", strategies=["w"], multipliers=[2.0]
        ... )
        >>> [variant.recipe.strategy for variant in report.variants]
        ['base', 'w']
        >>> report.variants[1].recipe.call
        "timm.create_model('test_convnext', dims=(36, 48, 72, 88))"
    """
    from ..selection import parse_budgets, parse_confidence, parse_ladder
    from ._options import Options, check_options
    from ._profile import profile_model

    options = Options(
        budgets=parse_budgets(_listed(budgets)),
        confidence=parse_confidence(confidence),
        ladder=parse_ladder(_listed(ladder)),
        device=device,
        axes=_listed(axes),
        dtype=dtype,
        batch=batch,
        layout=layout,
        mode=mode,
        step=step,
        kernels=kernels,
        strategies=_listed(strategies),
        multipliers=tuple(multipliers),
        space=space,
        grid=tuple((axis, tuple(map(float, factors))) for axis, factors in (grid or {}).items()),
        time_limit_s=time_limit,
        inputs=_listed(inputs),
        base_accuracy=base_accuracy,
        anchor=anchor,
        accuracy=_read_runs(accuracy) if isinstance(accuracy, str) else accuracy,
        like=_read(like) if like is not None else None,
        metric=metric,
        fresh=fresh,
        store=store,
        command=command,
    )
    check_options(options)
    return profile_model(_reference_text(model), options, progress=progress or (lambda _: None))


def devices(
    device: str | None = None,
    *,
    calibrate: bool = False,
    store: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Devices:
    """Look at the devices of this machine: ceilings, settings, state and noise.

    Args:
        device: Torch device string; None for all that are there.
        calibrate: Measure one model in many processes, and keep how far apart they are.
        store: Path of the store that keeps calibrations; see `profile`.
        progress: Called with a line for every step.

    Raises:
        ScaleprofError: If the device is not there, or others took it while it was calibrated.
    """
    from ._devices import look_at_devices

    return look_at_devices(
        device, calibrate=calibrate, store=store, progress=progress or (lambda _: None)
    )


def check(
    reports: "Reports",
    *,
    baseline: "Reports" = (),
    gates: str | Sequence[str] = (),
    budgets: str | Sequence[str] = (),
    variant: str | None = None,
    allow_different: bool = False,
    rerun: str | Callable[..., Any] | None = None,
    time_limit: float = 120.0,
    rerun_output: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Check:
    """Hold reports against a baseline and against budgets.

    Counts and planned memory are compared exactly; timings by a confidence interval of their
    ratio, which includes the spread between worker processes.

    Args:
        reports: Reports to check, or their paths.
        baseline: What gates compare with: a report or a path, one for each model.
        gates: How far a quantity may move from the baseline: ``latency.p50:+5%``,
            ``memory.planned:+0``, ``latency:+0.5ms``; ``latency:-5%`` must improve.
        budgets: Bounds that must hold: ``latency<=5ms``, ``latency<=2x`` (over the report's base).
        variant: Identifier of a variant, ``base``, ``all``, or None for the selected variant,
            else the base.
        allow_different: Compare reports of different devices, versions or settings.
        rerun: The model that the report is of. Where a line is undecided, it is measured in more
            processes, in workers, under the conditions of the report. It must be named as it was
            when the report was recorded, and be the same code.
        time_limit: Seconds for measuring.
        rerun_output: Path to write the report to with the processes that were added.
        progress: Called with a line for every step of measuring.

    Returns:
        The verdict on every line, and which graphs changed.

    Raises:
        GateError: If a gate does not parse, or is finer than the noise of the reports.
        BudgetError: If a budget does not parse.
        ReportError: If a file is not a report, or was recorded under other conditions; or of
            another model or other code than what is to be measured again.
        InputError: If there is nothing to check, or no such variant.

    Examples:
        >>> import scaleprof
        >>> path = "profiles/examples/convnext_atto-cpu.json"
        >>> scaleprof.check(path, baseline=path, gates=["macs:+0", "latency:+9%"]).verdict
        'pass'
        >>> scaleprof.check(path, budgets=["memory<=16MiB"]).verdict
        'fail'
    """
    from ..reports.comparison import judge, named

    held, against = named(reports), named(baseline)
    rules: dict[str, Any] = {
        "gates": gates,
        "budgets": budgets,
        "variant": variant,
        "allow_different": allow_different,
    }
    if rerun is None:
        if rerun_output is not None:
            raise InputError(
                "`rerun_output` is written by a rerun", hint="name the model: --rerun MODEL"
            )
        return judge(held, against, **rules).check
    from ._rerun import check_and_measure

    return check_and_measure(
        held,
        against,
        rules,
        model=_reference_text(rerun),
        time_limit_s=time_limit,
        output=rerun_output,
        progress=progress or (lambda _: None),
    )


def measure(
    model: str | Callable[..., Any],
    *,
    processes: int = 6,
    device: str = "auto",
    dtype: str = "float32",
    batch: int = 1,
    layout: str = "nchw",
    mode: str = "eager",
    step: str = "inference",
    time_limit: float = 120.0,
    inputs: Sequence[str] = (),
    fresh: bool = False,
    store: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Measure a model as it is, without scaling it: what a gate needs.

    Args:
        model: A model reference, or a class or function that can be imported by name.
        processes: Worker processes; how they differ is what a gate's interval rests on.
        device: Torch device string; ``auto`` takes the accelerator if there is one, else the CPU.
        dtype: ``float32``, ``float16`` or ``bfloat16``.
        batch: Items in one forward pass.
        layout: ``nchw``, or ``nhwc`` for channels last.
        mode: ``eager``, ``compile`` or ``graph``; see `profile`.
        step: ``inference`` or ``training``; see `profile`.
        time_limit: Seconds for the whole job.
        inputs: What the model is called with; see `count`.
        fresh: Find out anew what the model is, whatever was found before. It is measured anew in
            any case.
        store: Path of the store that keeps the measurements; see `profile`.
        progress: Called with a line for every step.

    Returns:
        A report whose only variant is the base.

    Raises:
        ScaleprofError: With what was wrong and what to do. See `scaleprof.errors`.

    Examples:
        >>> import scaleprof
        >>> report = scaleprof.measure("timm:test_convnext", device="cpu", processes=1)
        >>> scaleprof.check(report, budgets=["params<=1M"]).verdict
        'pass'
    """
    from ._base import measure_base
    from ._options import Options, check_options

    options = Options(
        device=device,
        dtype=dtype,
        batch=batch,
        layout=layout,
        mode=mode,
        step=step,
        time_limit_s=time_limit,
        inputs=_listed(inputs),
        fresh=fresh,
        store=store,
    )
    check_options(options)
    return measure_base(
        _reference_text(model),
        options,
        processes=processes,
        progress=progress or (lambda _: None),
    )


def _listed(texts: str | Sequence[str]) -> tuple[str, ...]:
    """Return several texts; one alone stands for itself, not for its letters."""
    return (texts,) if isinstance(texts, str) else tuple(texts)


def _reference_text(model: str | Callable[..., Any]) -> str:
    if isinstance(model, str):
        return model
    from ..models import target_of

    if getattr(model, "__module__", None) == "__main__":
        raise ModelError(
            f"`{getattr(model, '__qualname__', model)}` lives in the running script, which workers "
            "do not run",
            hint="put it into a file of its own, and pass 'file.py:name'",
        )
    return target_of(model)


def select(
    report: Report | str,
    budgets: Sequence[str] = (),
    *,
    confidence: float | str = 0.95,
    ladder: Sequence[str] = (),
) -> Report:
    """Choose from a recorded profile, under budgets it was perhaps not made for.

    Args:
        report: A report, or the path of one.
        budgets: Budgets as text; see `profile`. With a ladder there may be none.
        like: A profile of the same model on another device of this type, or its path: what it
            taught is where predictions start from, so that fewer measurements are needed here.
        confidence: Chance of meeting each budget that is required.
        ladder: Latencies or factors for which a family of recipes is wanted; see `profile`.

    Returns:
        The report with the choice, which is not verified: nothing is measured.

    Raises:
        ReportError: If the file is not a report.
        BudgetError: If a budget does not parse or apply.
        InfeasibleError: If nothing meets the budgets.

    Examples:
        >>> import scaleprof
        >>> selected = scaleprof.select("profiles/examples/convnext_atto-cpu.json", ["macs<=1.2G"])
        >>> selected.selection.verified is None
        True
    """
    from ._choose import select_from

    return select_from(
        _read(report), _listed(budgets), confidence=confidence, ladder=_listed(ladder)
    )


def build(report: Report | str, variant: str | None = None, *, trust: bool = False) -> "nn.Module":
    """Build the selected variant of a report, or another one.

    It is built from the recipe's ``target`` and ``arguments``; its ``call`` is never executed.

    Args:
        report: A report, or the path of one.
        variant: Identifier of a variant; None for the selected one.
        trust: Call whatever the report names. Without it, only module classes and registered
            model builders of torch, timm, torchvision, transformers, diffusers and scaleprof
            are called.

    Returns:
        The module on the CPU, with fresh weights.

    Raises:
        ReportError: If the file is not a report, or has no such variant.
        ModelError: If the variant's call is not trusted or fails.

    Examples:
        >>> import scaleprof
        >>> model = scaleprof.build("profiles/examples/convnext_atto-cpu.json")
        >>> type(model).__name__
        'ConvNeXt'
    """
    from ._rebuild import build_variant, find_variant

    return build_variant(find_variant(_read(report), variant), trust=trust)


def _read_runs(path: str) -> AccuracyRuns:
    from ..reports import read_accuracy

    return read_accuracy(path)


def _read(report: Report | str) -> Report:
    if isinstance(report, Report):
        return report
    from ..reports import read_report

    return read_report(report)
