"""A check as lines of text, for a terminal or the log of a CI job.

Everything in it that comes from a report is made harmless: no control characters, one line, and
nothing that GitHub Actions would take for a command.
"""

from collections.abc import Iterator

from ..records import (
    LEAST_MODULE_SHARE,
    Check,
    CheckLine,
    CountChange,
    GraphChange,
    ModuleTime,
    PartChange,
    TimeChange,
)
from ..selection import METRICS
from ..units import Dimension, format_quantity
from ._text import one_line, signed_time

# more rows than these are in the JSON
SHOWN_PARTS = 6
_SIGNS = {"pass": "ok", "fail": "FAIL", "inconclusive": "?"}
_WORDS = {"weight_bytes": "weights", "macs": "MACs", "activation_bytes": "activation bytes",
          "traffic_bytes": "traffic", "peak_bytes": "memory", "read_bytes": "read",
          "written_bytes": "written"}  # fmt: skip


def check_text(check: Check) -> str:
    """Show a check: its lines, what changed of the models, notes, and the verdict."""
    return "\n".join(_lines(check)) + "\n"


def _lines(check: Check) -> Iterator[str]:
    for line in check.lines:
        yield f"{_SIGNS[line.verdict]:4s}  {line_text(check, line)}"
    for graph in check.graphs:
        yield ""
        yield from graph_lines(check, graph)
    for time in shown_times(check):
        yield ""
        yield from _time_lines(check, time)
    notes = [*(f"conditions differ: {text}" for text in check.differences), *check.notes]
    if notes:
        yield ""
    for note in notes:
        yield f"note: {one_line(note)}"
    yield ""
    yield summary(check)


def summary(check: Check) -> str:
    """Return the verdict with the number of lines of each kind, and what intervals mean."""
    count = {
        verdict: sum(line.verdict == verdict for line in check.lines)
        for verdict in ("fail", "inconclusive", "pass")
    }
    counts = ", ".join(f"{number} {verdict}" for verdict, number in count.items() if number)
    text = f"check: {check.verdict} ({counts})"
    if check.timed_lines == 0:
        return text
    together = f", all {check.timed_lines} at once" if check.timed_lines > 1 else ""
    return f"{text}; intervals hold with {check.confidence:.0%} confidence{together}"


def line_text(check: Check, line: CheckLine) -> str:
    """Return one line: variant, rule, baseline, now, change with interval, verdict, reason."""
    parts = [f"{_name(check, line)}  {one_line(line.rule)}: {values(line)}"]
    if line.verdict != "pass" and line.limit is not None and line.now is not None:
        parts.append(f"limit {shown(line, line.limit)}")
    parts.append(f"{line.verdict}{added(line)}")
    text = ", ".join(parts)
    because = one_line(line.reason or "")
    return f"{text}: {because}" if because else text


def added(line: CheckLine) -> str:
    """Return how much was measured for a verdict, for example `` after 8 more processes``."""
    more = line.added_processes
    return f" after {more} more {'process' if more == 1 else 'processes'}" if more else ""


def _name(check: Check, line: CheckLine | GraphChange | TimeChange) -> str:
    several = len({line.report for line in check.lines}) > 1
    return one_line(f"{line.report} {line.variant}" if several else line.variant)


def values(line: CheckLine) -> str:
    """Return what a quantity was and is, with its change and interval."""
    now = shown(line, line.now)
    if line.now_interval is not None:
        low, high = (shown(line, end) for end in line.now_interval)
        return f"{now} ({low} to {high})"
    if line.kind == "budget" and line.baseline is None:
        return now
    return f"{shown(line, line.baseline)} → {now}{change(line)}"


def change(line: CheckLine) -> str:
    """Return the change with its interval, for example `` , +1.2 % (-0.4 to +2.9 %)``."""
    if line.change is None:
        return ""
    text = f", {100 * line.change:+.2f} %"
    if line.change_interval is None:
        return text
    low, high = line.change_interval
    return f"{text} ({100 * low:+.1f} to {100 * high:+.1f} %)"


def shown(line: CheckLine, value: float | None) -> str:
    """Return a value of a line as people read it; all digits where three would hide a change."""
    text = format_quantity(value, METRICS[line.metric].dimension)
    return text if value is None or not _look_alike(line) else f"{value:,.0f}"


def _look_alike(line: CheckLine) -> bool:
    """Whether exact values of a line differ, and show alike."""
    if line.change_interval is not None or line.now_interval is not None:
        return False
    values = {value for value in (line.baseline, line.now, line.limit) if value is not None}
    dimension = METRICS[line.metric].dimension
    whole = dimension in ("count", "bytes")
    return whole and len({format_quantity(value, dimension) for value in values}) < len(values)


def graph_lines(check: Check, graph: GraphChange) -> Iterator[str]:
    """Show what changed between two counts of a variant."""
    totals = counts_text(graph.counts) or "its totals are the same"
    yield f"graph of {_name(check, graph)} changed: {totals}"
    for title, parts in (("operator", graph.operators), ("module", graph.modules or ())):
        for part in parts[:SHOWN_PARTS]:
            yield f"  {title} {part_name(part)}: {counts_text(part.counts)}"
        if len(parts) > SHOWN_PARTS:
            yield f"  and {len(parts) - SHOWN_PARTS} more {title}s"


def shown_times(check: Check) -> list[TimeChange]:
    """Return the times by module that people look at: where a line did not pass."""
    open_ = {(line.report, line.variant) for line in check.lines if line.verdict != "pass"}
    return [time for time in check.times if (time.report, time.variant) in open_]


def _time_lines(check: Check, time: TimeChange) -> Iterator[str]:
    yield f"time by module of {_name(check, time)}, each in one process, with no interval:"
    yield from (
        f"  {one_line(module.path)}: {time_text(module)}" for module in time.modules[:SHOWN_PARTS]
    )


def time_text(module: ModuleTime) -> str:
    """Return what a module took and takes, for example ``1.20 ms → 4.30 ms (+3.10 ms)``."""
    unlisted = f"under {100 * LEAST_MODULE_SHARE:.0f} %"
    then, now = (
        unlisted if seconds is None else format_quantity(seconds, "time")
        for seconds in (module.baseline_s, module.now_s)
    )
    return f"{then} → {now} ({signed_time(module.change_s)})"


def part_name(part: PartChange) -> str:
    """Return the name of an operator or a module."""
    return one_line(part.name) or "(the model)"


def counts_text(counts: tuple[CountChange, ...]) -> str:
    """Return what changed, for example ``MACs 547 M → 612 M (+11.9 %)``."""
    return ", ".join(map(_count_text, counts))


def _count_text(change: CountChange) -> str:
    dimension: Dimension = "bytes" if change.quantity.endswith("_bytes") else "count"
    then, now = change.baseline, change.now
    word = _WORDS.get(change.quantity, change.quantity)
    if then is None or now is None:
        present = now if then is None else then
        return f"{word} {format_quantity(present, dimension)} {'new' if then is None else 'gone'}"
    before, after = (format_quantity(value, dimension) for value in (then, now))
    if before == after:
        before, after = f"{then:,}", f"{now:,}"
    share = f" ({100 * (now / then - 1):+.1f} %)" if then else ""
    return f"{word} {before} → {after}{share}"
