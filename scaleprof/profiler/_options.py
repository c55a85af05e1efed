"""What a user can ask of a profile."""

import importlib.util
import math
from collections.abc import Sequence
from typing import Literal

from ..errors import DeviceError, InputError, MissingExtraError, RecipeError
from ..models import Kernels
from ..records import AccuracyRuns, Device, Record, Report
from ..scaling import STRATEGIES
from ..selection import CONFIDENCE, Budget

AXES = ("width", "depth", "resolution")
# axes that no strategy scales, and that are searched around each where they are named
SEARCHED = ("kernel_size", "patch_size")
DTYPES = ("float32", "float16", "bfloat16")
LAYOUTS = ("nchw", "nhwc")
MODES = ("eager", "compile", "graph")
STEPS = ("inference", "training")
SPACES = ("strategies", "grid", "stages")
KERNELS = ("auto", "torch", "triton")
MAX_MULTIPLIER = 1000.0
MAX_BATCH = 2**31
# each is built and counted, which takes a tenth of a second
MAX_GRID = 1000


class Options(Record, frozen=True, kw_only=True):
    """Settings of one profile.

    Attributes:
        budgets: Bounds that the choice must hold; none for a profile without a choice.
        confidence: Chance of meeting each of them that is required.
        ladder: Bounds of latency of the rungs of a ladder; none for a profile without one.
        device: Torch device string, or ``auto``.
        axes: Axes that may be scaled.
        dtype: Floating-point type of weights and inputs.
        batch: Items in one forward pass.
        layout: ``nchw`` or ``nhwc`` (channels last).
        mode: ``eager``, ``compile`` (through `torch.compile`) or ``graph`` (a CUDA graph).
        step: ``inference`` or ``training``.
        kernels: Who runs large-kernel operators: ``torch``, ``triton`` (our kernels), or ``auto``.
        strategies: Strategies to compare.
        multipliers: Compute multipliers at which each strategy is profiled.
        space: What is searched besides strategies: ``grid`` or ``stages``.
        grid: Factors of the axes of the grid; empty for those around the base.
        time_limit_s: Time for the whole job.
        inputs: Inputs as in ``--input``.
        base_accuracy: Accuracy of the base in percent; overrides published figures.
        anchor: Training tag of the published figure to start from.
        accuracy: The user's own runs to predict accuracy from, instead of published figures.
        metric: What `base_accuracy` is; None for top-1 in percent, or for what the runs say.
        like: A profile of the model on another device, which predictions start from.
        fresh: Whether knobs are found and variants measured anew, whatever was found before.
        store: Path of the store of measurements, ``off`` for none; None for the user's own.
        command: The command line, for the record.
    """

    budgets: tuple[Budget, ...] = ()
    confidence: float = CONFIDENCE
    ladder: tuple[Budget, ...] = ()
    device: str = "auto"
    axes: tuple[str, ...] = AXES
    dtype: str = "float32"
    batch: int = 1
    layout: str = "nchw"
    mode: str = "eager"
    step: str = "inference"
    kernels: Kernels | Literal["auto"] = "auto"
    strategies: tuple[str, ...] = tuple(STRATEGIES)
    multipliers: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    space: str = "strategies"
    grid: tuple[tuple[str, tuple[float, ...]], ...] = ()
    time_limit_s: float = 120.0
    inputs: tuple[str, ...] = ()
    base_accuracy: float | None = None
    anchor: str | None = None
    accuracy: AccuracyRuns | None = None
    metric: str | None = None
    like: Report | None = None
    fresh: bool = False
    store: str | None = None
    command: str | None = None


def check_options(options: Options) -> None:
    """Refuse settings that make no sense, before any work.

    Raises:
        InputError: With what was expected and what was given.
    """
    _check_choice("axis", options.axes, (*AXES, *SEARCHED))
    _check_choice("strategy", options.strategies, tuple(STRATEGIES))
    _check_choice("dtype", (options.dtype,), DTYPES)
    _check_choice("layout", (options.layout,), LAYOUTS)
    _check_choice("mode", (options.mode,), MODES)
    _check_choice("step", (options.step,), STEPS)
    _check_choice("kind of kernels", (options.kernels,), KERNELS)
    _check_batch(options.batch)
    if not options.time_limit_s > 0:
        raise InputError(f"`time_limit` must be positive, got {options.time_limit_s:g} s")
    if not options.multipliers:
        raise RecipeError("no multiplier was given", hint="pass --multipliers 0.5,2")
    for multiplier in options.multipliers:
        if not 1 / MAX_MULTIPLIER <= multiplier <= MAX_MULTIPLIER:
            raise RecipeError(f"a multiplier must be between 0.001 and 1000, got {multiplier:g}")
    _check_space(options)
    _check_accuracy(options)
    if not options.device:
        raise DeviceError("`device` is empty", hint="use cpu, cuda:0 or leave it out")


def _check_space(options: Options) -> None:
    _check_choice("space", (options.space,), SPACES)
    if options.space == "stages" and not options.budgets:
        raise InputError(
            "space stages solves for a budget, and none was given",
            hint="pass --budget 'latency<=2x'",
        )
    if options.grid and options.space != "grid":
        raise InputError("`grid` is for space grid", hint="pass --space grid")
    for axis, factors in options.grid:
        _check_choice("axis of the grid", (axis,), AXES)
        _check_choice(f"axis `{axis}` of the grid beside --axes", (axis,), options.axes)
        if not factors or not all(0.01 <= factor <= 100.0 for factor in factors):
            raise InputError(f"factors of {axis} must be from 0.01 to 100, got {factors}")
    size = math.prod(len(factors) for _, factors in options.grid)
    if size > MAX_GRID:
        raise InputError(f"a grid has at most {MAX_GRID} points, got {size}")


def resolve_kernels(options: Options, device: Device) -> Kernels:
    """Return who runs large-kernel operators on a device.

    Raises:
        DeviceError: If our kernels were asked for, and the device cannot run them.
        MissingExtraError: If they were, and Triton is not installed.
    """
    if options.kernels == "torch":
        return "torch"
    has_triton = importlib.util.find_spec("triton") is not None
    if options.kernels == "auto":
        return "triton" if device.type == "cuda" and has_triton else "torch"
    if device.type != "cuda":
        raise DeviceError(
            f"`--kernels triton` needs an NVIDIA GPU, this device is {device.name} ({device.type})",
            hint="pass --kernels torch, or leave it out",
        )
    if not has_triton:
        raise MissingExtraError("`--kernels triton` needs triton", hint="pip install triton")
    return "triton"


def _check_accuracy(options: Options) -> None:
    from ..prediction import metric_scale

    runs, metric = options.accuracy, options.metric
    if runs is not None and options.anchor is not None:
        raise InputError(
            "`anchor` names a published training, `accuracy` your own runs", hint="give one"
        )
    if runs is not None and metric not in (None, runs.metric):
        raise InputError(f"the runs are of `{runs.metric}`, not of `{metric}`")
    if options.base_accuracy is None:
        if metric is not None and runs is None:
            raise InputError(
                f"published accuracies are top-1, not `{metric}`", hint="pass --base-accuracy too"
            )
        return
    try:
        metric_scale(metric or (runs.metric if runs else "top1_percent")).error(
            options.base_accuracy
        )
    except ValueError as error:
        raise InputError(str(error).replace("`metric`", "`base_accuracy`")) from None


def check_count_options(
    *, batch: int, dtype: str, module_depth: int | None, against: str | None
) -> None:
    """Refuse settings of a count that make no sense.

    Raises:
        InputError: With what was expected and what was given.
    """
    _check_choice("dtype", (dtype,), DTYPES)
    if against is not None:
        _check_choice("counter", (against,), ("fvcore",))
        if dtype != "float32":
            raise InputError("fvcore counts in float32 only", hint="leave --dtype out")
    _check_batch(batch)
    if module_depth is not None and module_depth < 0:
        raise InputError(f"the depth of modules must be 0 or more, got {module_depth}")


def _check_batch(batch: int) -> None:
    if not 1 <= batch <= MAX_BATCH:
        raise InputError(f"`batch` must be 1 or more, got {batch}", hint="pass --batch 1 or more")


def _check_choice(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise RecipeError(f"unknown {what} `{name}`", hint=f"choose from {', '.join(known)}")
    if not given:
        raise RecipeError(f"no {what} was given", hint=f"choose from {', '.join(known)}")
