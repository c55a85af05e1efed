"""What the parent asks of its workers: requests and replies, without torch."""

from typing import Any

from ..devices import DeviceState
from ..models import ConstructorCall, Kernels, Reference
from ..records import (
    Axis,
    Cost,
    FoundDevice,
    GpuConditions,
    InputSpec,
    KernelUse,
    Record,
    Variant,
)
from ..scaling import StageOptions, StageRecipe
from ..timing import Samples, StoppingRule

COUNT = "scaleprof.jobs._count:count_reference"
COMPARE = "scaleprof.jobs._count:compare_counts"
LIST = "scaleprof.jobs._count:list_models"
DEVICE = "scaleprof.jobs._measure:describe"
DEVICE_NAMES = "scaleprof.jobs._devices:device_names"
INSPECT = "scaleprof.jobs._devices:inspect_device"
KNOBS = "scaleprof.jobs._scale:probe"
SCALE = "scaleprof.jobs._scale:resolve"
PLAN_TRAINING = "scaleprof.jobs._scale:plan_training"
SCALE_ONE = "scaleprof.jobs._scale:resolve_one"
GRID = "scaleprof.jobs._spaces:resolve_grid"
COUNT_STAGES = "scaleprof.jobs._spaces:count_options"
STAGE_RECIPES = "scaleprof.jobs._spaces:resolve_recipes"
MEASURE = "scaleprof.jobs._measure:measure_variant"
TIME_MODULES = "scaleprof.jobs._modules:time_modules"
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


class NamesRequest(Record, frozen=True, kw_only=True):
    """List the devices that torch can use."""


class DeviceNames(Record, frozen=True, kw_only=True):
    """Device strings, the CPU first."""

    names: tuple[str, ...]


class Inspection(Record, frozen=True, kw_only=True):
    """What was found of a device, and the description that it rests on."""

    found: FoundDevice
    state: DeviceState


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


class OfKnobs(Record, frozen=True, kw_only=True):
    """Something to be done with the knobs of a model.

    Attributes:
        model: The reference, for the record.
        knobs: Its knobs.
        dtype: Floating-point type of weights and inputs.
    """

    model: str
    knobs: KnobsReply
    dtype: str = "float32"


class ScaleRequest(OfKnobs, frozen=True, kw_only=True):
    """Resolve one strategy at several multipliers."""

    strategy: str
    multipliers: tuple[float, ...]
    axes: tuple[str, ...]


class ScaleReply(Record, frozen=True, kw_only=True):
    """Variants that build and run, and why the others do not."""

    variants: tuple[Variant, ...]
    skipped: tuple[str, ...]


class PlanRequest(Record, frozen=True, kw_only=True):
    """Plan the memory of a training step of some variants in this type."""

    variants: tuple[Variant, ...]
    dtype: str = "float32"


class PlanReply(Record, frozen=True, kw_only=True):
    """The variants whose training step is planned, and why the others' is not."""

    variants: tuple[Variant, ...]
    skipped: tuple[str, ...]


class ScaleOneRequest(OfKnobs, frozen=True, kw_only=True):
    """Resolve one variant of a model.

    Attributes:
        strategy: Strategy, or None for factors given by hand.
        multiplier: Compute multiplier of the strategy.
        width: Factor of channel counts.
        depth: Factor of the number of blocks.
        resolution: Size of the input, in pixels; None to keep it.
        settings: Arguments to set besides.
    """

    strategy: str | None = None
    multiplier: float = 1.0
    width: float = 1.0
    depth: float = 1.0
    resolution: int | None = None
    settings: dict[str, Any]


class GridRequest(OfKnobs, frozen=True, kw_only=True):
    """Resolve the points of a grid.

    Attributes:
        points: Factor by axis, one each.
    """

    points: tuple[dict[str, float], ...]


class StagesRequest(OfKnobs, frozen=True, kw_only=True):
    """Count every option of every stage, the others left as they are.

    Attributes:
        widths: Factors of a stage's channels.
        depths: Factors of a stage's blocks.
        resolutions: Factors of the input's size.
    """

    widths: tuple[float, ...]
    depths: tuple[float, ...]
    resolutions: tuple[float, ...]


class CountedRecipe(Record, frozen=True, kw_only=True):
    """A recipe of stages and its cost; None where it does not build or run."""

    recipe: StageRecipe
    cost: Cost | None


class StagesReply(Record, frozen=True, kw_only=True):
    """What is needed to put recipes of stages together.

    Attributes:
        options: What each stage can be.
        own: By stage and width, that width alone at the least and the most blocks.
        pairs: For each stage but the last, it and the next one at widths of their own.
        whole: What all stages share: other sizes of the input, or other widths.
    """

    options: StageOptions
    own: tuple[tuple[tuple[CountedRecipe, CountedRecipe], ...], ...]
    pairs: tuple[CountedRecipe, ...]
    whole: tuple[CountedRecipe, ...]


class StageRecipesRequest(OfKnobs, frozen=True, kw_only=True):
    """Resolve recipes of stages.

    Attributes:
        recipes: The recipes.
        shares: Share of each stage in the base's compute.
    """

    recipes: tuple[StageRecipe, ...]
    shares: tuple[float, ...]


class StageRecipesReply(Record, frozen=True, kw_only=True):
    """A variant for each recipe, None where it does not build and run, and why."""

    variants: tuple[Variant | None, ...]
    skipped: tuple[str, ...]


class MeasureRequest(Record, frozen=True, kw_only=True):
    """Measure one variant in this worker process.

    Attributes:
        call: What builds it.
        inputs: What it is called with, in the type it is measured in.
        dtype: Floating-point type of its weights.
        device: Torch device string.
        channels_last: Whether weights and images are laid out with channels last.
        mode: ``eager``, ``compile`` or ``graph``.
        step: ``inference``: a forward pass; ``training``: with backward pass and optimizer.
        rule: When to stop.
        seed: Of weights and inputs.
        kernels: Who runs the operators that torch and our kernels both have.
        attribute: Also tell which of them ran, and what share of the time they took.
    """

    call: ConstructorCall
    inputs: tuple[InputSpec, ...]
    dtype: str
    device: str
    channels_last: bool
    rule: StoppingRule
    mode: str = "eager"
    step: str = "inference"
    seed: int = 0
    kernels: Kernels = "torch"
    attribute: bool = True

    @property
    def why_opaque(self) -> str | None:
        """Why the time of what runs inside cannot be read, if so."""
        if self.step == "training":
            return "a training step spends time on operators in its backward pass too"
        if self.mode != "eager":
            return f"in mode {self.mode} a model runs as a whole"
        if self.device.partition(":")[0] not in {"cpu", "cuda"}:
            return f"operators are not timed on {self.device}"
        return None


class ModulesRequest(Record, frozen=True, kw_only=True):
    """Time the modules of a variant.

    Attributes:
        variant: What is run, and how; it is not opaque.
        depth: Depth down to which modules are timed.
        passes: Passes of which the median counts.
    """

    variant: MeasureRequest
    depth: int
    passes: int


class ModulesReply(Record, frozen=True, kw_only=True):
    """Which modules take the time of a pass.

    Attributes:
        shares: Share of each module in the time of a pass, by path, between 0 and 1.
        busy_s: Time of all passes.
    """

    shares: dict[str, float]
    busy_s: float


class Energy(Record, frozen=True, kw_only=True):
    """Energy of one call in joules, or why it is not known."""

    joules: float | None = None
    reason: str | None = None


class MeasureReply(Record, frozen=True, kw_only=True):
    """What one worker process measured of one variant; memory in bytes, None where unknown.

    Attributes:
        samples: Latencies.
        foreign_cores: Cores that others kept busy meanwhile.
        contended: Whether that took cores from the model.
        allocated: Peak that torch allocated on an accelerator.
        reserved: Peak that torch reserved there.
        process: Growth of this process's resident set.
        device_s: Time of each sample between events on the device; empty on a CPU.
        enqueue_s: Time until the host had launched each sample; empty on a CPU.
        no_events: Why an accelerator has no `device_s`.
        gpu: Clocks and power meanwhile; None but for NVIDIA GPUs.
        energy: Energy of one call.
        busy_s: Time from the first call to the last sample.
        kernels: What ran large-kernel operators.
    """

    samples: Samples
    foreign_cores: float
    contended: bool
    allocated: int | None
    reserved: int | None
    process: int | None
    device_s: tuple[float, ...] = ()
    enqueue_s: tuple[float, ...] = ()
    no_events: str | None = None
    gpu: GpuConditions | None = None
    energy: Energy = Energy(reason="not read")
    busy_s: float = 0.0
    kernels: KernelUse | None = None

    @property
    def disturbed(self) -> bool:
        """Whether it is slower than the device can be: others took it, or it was throttled."""
        return self.contended or (self.gpu is not None and self.gpu.throttled)


class BuildRequest(Record, frozen=True, kw_only=True):
    """Build a call and run it on the meta device, to see that both work.

    Attributes:
        call: The call, from a report.
        inputs: What the model is called with.
        trust: Whether anything may be called.
        dtype: Floating-point type of the weights; None for what the call builds.
        module_depth: Depth of the costs by module, or None.
    """

    call: ConstructorCall
    inputs: tuple[InputSpec, ...]
    trust: bool
    dtype: str | None = None
    module_depth: int | None = None
