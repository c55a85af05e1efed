"""Measure variants, one fresh worker process at a time, within the time that is left."""

import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from ..jobs import MEASURE, Energy, MeasureReply, MeasureRequest
from ..models import call_of
from ..records import KernelUse, Measurement, Memory, Variant, replace
from ..timing import (
    Drift,
    StoppingRule,
    all_known,
    drift_of,
    missing_percentiles,
    relative_half_width,
    summarise,
)
from ..timing.contention import FOREIGN_CORES, LoadWatch
from ..workers import Done, Failure
from ._crew import Crew
from ._kept import Kept
from ._options import Options

# a process of a sweep samples for a second and a half at most: about 100 samples of a 15 ms model.
# A quick model is sampled for long enough to call the yardstick beside it some thirty times
RULE = StoppingRule(min_seconds=0.4, max_seconds=1.5, warmup_max_seconds=0.7)
# a process must be done at the latest this much before the deadline
_SLACK = 1.5
# a measurement that others disturbed is repeated once, if so many processes still fit after it
_TRIES = 2
_RESERVE_FOR_RETRY = 8
# a look at the load takes this long; waiting for a quiet machine, this long in all
_LOOK_S = 0.1
_PATIENCE_S = 10.0
# one process that samples for the tail of latency takes this much of the time that is left
_LONGEST_SHARE = 0.15
# launching takes so much of the device's time that the device waits for the host
_HOST_BOUND = 0.8
# processes whose noise is shown
_LATEST = 5


class _Block(NamedTuple):
    """What one process measured, and when; None for one of another job."""

    reply: MeasureReply
    at_s: float | None


class Bench:
    """Everything measured so far, by variant; the clock that says whether there is time for more.

    Args:
        crew: Workers.
        options: Conditions.
        device: Torch device string.
        deadline: Value of `time.monotonic` by which the job must be done.
        rule: When a process has sampled enough.
        kept: What was measured before.
    """

    def __init__(
        self,
        crew: Crew,
        options: Options,
        device: str,
        *,
        deadline: float,
        rule: StoppingRule,
        kept: Kept,
    ) -> None:
        self._crew = crew
        self._options = options
        self._device = device
        self._rule = rule
        self._elapsed: list[float] = []
        self._blocks: defaultdict[str, list[_Block]] = defaultdict(list)
        self.failures: dict[str, Failure] = {}
        self._last: dict[str, MeasureReply | None] = {}
        self._drift = Drift()
        self._patience_s = _PATIENCE_S
        self._other_model_s = 0.0
        # a process that was left alone has just looked at the cores for the next one
        self._quiet = False
        self.deadline = deadline
        self.kept = kept

    @property
    def processes(self) -> int:
        """Worker processes so far."""
        return len(self._elapsed)

    @property
    def seconds_left(self) -> float:
        """Time until the deadline."""
        return max(self.deadline - time.monotonic(), 0.0)

    @property
    def noise(self) -> float | None:
        """Half the width of the interval of the median, over it, in the latest processes."""
        blocks = [reply.samples.samples for reply in self._last.values() if reply is not None]
        widths = [relative_half_width(samples) for samples in blocks[-_LATEST:]]
        return statistics.median(widths) if widths else None

    def has_time_for(self, processes: float) -> bool:
        """Tell whether so many more processes would end before the deadline."""
        typical = statistics.median(self._elapsed) if self._elapsed else 0.0
        return time.monotonic() + _SLACK * typical * processes < self.deadline

    def run(
        self, variant: Variant, *, seed: int = 0, again: bool = False, samples: int = 0
    ) -> None:
        """Measure a variant in one fresh process, or take a block that was measured before.

        Args:
            variant: The variant.
            seed: Of weights and inputs.
            again: Whether to measure whatever was measured before.
            samples: Take so many at least, unless that takes more than a fair share of the time
                that is left.
        """
        request = self._longer(self.request(variant, seed), samples)
        known = None if again else self.kept.take(variant, request)
        if known is not None:
            self._keep(variant, Done(reply=known, elapsed_s=0.0), at_s=None)
            return
        for _ in range(_TRIES):
            self._wait_for_quiet()
            began = time.monotonic()
            outcome = self._crew.measure(MEASURE, request, MeasureReply)
            self._elapsed.append(time.monotonic() - began)
            self.kept.put(variant, request, outcome)
            # between the start and the end of it
            self._keep(variant, outcome, at_s=(began + time.monotonic()) / 2)
            disturbed = isinstance(outcome, Done) and outcome.reply.disturbed
            self._quiet = not disturbed
            if not disturbed or not self.has_time_for(_RESERVE_FOR_RETRY):
                return

    def run_base(self, base: Variant) -> None:
        """Measure the base first: where it is not what it was, nothing that is kept is taken."""
        request = self.request(base, 0)
        if not self.kept.needs_recheck(base, request):
            self.run(base)
            return
        self.run(base, again=True)
        reply = self.last(base)
        if reply is not None and not reply.contended:
            self.kept.recheck(base, request, reply)

    def request(self, variant: Variant, seed: int) -> MeasureRequest:
        """Return what is asked of a worker."""
        return MeasureRequest(
            call=call_of(variant.recipe),
            inputs=variant.cost.inputs,
            dtype=self._options.dtype,
            device=self._device,
            channels_last=self._options.layout == "nhwc",
            mode=self._options.mode,
            step=self._options.step,
            rule=self._rule,
            seed=seed,
            kernels="triton" if self._options.kernels == "triton" else "torch",
            # once by variant: it takes several passes
            attribute=not any(
                block.reply.kernels and not block.reply.disturbed
                for block in self._blocks[variant.id]
            ),
        )

    def _longer(self, request: MeasureRequest, samples: int) -> MeasureRequest:
        """Return a request for more samples than a sweep takes of a variant."""
        rule = request.rule
        if not samples:
            return request
        seconds = _LONGEST_SHARE * self.seconds_left
        return replace(request, rule=replace(rule, tail_samples=samples, tail_seconds=seconds))

    def _wait_for_quiet(self) -> None:
        """Wait a little for other processes to leave the cores, within an allowance for the job."""
        if self._device != "cpu" or self._quiet:
            return
        while self._patience_s > 0:
            watch = LoadWatch()
            time.sleep(_LOOK_S)
            if watch.load().foreign_cores <= FOREIGN_CORES:
                return
            self._patience_s -= _LOOK_S

    def _keep(
        self, variant: Variant, outcome: Done[MeasureReply] | Failure, *, at_s: float | None
    ) -> None:
        self._last[variant.id] = outcome.reply if isinstance(outcome, Done) else None
        if isinstance(outcome, Done):
            self._blocks[variant.id].append(_Block(outcome.reply, at_s))
        else:
            self.failures[variant.id] = outcome

    def watch_drift(self, sentinel: Variant) -> Drift:
        """See by a variant that was measured again and again how the machine drifts."""
        seen = [
            (block.at_s, statistics.median(block.reply.samples.samples))
            for block in self._blocks[sentinel.id]
            if block.at_s is not None and not block.reply.disturbed
        ]
        self._drift = drift_of([at for at, _ in seen], [latency for _, latency in seen])
        return self._drift

    def blocks(self, variant: Variant) -> int:
        """Return in how many processes a variant was measured, disturbed ones among them."""
        return len(self._blocks[variant.id])

    @property
    def model_s(self) -> float:
        """Time that this job spent in models."""
        blocks = [block for of_one in self._blocks.values() for block in of_one]
        sampled = sum(block.reply.busy_s for block in blocks if block.at_s is not None)
        return sampled + self._other_model_s

    def add_model_s(self, seconds: float) -> None:
        """Add time in a model that no sample was taken in."""
        self._other_model_s += seconds

    def last(self, variant: Variant) -> MeasureReply | None:
        """Return what the latest process of a variant measured; None if it failed."""
        return self._last.get(variant.id)

    def measured(self, variant: Variant) -> Variant:
        """Return the variant with all its measurements pooled, if there are any."""
        blocks = self._blocks.get(variant.id)
        if blocks:
            steady = [1.0 if b.at_s is None else self._drift.factor(b.at_s) for b in blocks]
            replies = [block.reply for block in blocks]
            reused = [block.at_s is None for block in blocks]
            measurement = pool(variant, replies, self._device, drift=steady, reused=reused)
        elif variant.id in self.failures:
            failure = self.failures[variant.id]
            measurement = Measurement(status=failure.status, reason=failure.reason)
        else:
            return variant
        return replace(variant, measurement=measurement)


def pool(
    variant: Variant,
    replies: Sequence[MeasureReply],
    device: str,
    *,
    drift: Sequence[float] = (),
    reused: Sequence[bool] = (),
) -> Measurement:
    """Pool what several worker processes measured, the undisturbed ones if there are any.

    Args:
        variant: What they measured.
        replies: What they say, one at least.
        device: Torch device string.
        drift: By how much the machine was slower than usual at each; empty for not at all.
        reused: Whether each had been measured before; empty for none.
    """
    rows = list(
        zip(
            replies,
            drift or [1.0] * len(replies),
            reused or [False] * len(replies),
            strict=True,
        )
    )
    quiet = [row for row in rows if not row[0].disturbed]
    counted = quiet or rows
    samples = [reply.samples for reply, _, _ in counted]
    latency = summarise([[s / factor for s in r.samples.samples] for r, factor, _ in counted])
    on_cpu = device == "cpu"
    allocated = _largest([reply.allocated for reply in replies])
    device_s = _median([t for reply, _, _ in counted for t in reply.device_s])
    enqueue_s = _median([t for reply, _, _ in counted for t in reply.enqueue_s])
    energies = [reply.energy for reply, _, _ in counted]
    known = [energy.joules for energy in energies if energy.joules is not None]
    return Measurement(
        status="ok",
        latency_s=latency,
        peak_bytes=variant.cost.peak_bytes if on_cpu else allocated,
        peak_bytes_source="planned" if on_cpu else "allocated",
        memory=Memory(
            planned=variant.cost.peak_bytes,
            allocated=allocated,
            reserved=_largest([reply.reserved for reply in replies]),
            process=_largest([reply.process for reply in replies]),
        ),
        energy_j=_median(known),
        device_s=device_s,
        enqueue_s=enqueue_s,
        host_bound=bool(device_s and enqueue_s and enqueue_s > _HOST_BOUND * device_s),
        first_call_s=tuple(block.first_call_s for block in samples),
        noisy=all(block.noisy for block in samples),
        timeout=any(block.timeout for block in samples),
        contended=not quiet and any(reply.contended for reply in replies),
        throttled=not quiet and any(r.gpu is not None and r.gpu.throttled for r in replies),
        foreign_cores=tuple(round(reply.foreign_cores, 3) for reply, _, _ in counted),
        gpu=tuple(reply.gpu for reply, _, _ in counted if reply.gpu is not None),
        drift=tuple(f for _, f, _ in counted) if any(f != 1.0 for _, f, _ in counted) else (),
        yardsticks_s=all_known([block.yardstick for block in samples]),
        reused_processes=sum(before for _, _, before in counted),
        busy_s=tuple(round(reply.busy_s, 4) for reply, _, _ in counted),
        discarded_processes=len(replies) - len(counted),
        kernels=_kernel_use(replies),
        reasons=_reasons(counted[0][0], on_cpu, energies[0] if not known else None)
        | missing_percentiles(latency),
    )


def _kernel_use(replies: Sequence[MeasureReply]) -> KernelUse | None:
    """What ran large-kernel operators, by the last process that told, which was least disturbed."""
    return next((reply.kernels for reply in reversed(replies) if reply.kernels), None)


def _largest(values: Sequence[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _reasons(reply: MeasureReply, on_cpu: bool, energy: Energy | None) -> dict[str, str]:
    reasons = {} if energy is None else {"energy_j": energy.reason or "not read"}
    if on_cpu:
        untracked = "torch does not track allocations on a CPU"
        same = "on a CPU the caller waits for all of it"
        return reasons | {
            "memory.allocated": untracked,
            "memory.reserved": untracked,
            "device_s": same,
            "enqueue_s": same,
        }
    if not reply.device_s:
        reasons["device_s"] = reply.no_events or "the device has no events that tell time"
    return reasons | {"memory.process": "not read where the device has memory of its own"}
