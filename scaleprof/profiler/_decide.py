"""When to measure more for a check that is undecided, and when to stop: no clock, no device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import GateError
from ..records import Check, CheckLine, Measurement, Report, replace
from ..reports.comparison import Judged
from ._pooled import is_usable, shift, with_added

# the first look is at the report as it is, one follows each round; all share the chance of error
ROUNDS = 2
LOOKS = 1 + ROUNDS
# the side that grows is soon the sharper one: with 30 processes against the six of a baseline, the
# interval is 10 % wider than endless ones would make it
MOST_ADDED = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """How a check came out.

    Attributes:
        check: The check, whose lines say how many processes were added.
        report: The report with them.
        processes: How many were measured; more than count where others disturbed some.
    """

    check: Check
    report: Report
    processes: int


Judge = Callable[[Report], Judged]
Measure = Callable[[Mapping[str, int]], Mapping[str, Measurement]]


def decide(report: Report, judge: Judge, measure: Measure) -> Decided:
    """Judge a report, and measure variants of it again until its lines are decided.

    Args:
        report: The report as it was recorded.
        judge: Judges it, for a check of `LOOKS` looks.
        measure: Measures variants in so many more processes, as far as there is time; returns
            everything that it measured so far, by variant.
    """
    judged, enlarged = judge(report), report
    counted: dict[str, int] = {}
    notes: list[str] = []
    seen: Mapping[str, Measurement] = {}
    for _ in range(ROUNDS):
        wanted = {n: min(more, MOST_ADDED - _of(seen, n)) for n, more in judged.wanted.items()}
        if not any(more > 0 for more in wanted.values()):
            break
        seen = measure(wanted)
        if moved := _moved(report, seen):
            return _ended(judge(report).check, report, seen, {}, [*notes, *moved])
        enlarged, counted = enlarge(report, seen)
        try:
            judged = judge(enlarged)
        except GateError as error:
            # what more processes showed of their scatter is no reason to forget what was known
            notes.append(f"with {_processes(seen)} more processes: {error}")
            break
    return _ended(judged.check, enlarged, seen, counted, [*notes, *_uncounted(seen, counted)])


def _ended(
    check: Check,
    report: Report,
    seen: Mapping[str, Measurement],
    counted: Mapping[str, int],
    notes: list[str],
) -> Decided:
    lines = tuple(_with_added(line, counted) for line in check.lines)
    check = replace(check, lines=lines, notes=(*check.notes, *notes))
    return Decided(check=check, report=report, processes=_processes(seen))


def _with_added(line: CheckLine, counted: Mapping[str, int]) -> CheckLine:
    added = counted.get(line.variant, 0) if line.processes is not None else 0
    return replace(line, added_processes=added) if added else line


def enlarge(report: Report, seen: Mapping[str, Measurement]) -> tuple[Report, dict[str, int]]:
    """Return a report with what was measured now, and how many processes of it count.

    Args:
        report: The report as it was recorded.
        seen: What was measured, by variant.
    """
    counted = {}
    variants = []
    for variant in report.variants:
        if variant.id in seen:
            variant, counted[variant.id] = with_added(variant, seen[variant.id])  # noqa: PLW2901
        variants.append(variant)
    told = [
        f"{more} processes of `{name}` were added later, by scaleprof check --rerun"
        for name, more in counted.items()
        if more
    ]
    return replace(report, variants=tuple(variants), notes=(*report.notes, *told)), counted


def _moved(report: Report, seen: Mapping[str, Measurement]) -> list[str]:
    """Say which variants are not as fast as they were, though their code is the same."""
    notes = []
    for name, added in seen.items():
        recorded = report.variant(name).measurement
        if recorded is None or not (is_usable(recorded) and is_usable(added)):
            continue
        change = shift(recorded, added)
        if change is not None:
            how = "slower" if change > 0 else "faster"
            notes.append(
                f"`{name}` is {abs(change):.1%} {how} than when the report was recorded, though it "
                "is the same code: the machine is not what it was, and what was measured now does "
                "not count; record it anew, and what it is held against"
            )
    return notes


def _uncounted(seen: Mapping[str, Measurement], counted: Mapping[str, int]) -> list[str]:
    """Say what was measured in vain."""
    lost = {name: _of(seen, name) - counted.get(name, 0) for name in seen}
    return [
        f"{count} of {_of(seen, name)} more processes of `{name}` do not count: others disturbed "
        "them"
        for name, count in lost.items()
        if count
    ]


def _processes(seen: Mapping[str, Measurement]) -> int:
    return sum(_of(seen, name) for name in seen)


def _of(seen: Mapping[str, Measurement], name: str) -> int:
    """How many processes measured a variant, those that do not count among them."""
    added = seen.get(name)
    return 0 if added is None else added.discarded_processes + added.counted_processes
