"""What the parent asks of its workers: requests and replies, without torch."""

from typing import Any

from ..models import ConstructorCall, Kernels, Reference
from ..records import Axis, Cost, InputSpec, KernelUse, Record, Variant
from ..timing import Samples, StoppingRule

COUNT = "scaleprof.jobs._count:count_reference"
COMPARE = "scaleprof.jobs._count:compare_counts"
LIST = "scaleprof.jobs._count:list_models"
DEVICE = "scaleprof.jobs._measure:describe"
KNOBS = "scaleprof.jobs._scale:probe"
SCALE = "scaleprof.jobs._scale:resolve"
SCALE_ONE = "scaleprof.jobs._scale:resolve_one"
MEASURE = "scaleprof.jobs._measure:measure_variant"
BUILD = "scaleprof.jobs._count:check_build"


class CountRequest(Record, frozen=True, kw_only=True):
    """Count one model.

    Attributes:
        reference: The model.
        inputs: What it is called with; empty for what its source knows.
        batch: Batch of an input that the source knows.
        dtype: Floating-point type of weights and inputs.
        module_depth: Depth of the costs by module, or None.
    """

    reference: Reference
    inputs: tuple[InputSpec, ...] = ()
    batch: int = 1
    dtype: str = "float32"
    module_depth: int | None = None


class ListRequest(Record, frozen=True, kw_only=True):
    """List the models that a pattern stands for."""

    pattern: str


class ModelList(Record, frozen=True, kw_only=True):
    """References, in the source's order."""

    models: tuple[str, ...]


class DeviceRequest(Record, frozen=True, kw_only=True):
    """Describe a device."""

    name: str
    libraries: tuple[str, ...] = ()


class KnobsRequest(Record, frozen=True, kw_only=True):
    """Find the knobs of a model."""

    reference: Reference
    inputs: tuple[InputSpec, ...] = ()
    batch: int = 1
    dtype: str = "float32"


class KnobsReply(Record, frozen=True, kw_only=True):
    """The knobs of a model, and where it comes from.

    Attributes:
        call: The constructor call whose arguments are turned.
        inputs: What the base is called with.
        axes: What was found, by axis.
        cost: Cost of the base.
        arguments: All arguments of the call, defaults included.
        callables: Paths of callables and objects among them.
        library: Distribution it comes from, or None for a file.
        base: The base as a variant.
        sources: Files of the user's that it was built from.
    """

    call: ConstructorCall
    inputs: tuple[InputSpec, ...]
    axes: dict[str, Axis]
    cost: Cost
    arguments: dict[str, Any]
    callables: tuple[str, ...]
    library: str | None
    base: Variant
    sources: tuple[str, ...] = ()


class ScaleRequest(Record, frozen=True, kw_only=True):
    """Resolve one strategy at several multipliers."""

    model: str
    knobs: KnobsReply
    strategy: str
    multipliers: tuple[float, ...]
    axes: tuple[str, ...]
    dtype: str = "float32"


class ScaleReply(Record, frozen=True, kw_only=True):
    """Variants that build and run, and why the others do not."""

    variants: tuple[Variant, ...]
    skipped: tuple[str, ...]


class ScaleOneRequest(Record, frozen=True, kw_only=True):
    """Resolve one variant of a model.

    Attributes:
        model: The reference, for the record.
        knobs: Its knobs.
        dtype: Floating-point type of weights and inputs.
        strategy: Strategy, or None for factors given by hand.
        multiplier: Compute multiplier of the strategy.
        width: Factor of channel counts.
        depth: Factor of the number of blocks.
        resolution: Size of the input, in pixels; None to keep it.
        settings: Arguments to set besides.
    """

    model: str
    knobs: KnobsReply
    dtype: str = "float32"
    strategy: str | None = None
    multiplier: float = 1.0
    width: float = 1.0
    depth: float = 1.0
    resolution: int | None = None
    settings: dict[str, Any]


class MeasureRequest(Record, frozen=True, kw_only=True):
    """Measure one variant in this worker process.

    Attributes:
        call: What builds it.
        inputs: What it is called with, in the type it is measured in.
        dtype: Floating-point type of its weights.
        device: Torch device string.
        channels_last: Whether weights and images are laid out with channels last.
        compiled: Whether the model goes through `torch.compile` first.
        rule: When to stop.
        seed: Of weights and inputs.
        kernels: Who runs the operators that torch and our kernels both have.
    """

    call: ConstructorCall
    inputs: tuple[InputSpec, ...]
    dtype: str
    device: str
    channels_last: bool
    compiled: bool
    rule: StoppingRule
    seed: int = 0
    kernels: Kernels = "torch"


class MeasureReply(Record, frozen=True, kw_only=True):
    """What one worker process measured of one variant; memory in bytes, None where unknown.

    Attributes:
        samples: Latencies.
        foreign_cores: Cores that others kept busy meanwhile.
        contended: Whether that took cores from the model.
        allocated: Peak that torch allocated on an accelerator.
        reserved: Peak that torch reserved there.
        process: Growth of this process's resident set.
        kernels: What ran large-kernel operators.
    """

    samples: Samples
    foreign_cores: float
    contended: bool
    allocated: int | None
    reserved: int | None
    process: int | None
    kernels: KernelUse | None = None


class BuildRequest(Record, frozen=True, kw_only=True):
    """Build a call and run it on the meta device, to see that both work.

    Attributes:
        call: The call, from a report.
        inputs: What the model is called with.
        trust: Whether anything may be called.
    """

    call: ConstructorCall
    inputs: tuple[InputSpec, ...]
    trust: bool
