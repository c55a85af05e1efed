"""The records that scaleprof writes and other programs may rely on.

Every quantity is in base units with the unit in its name (``latency_s``, ``peak_bytes``). A field
that is None is unknown, and the record says why in a ``reason`` or in its ``reasons`` by field.
Readers ignore fields they do not know; a newer major version of the schema is refused.
"""

from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct

COUNTS_SCHEMA = "scaleprof.counts/1"
REPORT_SCHEMA = "scaleprof.report/1"
DEVICES_SCHEMA = "scaleprof.devices/1"
KNOBS_SCHEMA = "scaleprof.knobs/1"
CHECK_SCHEMA = "scaleprof.check/1"
ACCURACY_SCHEMA = "scaleprof.accuracy/1"

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Factor = Annotated[float, Meta(gt=0)]
Positive = Annotated[float, Meta(gt=0, le=1e30)]
# nothing takes less than a picosecond, and its inverse is still a number
Seconds = Annotated[float, Meta(ge=1e-12, le=1e9)]
# of any metric; further out, axes cannot tell values apart
Figure = Annotated[float, Meta(ge=-1e12, le=1e12)]


# modules that take less of a forward pass than this are not listed by time: one process does not
# tell them from noise, and those of one depth are a hundred at most
LEAST_MODULE_SHARE = 0.01


class Record(Struct, frozen=True):
    """A value that is written to a report: immutable, named fields only."""


class InputSpec(Record, frozen=True, kw_only=True):
    """One tensor a model is called with.

    Attributes:
        shape: Elements per dimension, the batch in front; none is over 2**31.
        dtype: ``float32``, ``float16``, ``bfloat16``, ``int64``, …
        high: Exclusive upper bound of random integers; None for floating-point inputs.
        name: Keyword the tensor is passed by, or None for a positional argument.
    """

    shape: tuple[Annotated[int, Meta(gt=0, le=2**31)], ...]
    dtype: str = "float32"
    high: int | None = None
    name: str | None = None


class Coverage(Record, frozen=True, kw_only=True):
    """Which operators a total includes, and which it could not.

    Attributes:
        status: ``complete`` when no operator is unknown.
        counted: Calls of operators that have a FLOP formula.
        free: Calls of operators that do no multiply-adds (views, elementwise, norms, pooling, …).
        unknown: Calls of operators with neither; their MACs are missing from the total.
        unknown_output_share: Share of all output bytes that unknown operators wrote.
        taken_as_true: Tests on values of tensors, such as ``mask.all()``, that were taken as true,
            because counting has shapes alone.
    """

    status: Literal["complete", "partial"]
    counted: dict[str, int]
    free: dict[str, int]
    unknown: dict[str, int]
    unknown_output_share: float
    taken_as_true: int = 0


class OperatorCost(Record, frozen=True, kw_only=True):
    """All calls of one operator in a forward pass.

    Attributes:
        operator: Name, for example ``aten::linear``.
        kind: ``counted``, ``free`` or ``unknown``.
        calls: Times the operator ran.
        macs: Multiply-adds; None for an unknown operator.
        activations: Output elements if it is a convolution or matrix product, else 0.
        read_bytes: Bytes of its tensor arguments.
        written_bytes: Bytes of its outputs; 0 for a view.
    """

    operator: str
    kind: Literal["counted", "free", "unknown"]
    calls: Count
    macs: Count | None
    activations: Count
    read_bytes: Count
    written_bytes: Count


WorkKind = Literal[
    "stem",
    "conv_1",
    "conv_k",
    "patch",
    "conv_grouped",
    "depthwise_3",
    "depthwise_5",
    "depthwise_7",
    "linear",
    "batched_product",
    "attention",
    "attention_masked",
    "elementwise",
    "batch_norm",
    "norm",
    "softmax",
    "pool",
    "window_pool",
    "copy",
    "gather",
]
WORK_KINDS: tuple[WorkKind, ...] = get_args(WorkKind)
"""Kinds of work with a speed of their own: products first, then what only moves elements."""


class Work(Record, frozen=True, array_like=True):
    """Calls of one kind and size, which a device does at one speed.

    It is written as a list of its values in this order, because a model has dozens of them.

    Attributes:
        kind: What is done.
        calls: Times it is done in a forward pass.
        macs: Multiply-adds of one call.
        moved_bytes: Bytes of activations that one call reads and writes.
        weight_bytes: Bytes of weights that one call reads.
        width: Output features of the product, of one group; 0 where there is no product.
        depth: Multiply-adds of one output element of a convolution or a matrix product.
    """

    kind: WorkKind
    calls: Count
    macs: Count = 0
    moved_bytes: Count = 0
    weight_bytes: Count = 0
    width: Count = 0
    depth: Count = 0


class ModuleCost(Record, frozen=True, kw_only=True):
    """One module with everything that runs inside it.

    Attributes:
        path: Dotted name inside the model; empty for the model itself.
        type: Class name.
        params: Parameters in it; a parameter that two modules share is counted in both.
        macs: Multiply-adds of one forward pass.
        activations: Output elements of its convolutions and matrix products.
        activation_bytes: The same in bytes.
        traffic_bytes: Bytes its operators read and write.
    """

    path: str
    type: str
    params: Count
    macs: Count
    activations: Count
    activation_bytes: Count
    traffic_bytes: Count


class Cost(Record, frozen=True, kw_only=True):
    """What one forward pass of one batch needs, counted without running it.

    Attributes:
        input_shape: Shape of the first input, the batch in front.
        inputs: All inputs.
        params: Parameters; one that is shared counts once.
        weight_bytes: Bytes of parameters and buffers.
        macs: Multiply-adds.
        flops: Floating-point operations, two per multiply-add.
        activations: Output elements of convolutions and matrix products, attention as its two
            products however it is implemented (Dollár et al. 2021, https://arxiv.org/abs/2103.06877).
        activation_bytes: The same in bytes.
        traffic_bytes: Bytes that all operators together read and write, each as one fused kernel.
        peak_bytes: Largest sum of live bytes (weights, inputs, activations) at any moment, by
            the lifetime of storages, in inference; in a profile of training, of a training step.
        coverage: Which operators are in the totals.
        operators: Costs by operator, largest first.
        work: The same pass by kind and size of work, from which latency is predicted; empty in
            reports that were written before it was recorded.
        modules: Costs by module down to the depth that was asked for; None when not asked.
        graph: Hash of its operator calls in order, with their plain arguments and the shapes of
            their tensors; None in reports of earlier versions.
    """

    input_shape: tuple[Count, ...]
    inputs: tuple[InputSpec, ...]
    params: Count
    weight_bytes: Count
    macs: Count
    flops: Count
    activations: Count
    activation_bytes: Count
    traffic_bytes: Count
    peak_bytes: Count
    coverage: Coverage
    operators: tuple[OperatorCost, ...] = ()
    work: tuple[Work, ...] = ()
    modules: tuple[ModuleCost, ...] | None = None
    graph: str | None = None


class CountedModel(Cost, frozen=True, kw_only=True):
    """The cost of a model under the reference the user gave.

    Attributes:
        model: The reference.
    """

    model: str


class ComparedOperator(Record, frozen=True, kw_only=True):
    """One group of operators in two counts.

    Attributes:
        operator: Name of the group.
        ours: MACs by scaleprof; None where it counts none of them.
        theirs: MACs by the other; None where it counts none of them.
        why: What explains the difference; None where there is none to explain.
    """

    operator: str
    ours: int | None
    theirs: int | None
    why: str | None = None


class Comparison(Record, frozen=True, kw_only=True):
    """A count beside a second opinion.

    Attributes:
        counted: Our count.
        against: The other counter.
        operators: MACs by group of operators, the largest difference first.
    """

    counted: CountedModel
    against: str
    operators: tuple[ComparedOperator, ...]


class CountFailure(Record, frozen=True, kw_only=True):
    """A model that could not be counted, why, and what to do about it."""

    model: str
    reason: str
    hint: str | None = None


class Counts(Record, frozen=True, kw_only=True):
    """What ``scaleprof count --json`` writes."""

    schema: str = COUNTS_SCHEMA
    models: tuple[CountedModel, ...]
    failures: tuple[CountFailure, ...] = ()
    comparisons: tuple[Comparison, ...] = ()


class Axis(Record, frozen=True, kw_only=True):
    """One scaling axis of one model.

    Attributes:
        status: ``ok``, ``partial`` (some factors only) or ``none``.
        arguments: Constructor arguments behind the axis; ``input`` is the input itself.
        base: Their values in the base.
        how: How the axis was found.
        reason: Why it was not, or what limits it.
        step: Values move in multiples of this, as far as probed: channels of width, blocks of
            depth, pixels of resolution.
        flops_exponent: FLOPs grow with the factor to this power, as probed at factor 2.
    """

    status: Literal["ok", "partial", "none"]
    arguments: tuple[str, ...] = ()
    base: dict[str, Any] = {}
    how: str | None = None
    reason: str | None = None
    step: int | None = None
    flops_exponent: float | None = None


class FoundKnobs(Record, frozen=True, kw_only=True):
    """What ``scaleprof knobs --json`` writes.

    Attributes:
        model: The reference the user gave.
        axes: ``width``, ``depth``, ``resolution``, ``patch_size`` and ``kernel_size``.
    """

    schema: str = KNOBS_SCHEMA
    model: str
    axes: dict[str, Axis]


class StageFactors(Record, frozen=True, kw_only=True):
    """How one stage of a model was scaled.

    Attributes:
        share: Share of the stage in the base's compute.
        blocks: Its blocks in the base.
        depth: Factor of its blocks after rounding.
        width: Factor of its channels after rounding.
    """

    share: Annotated[float, Meta(ge=0, le=1)]
    blocks: Count
    depth: Factor
    width: Factor


class Recipe(Record, frozen=True, kw_only=True):
    """One concrete choice: a factor per axis, and the constructor call it resolves to.

    Attributes:
        strategy: ``base``, one of the eight strategies, ``grid``, ``stages`` or ``custom``.
        multiplier: Compute multiplier that was asked for, in FLOPs over FLOPs of the base.
        nominal: Factor per axis before rounding.
        achieved: Factor per axis after rounding.
        achieved_multiplier: FLOPs of the variant over FLOPs of the base, as counted.
        target: What is called, ``module:qualname``.
        arguments: Its arguments. Callables are ``module:qualname`` strings, named in `callables`.
        callables: Paths inside `arguments` (``norm_layer``, ``args.0.act``) that are callables.
        imports: Import lines that `call` needs.
        call: One Python expression that builds the variant.
        stages: How each stage was scaled; empty where all were scaled alike.
    """

    strategy: str
    multiplier: Factor
    nominal: dict[str, Factor]
    achieved: dict[str, Factor]
    achieved_multiplier: Factor | None = None
    target: str
    arguments: dict[str, Any]
    callables: tuple[str, ...] = ()
    imports: tuple[str, ...]
    call: str
    stages: tuple[StageFactors, ...] = ()

    @property
    def counted_multiplier(self) -> float:
        """Compute multiplier as counted; what was asked for where nothing was counted."""
        return self.achieved_multiplier or self.multiplier


class LatencyMeasurement(Record, frozen=True, kw_only=True):
    """Latency of one forward pass of one batch, in seconds.

    Attributes:
        p50: Median of all samples.
        p90: 90th percentile; None below 64 samples.
        p99: 99th percentile; None below 662 samples.
        ci95: 95 % confidence interval of the median by order statistics; None below 6 samples.
        samples: Every sample, in the order in which they were taken.
        processes: Samples that each worker process contributed, in order.
    """

    p50: Seconds
    p90: Seconds | None
    p99: Seconds | None
    ci95: tuple[Seconds, Seconds] | None
    samples: tuple[Seconds, ...]
    processes: tuple[Count, ...]


class Memory(Record, frozen=True, kw_only=True):
    """Memory of one forward pass in bytes, each kind under its own name.

    Attributes:
        planned: Static plan: weights, inputs and live activations, as `Cost.peak_bytes`.
        allocated: Largest allocated by torch on the accelerator; None on a CPU.
        reserved: Largest reserved by torch on the accelerator; None on a CPU.
        process: Growth of the worker process's own memory, the pages that its allocator keeps for
            later among it; None on an accelerator.
    """

    planned: Count
    allocated: Count | None = None
    reserved: Count | None = None
    process: Count | None = None


class GpuConditions(Record, frozen=True, kw_only=True):
    """A GPU while a block was measured.

    Attributes:
        sm_mhz: Median clock of the multiprocessors; None where NVML does not tell.
        reference_mhz: The clock that it promises.
        temperature_c: Highest temperature.
        power_w: Mean power draw.
        throttle_reasons: Why it ran slower than it could.
        foreign_processes: Most other processes that computed on it.
        throttled: Whether the clock was below three quarters of what it promises.
    """

    sm_mhz: float | None
    reference_mhz: int | None
    temperature_c: int | None
    power_w: float | None
    throttle_reasons: tuple[str, ...]
    foreign_processes: int | None
    throttled: bool


class KernelUse(Record, frozen=True, kw_only=True):
    """What ran the operators that torch and our kernels both have.

    Attributes:
        kernels: ``torch`` or ``triton``: who was asked to.
        calls: Calls in one forward pass, by operator and what ran it.
        share: Share of the time of a forward pass that these calls took; None where unknown.
        reason: Why the share is unknown.
    """

    kernels: Literal["torch", "triton"]
    calls: dict[str, Count]
    share: Annotated[float, Meta(ge=0, le=1)] | None = None
    reason: str | None = None


class Measurement(Record, frozen=True, kw_only=True):
    """All raw samples of a variant on a device, with the conditions.

    Attributes:
        status: ``ok``, or how the measurement ended: ``raised``, ``exited``, ``timed_out``,
            ``out_of_memory`` or ``crashed``.
        reason: What happened, when the status is not ``ok``.
        latency_s: Latency; None when the status is not ``ok``.
        peak_bytes: Peak bytes of one forward pass: the allocated peak on an accelerator, the static
            plan on a CPU.
        peak_bytes_source: ``allocated`` or ``planned``.
        memory: Every kind of memory that was observed.
        energy_j: Energy of one forward pass.
        device_s: Median time between events on an accelerator around the call; `latency_s` is what
            its caller waits.
        enqueue_s: Median time until the host had launched all of it.
        host_bound: Whether launching takes most of it: the host is what is slow.
        first_call_s: Time of the very first call of each process, compilation included.
        noisy: In no process did the interval of the median reach the target width.
        timeout: Sampling stopped at its time limit.
        contended: Other processes kept the cores busy in every process that measured it, or
            computed on the accelerator.
        throttled: The accelerator ran below three quarters of its clock in every process.
        foreign_cores: Cores that others kept busy, by process that is counted.
        gpu: Clocks and power of an NVIDIA GPU, by process that is counted.
        drift: How much slower than usual the machine was, by process that is counted: raw samples
            were divided by this; empty where nothing was corrected.
        yardsticks_s: Time of a fixed piece of work between the samples, the mean of its middle half
            by process that is counted: the host's own speed. Empty where not all of them timed it.
        reused_processes: Processes that are counted and had been measured before, by another job.
        busy_s: Time spent in the model, by process that is counted.
        discarded_processes: Processes that are not counted, because others disturbed them.
        kernels: What ran large-kernel operators; None in reports of older versions.
        modules_s: Time by path of module, with what runs inside it: its share in the passes of one
            process of its own, of the median latency. It holds the base's and the choice's modules
            of `LEAST_MODULE_SHARE` or more; None for other variants, and where `reasons` says why.
        reasons: Why a field is None, by field.
    """

    status: Literal["ok", "raised", "exited", "timed_out", "out_of_memory", "crashed"]
    reason: str | None = None
    latency_s: LatencyMeasurement | None = None
    peak_bytes: Count | None = None
    peak_bytes_source: Literal["allocated", "planned"] | None = None
    memory: Memory | None = None
    energy_j: float | None = None
    first_call_s: tuple[float, ...] = ()
    noisy: bool = False
    timeout: bool = False
    contended: bool = False
    foreign_cores: tuple[float, ...] = ()
    throttled: bool = False
    device_s: Seconds | None = None
    enqueue_s: Seconds | None = None
    host_bound: bool = False
    gpu: tuple[GpuConditions, ...] = ()
    drift: tuple[Positive, ...] = ()
    yardsticks_s: tuple[Seconds, ...] = ()
    reused_processes: Count = 0
    busy_s: tuple[float, ...] = ()
    discarded_processes: Count = 0
    kernels: KernelUse | None = None
    modules_s: dict[str, Seconds] | None = None
    reasons: dict[str, str] = {}

    @property
    def counted_processes(self) -> int:
        """Processes whose samples are counted."""
        return len(self.latency_s.processes) if self.latency_s is not None else 0


class LatencyBand(Record, frozen=True, kw_only=True):
    """Predicted latency in seconds: the median of the prediction and its 90 % band."""

    p50: Seconds
    p05: Seconds
    p95: Seconds


class BytesBand(Record, frozen=True, kw_only=True):
    """Predicted bytes: the mean of the prediction and its 90 % band."""

    mean: Positive
    p05: Positive
    p95: Positive


class RatioBand(Record, frozen=True, kw_only=True):
    """A ratio: its median and its 90 % band."""

    p50: Positive
    p05: Positive
    p95: Positive


class Prediction(Record, frozen=True, kw_only=True):
    """What a variant is expected to take, before or without measuring it.

    Attributes:
        latency_s: Latency with its band; None where the law has no support.
        peak_bytes: Peak bytes with their band.
        source: What the prediction rests on, in words.
        tails: Percentiles of latency over its median, ``p90`` and ``p99``, as seen in the variants
            that were measured; one that too few samples tell of is left out.
        reasons: Why a field is None, by field.
    """

    latency_s: LatencyBand | None
    peak_bytes: BytesBand | None
    source: str
    tails: dict[str, RatioBand] = {}
    reasons: dict[str, str] = {}


class Accuracy(Record, frozen=True, kw_only=True):
    """Predicted accuracy of a variant that nobody trained.

    Attributes:
        metric: ``top1_percent`` (ImageNet-1k, absolute), ``top1_gain`` (points over the
            base, when the base's own accuracy is unknown), or the name of a user's metric.
        mean: Prediction; None when refused or when only a band can be given.
        p05: Lower end of the 90 % band; None when refused.
        p95: Upper end of the 90 % band; None when refused.
        status: ``anchor`` (known, not predicted), ``ok``, ``band_only``, ``refused``.
        reason: Why it was refused or widened.
        lower_is_better: Whether the metric is an error or a loss.
        tie: Two predictions closer than this are equal: no training could tell them apart.
    """

    metric: str
    mean: Figure | None
    p05: Figure | None
    p95: Figure | None
    status: Literal["anchor", "ok", "band_only", "refused"] = "ok"
    reason: str | None = None
    lower_is_better: bool = False
    tie: float = 0.3


class TrainedRun(Record, frozen=True, kw_only=True):
    """One model that somebody trained, as a row of a table of runs has it.

    Attributes:
        family: Name shared by the models that one base was scaled to.
        metric: What it reached, in the unit of the law's metric.
        width: Factor of channel counts relative to the family's base; None for not given.
        depth: Factor of the number of blocks relative to the base.
        resolution: Side of the input in pixels.
        patch_size: Side of a patch in pixels.
        kernel_size: Side of a kernel in pixels.
        gmacs: Multiply-adds of one forward pass of one image, in units of 1e9.
        params_m: Parameters in units of 1e6.
        macts_m: Activations in units of 1e6.
        regime: How it was trained; None for unknown.
    """

    family: str
    metric: float
    width: Factor | None = None
    depth: Factor | None = None
    resolution: Factor | None = None
    patch_size: Factor | None = None
    kernel_size: Factor | None = None
    gmacs: Factor | None = None
    params_m: Factor | None = None
    macts_m: Factor | None = None
    regime: str | None = None


class FittedFamily(Record, frozen=True, kw_only=True):
    """The law of one family under one training regime, and how far to trust it.

    Attributes:
        family: Its name.
        regime: How its runs were trained; None for unknown.
        runs: Number of runs.
        gmacs: Smallest and largest compute among them.
        leave_largest_out: Error in the metric's unit when the largest run is predicted from the
            others; None without a smaller one.
        regime_posterior: Probability of each regime the law knows, given the runs.
        notes: Warnings that hold for every prediction.
    """

    family: str
    regime: str | None
    runs: int
    gmacs: tuple[float, float]
    leave_largest_out: float | None
    regime_posterior: dict[str, float]
    notes: tuple[str, ...] = ()


class AccuracyRuns(Record, frozen=True, kw_only=True):
    """What ``scaleprof fit --json`` writes: runs that accuracy is predicted from.

    The law is fitted to the runs whenever it is used; what is said of each family is for people.

    Attributes:
        metric: What the runs' metric is: ``top1_percent``, ``error``, ``loss``, ``dice``, …
        runs: The runs.
        families: What the law makes of each family.
        source: The file they were read from.
    """

    schema: str = ACCURACY_SCHEMA
    metric: str
    runs: tuple[TrainedRun, ...]
    families: tuple[FittedFamily, ...] = ()
    source: str


class Variant(Record, frozen=True, kw_only=True):
    """A recipe with everything that is known about the model it builds.

    Attributes:
        id: ``base``, or a function of the resolved constructor call and the input alone.
        recipe: The recipe.
        strategies: Strategies that lead to this variant after rounding.
        cost: What it needs, counted.
        prediction: What it was expected to take before it was measured.
        measurement: What it takes.
        accuracy: What accuracy to expect of it.
    """

    id: str
    recipe: Recipe
    strategies: tuple[str, ...] = ()
    cost: Cost
    prediction: Prediction | None = None
    measurement: Measurement | None = None
    accuracy: Accuracy | None = None


class ScaledModel(Record, frozen=True, kw_only=True):
    """What ``scaleprof scale --json`` writes: one variant of a model.

    Attributes:
        model: The reference the user gave.
        recipe: What it is, nominal and achieved, and the call that builds it.
        cost: What it needs, counted.
    """

    model: str
    recipe: Recipe
    cost: Cost


class Device(Record, frozen=True, kw_only=True):
    """The device that was measured.

    Attributes:
        type: ``cpu``, ``cuda``, or another torch device type.
        index: Number among the devices of its type; None for a CPU.
        name: As the vendor calls it.
        memory_bytes: Memory of the device; for a CPU, that of the machine or its control group.
        cores: CPU cores this process may use.
        driver: Version of the driver; None for a CPU.
    """

    type: str
    index: int | None
    name: str
    memory_bytes: Count | None
    cores: Count | None
    driver: str | None


class MeasuredCeilings(Record, frozen=True, kw_only=True):
    """What a device does at most, measured on it.

    Attributes:
        copy_bytes_per_s: Bytes read and written by a copy much larger than the caches.
        matmul_flops_per_s: FLOPs of a large matrix product, by type; None where it does none.
        launch_s: Time of an operator that has next to nothing to do: what launching costs.
        reasons: Why a value is None, by field.
    """

    copy_bytes_per_s: Positive | None
    matmul_flops_per_s: dict[str, Positive | None]
    launch_s: Seconds | None
    reasons: dict[str, str] = {}


class Calibration(Record, frozen=True, kw_only=True):
    """How far apart fresh processes of one and the same model are on a machine (A/A).

    Attributes:
        measured_at: When, ISO 8601, UTC.
        model: What was measured again and again.
        latencies_s: Its median latency in each process.
        spread: Robust standard deviation of their logarithms.
        smallest_effect: Smallest relative change that ten processes on each side tell from none
            with 95 % confidence, what the yardstick tells taken out where there is one.
        disturbed: Processes that are left out because others took cores from them.
        yardsticks_s: Time of the yardstick in each process; empty where it is not known.
        spread_beside: The robust standard deviation of what the yardstick does not tell.
    """

    measured_at: str
    model: str
    latencies_s: tuple[Positive, ...]
    spread: Annotated[float, Meta(ge=0, le=10)]
    smallest_effect: Annotated[float, Meta(ge=0, le=1e9)]
    disturbed: Count = 0
    yardsticks_s: tuple[Positive, ...] = ()
    spread_beside: Annotated[float, Meta(ge=0, le=10)] | None = None


class FoundDevice(Record, frozen=True, kw_only=True):
    """A device that is there: what it can do, how it is set, and how it is now.

    Attributes:
        name: Device string for ``--device``.
        device: What it is.
        ceilings: What it does at most, as measured now.
        datasheet: What its vendor says: rates in FLOPs per second by type, and ``bytes_per_s``;
            empty for a device without a data sheet in ``profiles/``.
        settings: Settings that change its speed.
        state: How it is now: clocks, load, foreign processes, …; null where it is not known.
        lacks: What cannot be measured on it, and why.
        advice: What to do for measurements that can be trusted.
        calibration: The latest ``devices --calibrate`` on it, if there was one.
    """

    name: str
    device: Device
    ceilings: MeasuredCeilings
    datasheet: dict[str, float] = {}
    settings: dict[str, str | int | bool] = {}
    state: dict[str, str | int | float | bool | None] = {}
    lacks: dict[str, str] = {}
    advice: tuple[str, ...] = ()
    calibration: Calibration | None = None


class Devices(Record, frozen=True, kw_only=True):
    """What ``scaleprof devices --json`` writes."""

    schema: str = DEVICES_SCHEMA
    devices: tuple[FoundDevice, ...]
    failures: dict[str, str] = {}


class ExponentBand(Record, frozen=True, kw_only=True):
    """An exponent with its 90 % interval."""

    mean: float
    p05: float
    p95: float


class DeviceLaw(Record, frozen=True, kw_only=True):
    """How latency of this model grows on this device, from the variants that were measured.

    Attributes:
        exponents: Latency grows with the factor of an axis to this power, by axis; axes that
            hardly moved are left out.
        errors: Typical relative error of a power law of one cost alone, by cost (``macs``,
            ``activations``, ``traffic_bytes``), the best first.
        starting_share: Share of starting operators in the latency of the base.
        starting_dominates_below: Compute multiplier below which starting operators takes more
            than half of the latency.
        left_out_error: Median relative error of predicting a measured variant from the others.
        covered: Share of measured variants within the 90 % band of that prediction.
        variants: Measured variants that all this rests on.
        reasons: Why a field is None, by field.
    """

    exponents: dict[str, ExponentBand]
    errors: dict[str, float]
    starting_share: float | None
    starting_dominates_below: float | None
    left_out_error: float | None
    covered: float | None
    variants: int
    reasons: dict[str, str] = {}


class Context(Record, frozen=True, kw_only=True):
    """Conditions of a profile: everything that can change a measurement.

    Attributes:
        device: The device that was measured.
        versions: Versions of python, torch, numpy, scaleprof and the model's library.
        platform: Operating system and processor.
        flags: Settings that change speed: threads, TF32, cuDNN benchmark, denormals, …
        dtype: Floating-point type of weights and inputs.
        layout: ``nchw`` or ``nhwc``.
        mode: ``eager``, ``compile`` or ``graph`` (a CUDA graph).
        step: What was measured: ``inference``, a forward pass, or ``training``, one with its
            backward pass and the optimizer's step.
        kernels: ``torch`` or ``triton``: what runs large-kernel operators.
        batch: Images (or sequences) in one forward pass.
        command: The command line, or None from Python.
        started_at: Time the job began, ISO 8601, UTC.
        elapsed_s: Duration of the job.
        git_commit: Commit of the user's repository; None outside one.
        load: Runnable processes per core before measuring, over the last minute.
        model_s: Part of `elapsed_s` that was spent in models, to measure them or to time their
            modules.
        calibration: How far apart fresh processes are on this machine, if it was calibrated.
        drift: Largest change of the base's latency during the job, as a share of it; None when it
            was measured too rarely to tell.
    """

    device: Device
    versions: dict[str, str]
    platform: str
    flags: dict[str, str | int | bool]
    dtype: str
    layout: str
    mode: str
    batch: Annotated[int, Meta(gt=0, le=2**31)]
    kernels: Literal["torch", "triton"] = "torch"
    command: str | None
    started_at: str
    elapsed_s: float
    git_commit: str | None
    load: float | None
    step: str = "inference"
    model_s: float | None = None
    drift: float | None = None
    calibration: Calibration | None = None
    reasons: dict[str, str] = {}


class Anchor(Record, frozen=True, kw_only=True):
    """A published or given accuracy that predictions start from.

    Attributes:
        model: Model that was trained.
        tag: Training tag or recipe name.
        regime: ``plain``, ``strong``, ``mobile``, ``extra``, ``distilled``, or None when unknown.
        metric: Name of the metric.
        value: Its value.
        gmacs: Multiply-adds of one forward pass of one image, in units of 1e9.
        resolution: Input size it was evaluated at.
        source: Where the figure is from.
    """

    model: str
    tag: str | None
    regime: str | None
    metric: str
    value: float
    gmacs: float
    resolution: int | None
    source: str


class Base(Record, frozen=True, kw_only=True):
    """The model that is scaled.

    Attributes:
        model: The reference the user gave.
        variant: Identifier of its variant, always ``base``.
        anchor: The accuracy that predictions start from, or None.
        accuracy_reason: Why there is no anchor, or how it was chosen among several.
    """

    model: str
    variant: str = "base"
    anchor: Anchor | None = None
    accuracy_reason: str | None = None


class BudgetOutcome(Record, frozen=True, kw_only=True):
    """One budget, and how the chosen variant stands to it.

    Attributes:
        text: As the user wrote it, for example ``latency<=2x``.
        metric: The bounded quantity, for example ``latency`` or ``memory.process``.
        bound: ``<=`` or ``>=``.
        limit: The bound in base units; a relative one is resolved against the base.
        relative: The factor of a relative budget, else None.
        value: The chosen variant's value in base units; None when unknown.
        met: Whether the value holds the bound; None when unknown.
    """

    text: str
    metric: str
    bound: Literal["<=", ">="]
    limit: float
    relative: float | None = None
    value: float | None = None
    met: bool | None = None


class StrategyResult(Record, frozen=True, kw_only=True):
    """The best variant of one strategy under the budgets.

    Attributes:
        strategy: ``d``, ``w``, ``r``, ``dw``, ``dr``, ``wr``, ``dwr`` or ``dWr``.
        variant: Identifier of that variant, or None when none meets the budgets.
        multiplier: Its compute multiplier as counted.
        reason: Why there is none.
    """

    strategy: str
    variant: str | None
    multiplier: float | None = None
    reason: str | None = None


class Verification(Record, frozen=True, kw_only=True):
    """The choice measured once more, in fresh processes beside the base.

    Attributes:
        predicted: Bounded quantities as the selection knew them, by metric.
        measured: The same as measured in the check, by metric; null where it could not be.
        met: Whether every budget held in the check; None when undecided.
        reason: What was undecided or missed.
        processes: Worker processes the check used for the choice.
        rejected: Variants that were tried before and missed a budget.
    """

    predicted: dict[str, float | None]
    measured: dict[str, float | None]
    met: bool | None
    reason: str | None
    processes: int = 0
    rejected: tuple[str, ...] = ()


class MoreBudget(Record, frozen=True, kw_only=True):
    """What a larger budget would buy: a choice under the same budgets but for the one that binds.

    Attributes:
        budget: The budget that binds, as the user wrote it.
        metric: The quantity that it bounds.
        share: By how much of itself an upper bound is raised, or a lower one lowered.
        limit: That bound in base units.
        variant: Identifier of what would be chosen; None if no variant that is known is better.
        gain: By how much its predicted accuracy is better, in the unit of the metric of accuracy.
        source: How the bounded quantity of that variant is known.
        strategy: Without a variant: the strategy that is expected to gain most, if one is.
        multiplier: The compute multiplier at which it would fill the raised budget.
    """

    budget: str
    metric: str
    share: float
    limit: float
    variant: str | None = None
    gain: float | None = None
    source: Literal["counted", "measured", "estimated", "predicted"] | None = None
    strategy: str | None = None
    multiplier: float | None = None


class Selection(Record, frozen=True, kw_only=True):
    """The chosen recipe, why the others lost, and the measured check of the choice.

    Attributes:
        variant: Identifier of the chosen variant.
        budgets: The budgets and how the choice stands to each.
        verified: True only if the choice was measured again and every budget held; False if one
            was missed; None if it was not measured again.
        verification: The check; None if there was none.
        runners_up: Next best variants within the budgets, best first.
        pareto: Variants that no other beats in both accuracy and latency.
        binding: Metric of the budget with the least room left.
        confidence: Chance of meeting each budget that was required of the choice.
        reason: How the choice was made, in words.
        more: What a larger budget would buy; None in reports of older versions.
    """

    variant: str
    budgets: tuple[BudgetOutcome, ...]
    verified: bool | None
    verification: Verification | None
    runners_up: tuple[str, ...] = ()
    pareto: tuple[str, ...] = ()
    binding: str | None = None
    confidence: float = 0.95
    reason: str | None = None
    more: MoreBudget | None = None


class Rung(Record, frozen=True, kw_only=True):
    """One rung of a ladder.

    Attributes:
        text: Its latency as the user wrote it, ``2ms`` or ``0.5x``.
        limit: The latency in seconds; a factor is resolved against the base.
        relative: The factor, else None.
        variant: Identifier of the variant on it, or None when nothing meets the rung.
        source: How its latency was known when it was chosen.
        budgets: The rung and the budgets, and how the variant stands to each: as checked, or as
            known where there was no check.
        verified: True only if the variant was measured again and held everything; False if it
            missed something; None if it was not measured again, or the check is undecided.
        verification: The check; None if there was none.
        reason: Why there is no variant.
    """

    text: str
    limit: Seconds
    relative: float | None = None
    variant: str | None = None
    source: Literal["counted", "measured", "estimated", "predicted"] | None = None
    budgets: tuple[BudgetOutcome, ...] = ()
    verified: bool | None = None
    verification: Verification | None = None
    reason: str | None = None


class Ladder(Record, frozen=True, kw_only=True):
    """One family of recipes for several latencies, none smaller along any axis than the one before.

    Attributes:
        rungs: The rungs, the tightest first.
        confidence: Chance of meeting each bound that was required.
        decided: Whether it is certain that nothing meets a rung without a variant: false when
            other processes disturbed the measurements.
    """

    rungs: tuple[Rung, ...]
    confidence: float = 0.95
    decided: bool = True


class Effort(Record, frozen=True, kw_only=True):
    """How much was measured, and why no more.

    Attributes:
        variants: Variants of the profile.
        measured: Those of them that were measured.
        processes: Worker processes that measured them, those of earlier jobs among them.
        stopped: ``settled`` when no further measurement was expected to matter, ``measured`` when
            nothing was left to measure, ``time`` at the time limit, or ``interrupted``.
        left: What the best further measurement was expected to change of the choice, in units of
            the predicted accuracy; without budgets, half of the widest predicted 90 % band of
            latency, as a logarithm. None when nothing was left.
        threshold: What `left` had to fall below.
        reason: Why it stopped, in words.
    """

    variants: Count
    measured: Count
    processes: Count
    stopped: Literal["settled", "measured", "time", "interrupted"]
    left: float | None
    threshold: float
    reason: str


class Report(Record, frozen=True, kw_only=True):
    """What ``scaleprof profile --json`` writes: a profile, and a selection if there is a budget.

    Attributes:
        context: Conditions of the measurements.
        base: The model that is scaled.
        axes: What could be scaled, by axis.
        variants: Every variant, the base first.
        strategies: The strategies side by side under the budgets; without a budget, empty.
        selection: The choice, or None.
        selection_reason: Why there is no selection: no budget was given, or nothing meets it.
        notes: Warnings that go with the numbers.
        skipped: Recipes that could not be built or counted, each with its reason.
        law: How latency grows on this device; None when too little was measured.
        decided: Whether the absence of a selection is certain: false when other processes
            disturbed the measurements that it rests on.
        ladder: A family of recipes for several latencies, if one was asked for.
        effort: How much was measured, and why no more; None in reports that did not say.
    """

    schema: str = REPORT_SCHEMA
    context: Context
    base: Base
    axes: dict[str, Axis]
    variants: tuple[Variant, ...]
    strategies: tuple[StrategyResult, ...] = ()
    selection: Selection | None = None
    selection_reason: str | None = None
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    law: DeviceLaw | None = None
    decided: bool = True
    ladder: Ladder | None = None
    effort: Effort | None = None

    def variant(self, variant_id: str) -> Variant:
        """Return the variant with this identifier.

        Raises:
            KeyError: If there is none.
        """
        for variant in self.variants:
            if variant.id == variant_id:
                return variant
        raise KeyError(variant_id)


Verdict = Literal["pass", "fail", "inconclusive"]


class CheckLine(Record, frozen=True, kw_only=True):
    """One gate or budget on one variant: what it was, what it is, and the verdict.

    Attributes:
        report: Path of the report, or its number among those given as records.
        model: Reference of the model that was scaled.
        variant: Identifier of the variant.
        kind: ``gate`` (against the baseline) or ``budget`` (a bound).
        rule: The gate or budget as the user wrote it.
        metric: The quantity, for example ``latency.p50``.
        bound: Whether `now` must stay at or below `limit`, or at or above it.
        limit: In base units; None when it rests on a value that is unknown.
        baseline: Value in base units in the baseline, or of the report's base for a relative
            budget; None for an absolute budget, and when unknown.
        now: Value in base units in the report; None when unknown. A latency is the geometric mean
            over worker processes of the percentile in each; in gates on the median, where both
            reports timed a yardstick, of the mean of the middle half of the samples.
        change: `now` over `baseline`, less one; None when there is no baseline or it is 0. In
            those gates what the host's speed has to do with it is taken out.
        host_change: How much slower the host was than for the baseline, by that yardstick; None
            where it is not known.
        change_interval: Confidence interval of the change; None for what is exact or unknown.
        now_interval: Confidence interval of `now`, where an absolute budget is decided by it.
        verdict: The verdict.
        reason: Why it is inconclusive, or what to know about a verdict.
        processes: Worker processes behind the reference and `now`; None for what is exact.
        more_processes: About how many more worker processes in each report would decide; None when
            it is decided, or more of them would not help.
        added_processes: Worker processes that were measured for this check and added to those of
            the report.
    """

    report: str
    model: str
    variant: str
    kind: Literal["gate", "budget"]
    rule: str
    metric: str
    bound: Literal["<=", ">="]
    limit: float | None = None
    baseline: float | None = None
    now: float | None = None
    change: float | None = None
    host_change: float | None = None
    change_interval: tuple[float, float] | None = None
    now_interval: tuple[float, float] | None = None
    verdict: Verdict = "inconclusive"
    reason: str | None = None
    processes: tuple[int, int] | None = None
    more_processes: int | None = None
    added_processes: int = 0


class CountChange(Record, frozen=True, kw_only=True):
    """One counted quantity that is not what it was.

    Attributes:
        quantity: Name of the field of `Cost`, `OperatorCost` or `ModuleCost`.
        baseline: Its value in the baseline; None where it was not there.
        now: Its value in the report; None where it is not there.
    """

    quantity: str
    baseline: int | None
    now: int | None


class PartChange(Record, frozen=True, kw_only=True):
    """An operator or a module whose costs are not what they were.

    Attributes:
        name: Name of the operator, or path of the module.
        counts: What changed.
    """

    name: str
    counts: tuple[CountChange, ...]


class GraphChange(Record, frozen=True, kw_only=True):
    """A variant that needs something else than it did: another model, not only a slower one.

    Attributes:
        report: Path of the report.
        variant: Identifier of the variant.
        counts: What changed in its cost; empty where only single operators differ.
        operators: Operators that changed, the largest change of MACs first.
        modules: Modules that changed; None unless both reports hold costs by module.
    """

    report: str
    variant: str
    counts: tuple[CountChange, ...]
    operators: tuple[PartChange, ...]
    modules: tuple[PartChange, ...] | None = None


class ModuleTime(Record, frozen=True, kw_only=True):
    """A module that takes more or less time than it did, with what runs inside it.

    Attributes:
        path: Dotted name inside the model.
        baseline_s: Its time in the baseline; None where it took less than `LEAST_MODULE_SHARE` of
            the latency, or was not there.
        now_s: Its time in the report; None likewise.
        change_s: What it takes more; at the least, where one of them is None.
    """

    path: str
    baseline_s: Seconds | None
    now_s: Seconds | None
    change_s: float


class TimeChange(Record, frozen=True, kw_only=True):
    """Where time went, as one process of each report has it: no verdict rests on it.

    Attributes:
        report: Path of the report.
        variant: Identifier of the variant.
        modules: The modules that changed most, the largest change first. A module stands for those
            inside it unless one of them makes up half of its change.
    """

    report: str
    variant: str
    modules: tuple[ModuleTime, ...]


class Check(Record, frozen=True, kw_only=True):
    """What ``scaleprof check --json`` writes: reports held against gates and budgets.

    Attributes:
        verdict: ``fail`` if a line failed, else ``inconclusive`` if one is, else ``pass``.
        lines: Every gate and budget on every variant that was asked for.
        graphs: Variants whose counted graph changed.
        times: Variants with a gate of latency, by module, where both reports hold their times.
        differences: In what the environments differ, where that was allowed.
        notes: What to know about the verdicts.
        confidence: That all intervals together hold.
        timed_lines: Lines with an interval, over which the chance of an error is divided.
    """

    schema: str = CHECK_SCHEMA
    verdict: Verdict
    lines: tuple[CheckLine, ...]
    graphs: tuple[GraphChange, ...] = ()
    times: tuple[TimeChange, ...] = ()
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    confidence: float = 0.95
    timed_lines: int = 0


Changed = TypeVar("Changed", bound=Struct)


def replace(record: Changed, **changes: Any) -> Changed:
    """Return a copy of a record with some fields changed."""
    return msgspec.structs.replace(record, **changes)
