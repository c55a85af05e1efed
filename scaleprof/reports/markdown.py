"""Checks and reports as Markdown, for a pull request or the summary of a CI job.

Text from a report is escaped: it cannot open a table cell, a link, an image or a tag, and it
mentions nobody.
"""

import re
from collections.abc import Iterator, Sequence

from ..records import Check, CheckLine, GraphChange, Report, TimeChange, Variant
from ..units import format_quantity
from ._cells import (
    accuracy_heading,
    accuracy_text,
    call_lines,
    conditions_text,
    labelled,
    latency_text,
    memory_text,
    relative_text,
    sections,
    verified_text,
)
from ._choices import ladder_lines, more_text
from ._effort import effort_line
from ._text import one_line, size
from .verdicts import (
    SHOWN_PARTS,
    added,
    change,
    counts_text,
    part_name,
    shown,
    shown_times,
    summary,
    time_text,
)

_SPECIAL = re.compile(r"([\\`*_\[\]#|!~{}])")
_MARKS = {"pass": "pass", "fail": "**fail**", "inconclusive": "inconclusive"}


def escape(text: str) -> str:
    """Return text from outside as one line that Markdown shows as it is."""
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # an empty comment keeps a name from being mentioned
    return _SPECIAL.sub(r"\\\1", text).replace("@", "@<!-- -->")


def check_markdown(check: Check) -> str:
    """Show a check as a table, with what changed of the models below it."""
    return "\n".join(_lines(check)) + "\n"


def _lines(check: Check) -> Iterator[str]:
    yield f"### scaleprof {escape(summary(check))}"
    yield ""
    yield "| | report | variant | rule | baseline | now | change | limit | |"
    yield "|---|---|---|---|--:|--:|--:|--:|---|"
    for line in check.lines:
        yield f"| {' | '.join(_cells(line))} |"
    for graph in check.graphs:
        yield ""
        yield from _graph(graph)
    for time in shown_times(check):
        yield ""
        yield from _time(time)
    notes = [*(f"conditions differ: {text}" for text in check.differences), *check.notes]
    if notes:
        yield ""
    for note in notes:
        yield f"- {escape(note)}"


def _cells(line: CheckLine) -> tuple[str, ...]:
    now = shown(line, line.now)
    if line.now_interval is not None:
        now = f"{now} ({' to '.join(shown(line, end) for end in line.now_interval)})"
    return (
        f"{_MARKS[line.verdict]}{added(line)}",
        escape(line.report),
        escape(line.variant),
        escape(line.rule),
        "" if line.baseline is None else escape(shown(line, line.baseline)),
        escape(now),
        escape(change(line).removeprefix(", ")),
        "unknown" if line.limit is None else escape(f"{line.bound} {shown(line, line.limit)}"),
        escape(line.reason or ""),
    )


def _graph(graph: GraphChange) -> Iterator[str]:
    totals = counts_text(graph.counts) or "its totals are the same"
    name = f"{escape(graph.variant)} in {escape(graph.report)}"
    yield f"The graph of {name} changed: {escape(totals)}"
    yield ""
    for title, parts in (("operator", graph.operators), ("module", graph.modules or ())):
        for part in parts[:SHOWN_PARTS]:
            yield f"- {title} {escape(part_name(part))}: {escape(counts_text(part.counts))}"
        if len(parts) > SHOWN_PARTS:
            yield f"- and {len(parts) - SHOWN_PARTS} more {title}s"


def _time(time: TimeChange) -> Iterator[str]:
    name = f"{escape(time.variant)} in {escape(time.report)}"
    yield f"The time of {name} by module, each in one process, with no interval:"
    yield ""
    for module in time.modules[:SHOWN_PARTS]:
        yield f"- {escape(module.path)}: {escape(time_text(module))}"


def report_markdown(reports: Sequence[Report]) -> str:
    """Show reports as tables: the base, the choice, the runners-up and the strategies."""
    return "\n".join(line for report in reports for line in _report(report))


def _report(report: Report) -> Iterator[str]:
    yield f"### scaleprof {escape(report.base.model)}"
    yield ""
    yield escape(conditions_text(report))
    yield ""
    yield (
        "| | recipe | input | params | MACs | activations | memory | latency | over base | "
        f"{escape(accuracy_heading(report))} |"
    )
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for title, variants in sections(report):
        for label, variant in variants:
            yield f"| {' | '.join((title, *_variant_cells(report, variant, label)))} |"
    yield ""
    yield from _choice(report)
    yield from _ladder(report)
    if report.effort is not None:
        yield f"{escape(effort_line(report.effort))}\n"


def _ladder(report: Report) -> Iterator[str]:
    if report.ladder is None:
        return
    first, *rungs = ladder_lines(report)
    yield f"The ladder ({escape(first)}):"
    yield ""
    yield from (f"- {escape(rung)}" for rung in rungs)
    yield ""


def _variant_cells(report: Report, variant: Variant, label: str) -> Iterator[str]:
    cost = variant.cost
    yield escape(labelled(label, variant))
    yield size(variant)
    for count in (cost.params, cost.macs, cost.activations):
        yield format_quantity(count, "count")
    yield escape(memory_text(variant))
    yield escape(latency_text(variant))
    yield escape(relative_text(report, variant))
    yield escape(accuracy_text(variant))


def _choice(report: Report) -> Iterator[str]:
    selection = report.selection
    if selection is None:
        yield f"{escape(report.selection_reason or 'nothing was chosen')}\n"
        return
    budgets = " and ".join(f"`{_code(budget.text)}`" for budget in selection.budgets)
    yield f"The choice under {budgets} ({escape(verified_text(selection))}):"
    yield ""
    yield from (f"    {line}" for line in call_lines(report.variant(selection.variant)))
    yield ""
    more = more_text(report)
    if more is not None and selection.binding:
        yield f"{escape(selection.binding)} binds: {escape(more)}."
        yield ""


def _code(text: str) -> str:
    """Return text as it can stand in a span of code inside a paragraph."""
    return one_line(text).replace("`", "'")
