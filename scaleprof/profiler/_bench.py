"""Measure variants, one fresh worker process at a time, within the time that is left."""

import statistics
import time
from collections import defaultdict
from collections.abc import Sequence

from ..jobs import MEASURE, MeasureReply, MeasureRequest
from ..models import call_of
from ..records import KernelUse, Measurement, Memory, Variant, replace
from ..timing import Samples, StoppingRule, missing_percentiles, summarise
from ..timing.contention import FOREIGN_CORES, LoadWatch
from ..workers import Done, Failure
from ._crew import Crew
from ._options import Options

# a process must be done at the latest this much before the deadline
_SLACK = 1.5
# a measurement that others disturbed is repeated once, if so many processes still fit after it
_TRIES = 2
_RESERVE_FOR_RETRY = 8
# a look at the load takes this long; waiting for a quiet machine, this long in all
_LOOK_S = 0.1
_PATIENCE_S = 10.0


class Bench:
    """Everything measured so far, by variant; the clock that says whether there is time for more.

    Args:
        crew: Workers.
        options: Conditions.
        device: Torch device string.
        deadline: Value of `time.monotonic` by which the job must be done.
        rule: When a process has sampled enough.
    """

    def __init__(
        self, crew: Crew, options: Options, device: str, deadline: float, rule: StoppingRule
    ) -> None:
        self._crew = crew
        self._options = options
        self._device = device
        self._rule = rule
        self._elapsed: list[float] = []
        self._replies: defaultdict[str, list[MeasureReply]] = defaultdict(list)
        self.failures: dict[str, Failure] = {}
        self._last: dict[str, MeasureReply | None] = {}
        self._patience_s = _PATIENCE_S
        self.deadline = deadline

    @property
    def processes(self) -> int:
        """Worker processes so far."""
        return len(self._elapsed)

    def has_time_for(self, processes: float) -> bool:
        """Tell whether so many more processes would end before the deadline."""
        typical = statistics.median(self._elapsed) if self._elapsed else 0.0
        return time.monotonic() + _SLACK * typical * processes < self.deadline

    def run(self, variant: Variant, *, seed: int = 0) -> None:
        """Measure a variant in one fresh process.

        Args:
            variant: The variant.
            seed: Of weights and inputs.
        """
        request = MeasureRequest(
            call=call_of(variant.recipe),
            inputs=variant.cost.inputs,
            dtype=self._options.dtype,
            device=self._device,
            channels_last=self._options.layout == "nhwc",
            compiled=self._options.compiled,
            rule=self._rule,
            seed=seed,
            kernels="triton" if self._options.kernels == "triton" else "torch",
        )
        for _ in range(_TRIES):
            self._wait_for_quiet()
            began = time.monotonic()
            outcome = self._crew.measure(MEASURE, request, MeasureReply)
            self._elapsed.append(time.monotonic() - began)
            self._keep(variant, outcome)
            disturbed = isinstance(outcome, Done) and outcome.reply.contended
            if not disturbed or not self.has_time_for(_RESERVE_FOR_RETRY):
                return

    def _wait_for_quiet(self) -> None:
        """Wait a little for other processes to leave the cores, within an allowance for the job."""
        while self._patience_s > 0:
            watch = LoadWatch()
            time.sleep(_LOOK_S)
            if self._device != "cpu" or watch.load().foreign_cores <= FOREIGN_CORES:
                return
            self._patience_s -= _LOOK_S

    def _keep(self, variant: Variant, outcome: Done[MeasureReply] | Failure) -> None:
        self._last[variant.id] = outcome.reply if isinstance(outcome, Done) else None
        if isinstance(outcome, Done):
            self._replies[variant.id].append(outcome.reply)
        else:
            self.failures[variant.id] = outcome

    def last(self, variant: Variant) -> MeasureReply | None:
        """Return what the latest process of a variant measured; None if it failed."""
        return self._last.get(variant.id)

    def measured(self, variant: Variant) -> Variant:
        """Return the variant with all its measurements pooled, if there are any."""
        replies = self._replies.get(variant.id)
        if replies:
            measurement = pool(variant, replies, self._device)
        elif variant.id in self.failures:
            failure = self.failures[variant.id]
            measurement = Measurement(status=failure.status, reason=failure.reason)
        else:
            return variant
        return replace(variant, measurement=measurement)


def pool(variant: Variant, replies: Sequence[MeasureReply], device: str) -> Measurement:
    """Pool what several worker processes measured, the undisturbed ones if there are any."""
    quiet = [reply for reply in replies if not reply.contended]
    counted = quiet or replies
    samples: list[Samples] = [reply.samples for reply in counted]
    latency = summarise([block.samples for block in samples])
    on_cpu = device == "cpu"
    allocated = _largest([reply.allocated for reply in replies])
    peak = variant.cost.peak_bytes if on_cpu else allocated
    return Measurement(
        status="ok",
        latency_s=latency,
        peak_bytes=peak,
        peak_bytes_source="planned" if on_cpu else "allocated",
        memory=Memory(
            planned=variant.cost.peak_bytes,
            allocated=allocated,
            reserved=_largest([reply.reserved for reply in replies]),
            process=_largest([reply.process for reply in replies]),
        ),
        first_call_s=tuple(block.first_call_s for block in samples),
        noisy=all(block.noisy for block in samples),
        timeout=any(block.timeout for block in samples),
        contended=not quiet,
        foreign_cores=tuple(round(reply.foreign_cores, 3) for reply in counted),
        discarded_processes=len(replies) - len(counted),
        kernels=_kernel_use(counted),
        reasons=_reasons(on_cpu) | missing_percentiles(latency),
    )


def _kernel_use(replies: Sequence[MeasureReply]) -> KernelUse | None:
    """What ran large-kernel operators: the same in each process, with the median share."""
    uses = [reply.kernels for reply in replies if reply.kernels is not None]
    shares = [use.share for use in uses if use.share is not None]
    if not shares:
        return uses[0] if uses else None
    return replace(uses[0], share=statistics.median(shares))


def _largest(values: Sequence[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _reasons(on_cpu: bool) -> dict[str, str]:
    reasons = {"energy_j": "not read by this version"}
    if on_cpu:
        untracked = "torch does not track allocations on a CPU"
        return reasons | {"memory.allocated": untracked, "memory.reserved": untracked}
    return reasons | {"memory.process": "not read where the device has memory of its own"}
