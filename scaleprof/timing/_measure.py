"""The measuring loop: first call, warm-up until stable, samples until the median is known.

It sees time only through a `Timer`, so that tests replay latencies and read no clock.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, runtime_checkable

from ..records import Record
from ._statistics import midmean, relative_half_width

# of the time in the model, what a yardstick beside it takes at most
_YARDSTICK_SHARE = 0.1
# and what is timed of it in one go
_MOST_IN_A_ROW = 4


@runtime_checkable
class Timer(Protocol):
    """Something that can run the model and say how long that took."""

    def time(self, calls: int) -> float:
        """Run so many forward passes back to back and return their total time in seconds."""
        ...

    def elapsed(self) -> float:
        """Return the seconds since measuring began."""
        ...


class StoppingRule(Record, frozen=True, kw_only=True):
    """When a worker process has sampled enough.

    Attributes:
        half_width: Stop once the 95 % interval of the median is within this share of it.
        min_samples: But not before this many.
        min_seconds: Nor before this time of sampling where a yardstick is timed beside it, which
            needs time too.
        max_seconds: And at the latest after this time of sampling.
        tail_samples: Then go on to this many samples, which a percentile in the tail needs.
        tail_seconds: But no longer than this in all.
        warmup_window: Calls in a window of the warm-up.
        warmup_change: The warm-up ends when the medians of two windows differ by less than this.
        warmup_max_seconds: Or after this time.
        min_block_seconds: Calls are timed in blocks at least this long, so that reading the clock
            (some 100 ns) stays below 0.1 % of what is timed.
    """

    half_width: float = 0.01
    min_samples: int = 11
    min_seconds: float = 0.0
    max_seconds: float = 2.0
    tail_samples: int = 0
    tail_seconds: float = 0.0
    warmup_window: int = 5
    warmup_change: float = 0.01
    warmup_max_seconds: float = 1.0
    min_block_seconds: float = 1e-4


class Samples(Record, frozen=True, kw_only=True):
    """What one worker process measured.

    Attributes:
        first_call_s: The very first call: lazy initialisation, compilation.
        warmup_calls: Calls after it that were not sampled.
        samples: Latency of one forward pass, in seconds, in order.
        noisy: Sampling ended before the median was known to `StoppingRule.half_width`.
        timeout: It ended because of `StoppingRule.max_seconds`.
        calls_per_sample: Calls that each sample is the mean of.
        yardstick_s: Times of a fixed piece of work between the samples, in seconds; empty where
            there was none.
        beside_s: What all of its calls took, those that are not timed among them.
    """

    first_call_s: float
    warmup_calls: int
    samples: tuple[float, ...]
    noisy: bool
    timeout: bool
    calls_per_sample: int = 1
    yardstick_s: tuple[float, ...] = ()
    beside_s: float = 0.0

    @property
    def sampled_calls(self) -> int:
        """Calls that were sampled."""
        return self.calls_per_sample * len(self.samples)

    @property
    def share_of_model(self) -> float:
        """Part of the sampling that the model ran, and not the yardstick."""
        model = self.calls_per_sample * math.fsum(self.samples)
        return model / (model + self.beside_s)

    @property
    def yardstick(self) -> float | None:
        """Mean of the middle half of its times, in seconds; None if there was none."""
        return midmean(self.yardstick_s) if self.yardstick_s else None


def measure(
    timer: Timer,
    rule: StoppingRule | None = None,
    *,
    on_sampling: Callable[[], None] = lambda: None,
    yardstick: Callable[[], Timer] | None = None,
) -> Samples:
    """Measure the latency of what a timer runs.

    Args:
        timer: Runs it and reads the clock.
        rule: When to stop; the default suits one variant of a sweep.
        on_sampling: Called once, between the warm-up and the first sample.
        yardstick: Makes what runs a fixed piece of work, which is timed between the samples.

    Returns:
        Raw samples. A slow model that meets the time limit early still gives three of them.

    Examples:
        >>> timer = ScriptedTimer([9.0] + [1.0] * 40)
        >>> got = measure(timer, StoppingRule(max_seconds=100.0, warmup_max_seconds=100.0))
        >>> got.first_call_s, got.warmup_calls, len(got.samples)
        (9.0, 10, 11)
    """
    rule = rule or StoppingRule()
    first = timer.time(1)
    warm, calls = _warm_up(timer, rule)
    per_sample = max(1, round(rule.min_block_seconds / warm)) if warm > 0 else 1
    samples: list[float] = []
    beside = _Beside(yardstick() if yardstick is not None else None)
    least_s = rule.min_seconds if yardstick is not None else 0.0
    on_sampling()
    began = timer.elapsed()
    known = timeout = tail = False
    while not ((known or timeout) and tail):
        taken = timer.time(per_sample)
        samples.append(taken / per_sample)
        beside.after(taken)
        seconds = timer.elapsed() - began
        enough = len(samples) >= rule.min_samples and seconds >= least_s
        known = enough and relative_half_width(samples) <= rule.half_width
        timeout = len(samples) >= 3 and seconds > rule.max_seconds
        tail = len(samples) >= rule.tail_samples or seconds > rule.tail_seconds
    return Samples(
        first_call_s=first,
        warmup_calls=calls,
        samples=tuple(samples),
        noisy=not known,
        timeout=timeout and not known,
        calls_per_sample=per_sample,
        yardstick_s=tuple(beside.seconds),
        beside_s=beside.total_s,
    )


class _Beside:
    """Times a yardstick after calls of a model, for a share of their time.

    What a model leaves in the caches must not show in the yardstick, so that its first call of a
    row is not timed.
    """

    def __init__(self, yardstick: Timer | None) -> None:
        self._yardstick = yardstick
        self.seconds: list[float] = []
        self.total_s = 0.0
        self._model_s = 0.0

    def after(self, model_s: float) -> None:
        """Time it as often as is due after so many more seconds in the model."""
        self._model_s += model_s
        if self._yardstick is None:
            return
        last = self.seconds[-1] if self.seconds else 0.0
        left = _YARDSTICK_SHARE * self._model_s - self.total_s - 2 * last
        if left < 0:
            return
        self.total_s += self._yardstick.time(1)
        for _ in range(_MOST_IN_A_ROW):
            self.seconds.append(self._yardstick.time(1))
            self.total_s += self.seconds[-1]
            left -= self.seconds[-1]
            if left < 0:
                return


def _warm_up(timer: Timer, rule: StoppingRule) -> tuple[float, int]:
    """Run until two windows agree; return the last median and the calls that took."""
    began = timer.elapsed()
    before: float | None = None
    calls = 0
    while True:
        window = []
        for _ in range(rule.warmup_window):
            window.append(timer.time(1))
            calls += 1
            if timer.elapsed() - began > rule.warmup_max_seconds:
                return statistics.median(window), calls
        now = statistics.median(window)
        if before is not None and abs(now - before) <= rule.warmup_change * before:
            return now, calls
        before = now


class ScriptedTimer:
    """A timer that replays given latencies, for tests; its clock is their sum.

    Args:
        latencies: Seconds per call, in order. Running past the last one is an error.
    """

    def __init__(self, latencies: Iterable[float]) -> None:
        self._latencies: Iterator[float] = iter(latencies)
        self._elapsed = 0.0

    def time(self, calls: int) -> float:
        """Take the next latencies."""
        total = sum(next(self._latencies) for _ in range(calls))
        self._elapsed += total
        return total

    def elapsed(self) -> float:
        """Return the sum of all latencies taken."""
        return self._elapsed
