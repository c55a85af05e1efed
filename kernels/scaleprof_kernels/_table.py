"""Timings and verdicts as plain text."""

import math
from collections.abc import Iterable, Sequence

from ._aggregation_problem import Aggregation
from ._problem import Problem
from .bench import Timing, chosen
from .bench_aggregation import COPY, OURS, PARTS, AggregationTiming
from .check import Verdict

_CONTENDERS = ("torch NCHW", "torch NHWC", "torch.compile", "torch.compile max-autotune")
_HEAD = (
    "operation", "images", "taps", "dtype", "copy µs", "ours µs", "by", "spread",
    "of floor", "NCHW µs", "NHWC µs", "compile µs", "autotune µs", "speed-up",
)  # fmt: skip


def timings_table(timings: Sequence[Timing]) -> str:
    """Show one line per operation and problem.

    The floor is the measured copy: the operator moves as many bytes at least. `of floor` is what
    share of our time that is, and `speed-up` the better of torch's uncompiled times over ours.
    """
    keys = dict.fromkeys((t.operation, t.problem) for t in timings)
    rows = [_row([t for t in timings if (t.operation, t.problem) == key]) for key in keys]
    return _aligned([_HEAD, *rows])


def _row(timings: list[Timing]) -> tuple[str, ...]:
    operation, problem = timings[0].operation, timings[0].problem
    by_name = {t.contender: t.median_s for t in timings}
    copy, ours = by_name.get("copy"), chosen(operation, problem, timings)
    ours_s = ours.median_s if ours else None
    eager = [s for name in _CONTENDERS[:2] if (s := by_name.get(name)) is not None]
    return (
        operation,
        _images(problem),
        _taps(problem),
        "TF32" if problem.tf32 else str(problem.dtype).removeprefix("torch."),
        _microseconds(copy),
        _microseconds(ours_s),
        ours.contender if ours else "",
        f"{ours.spread:.0%}" if ours and ours.spread is not None else "",
        f"{copy / ours_s:.0%}" if copy and ours_s else "",
        *(_microseconds(by_name.get(name)) for name in _CONTENDERS),
        f"{min(eager) / ours_s:.1f}×" if eager and ours_s else "",
    )


_AGGREGATION_HEAD = (
    "operation", "images", "groups", "taps", "dtype", "floor µs", "ours µs", "of floor",
    "taps µs", "unfold µs", "compile µs", "parts µs", "speed-up",
)  # fmt: skip


def aggregation_table(timings: Sequence[AggregationTiming]) -> str:
    """Show one line per operation and problem of small-kernel aggregation.

    The floor is a measured copy of as many bytes as must be moved. `of floor` is what share of our
    time that is, and `speed-up` the best of the other times over ours. `parts` are those of the
    tail of an LS convolution, one after the other.
    """
    keys = dict.fromkeys((t.operation, t.problem) for t in timings)
    rows = [
        _aggregation_row([t for t in timings if (t.operation, t.problem) == key]) for key in keys
    ]
    return _aligned([_AGGREGATION_HEAD, *rows])


def _aggregation_row(timings: list[AggregationTiming]) -> tuple[str, ...]:
    operation, problem = timings[0].operation, timings[0].problem
    by_name = {t.contender: t.median_s for t in timings}
    copy, ours = by_name.get(COPY), by_name.get(OURS)
    torchs = [by_name.get(name) for name in ("taps", "unfold", "torch.compile", PARTS)]
    known = [seconds for seconds in torchs if seconds is not None]
    side = f"{problem.kernel_size}×{problem.kernel_size}"
    return (
        operation,
        _images(problem),
        str(problem.groups),
        f"{side} clamped" if problem.clamped else side,
        str(problem.dtype).removeprefix("torch."),
        _microseconds(copy),
        _microseconds(ours),
        f"{copy / ours:.0%}" if copy and ours else "",
        *map(_microseconds, torchs),
        f"{min(known) / ours:.1f}×" if known and ours else "",
    )


def _images(problem: Problem | Aggregation) -> str:
    order = " NHWC" if problem.channels_last else ""
    return f"{problem.batch}×{problem.channels}×{problem.size[0]}×{problem.size[1]}{order}"


def _microseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e6 * seconds:.1f}"


def failures(timings: Iterable[Timing | AggregationTiming]) -> list[str]:
    """Return a line for each contender that did not run."""
    return [
        f"{t.contender} did not run {t.operation} of {_images(t.problem)}, "
        f"{_taps(t.problem)} taps: {t.failure}"
        for t in timings
        if t.failure
    ]


def _taps(problem: Problem | Aggregation) -> str:
    if isinstance(problem, Aggregation):
        return f"{problem.kernel_size}×{problem.kernel_size}"
    return "×".join(map(str, problem.kernel))


def verdicts_table(verdicts: Sequence[Verdict]) -> str:
    """Show the worst case of each kernel and operation, and every case that failed."""
    keys = dict.fromkeys((v.variant, v.operation) for v in verdicts)
    rows = [("kernel", "operation", "problems", "failed", "worst error / bound", "at")]
    for key in keys:
        mine = [v for v in verdicts if (v.variant, v.operation) == key]
        worst = max(mine, key=_severity)
        failed = str(sum(not v.passed for v in mine))
        share = f"{worst.error:.2f} / {worst.bound:.0f}"
        rows.append((*key, str(len(mine)), failed, share, worst.case))
    return _aligned([*rows, *_failed(verdicts)])


def _severity(verdict: Verdict) -> float:
    # a NaN is the worst there is
    return math.inf if math.isnan(verdict.error) else verdict.error / verdict.bound


def _failed(verdicts: Iterable[Verdict]) -> list[tuple[str, ...]]:
    return [
        (v.variant, v.operation, "failed", "", f"{v.error:.2f} / {v.bound:.0f}", v.case)
        for v in verdicts
        if not v.passed
    ]


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
