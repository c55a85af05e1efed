"""A report and a count as tables in the terminal."""

from collections.abc import Sequence
from itertools import compress

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from ..records import (
    BudgetOutcome,
    Comparison,
    Counts,
    Coverage,
    FoundKnobs,
    ModuleCost,
    Report,
    ScaledModel,
    Selection,
    Variant,
)
from ..selection import METRICS
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
from ._law import law_lines
from ._text import code_line, factors, one_line, recipe_name, size

_COLUMNS = ("recipe", "input", "params", "MACs", "activations", "memory", "latency", "", "top-1 %")
# what a narrow terminal goes without, in this order; every format but this has all of them
_DISPENSABLE = ("params", "MACs", "activations", "input", "memory")
_ANY_WIDTH = 1000


def profile_table(report: Report) -> Group:
    """Show a report: the choice, the runners-up, the strategies side by side, and the recipe."""
    parts: list[RenderableType] = [_heading(report), _Variants(report)]
    if report.selection is not None:
        parts.append(_choice(report, report.selection))
    elif report.selection_reason:
        parts.append(Text(one_line(report.selection_reason), style="bold"))
    if report.ladder is not None:
        first, *rungs = ladder_lines(report)
        parts.append(Text("\n".join([f"ladder  {first}", *(f"        {r}" for r in rungs), ""])))
    if report.law is not None:
        parts.append(Text("".join(f"{line}\n" for line in law_lines(report.law))))
    parts.append(_legend(report))
    return Group(*parts)


def _heading(report: Report) -> Text:
    return Text(f"{one_line(report.base.model)} on {conditions_text(report)}", style="bold")


class _Variants:
    """The variants of a report: where the terminal is narrow, without columns, not digits."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw as many columns as there is room for."""
        table, left_out = _variants_table(self._report, ()), []
        for name in _DISPENSABLE:
            if _width(table, console, options) <= options.max_width:
                break
            left_out.append(name)
            table = _variants_table(self._report, left_out)
        yield table
        if left_out:
            yield Text(f"(no room here for {', '.join(left_out)})\n", style="dim")


def _width(table: Table, console: Console, options: ConsoleOptions) -> int:
    anywhere = options.update(max_width=_ANY_WIDTH)
    return console.measure(table, options=anywhere).maximum


def _variants_table(report: Report, left_out: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    shown = [name not in left_out for name in _COLUMNS]
    for i, name in enumerate(compress(_COLUMNS, shown)):
        table.add_column(accuracy_heading(report) if name == "top-1 %" else name,
                         justify="left" if i == 0 else "right", no_wrap=True)  # fmt: skip
    for title, variants in sections(report):
        if not variants:
            continue
        table.add_row(Text(title, style="dim"))
        for label, variant in variants:
            table.add_row(*compress(_row(report, variant, label), shown))
        table.add_section()
    return table


_SHOWN_SKIPPED = 4


def _row(report: Report, variant: Variant, label: str) -> list[Text | str]:
    cost = variant.cost
    chosen = report.selection is not None and report.selection.variant == variant.id
    style = "bold green" if chosen else ""
    name = labelled(label, variant)
    return [
        Text(f"{'▶' if chosen else ' '} {name}", style=style),
        size(variant),
        format_quantity(cost.params, "count"),
        format_quantity(cost.macs, "count"),
        format_quantity(cost.activations, "count"),
        memory_text(variant),
        latency_text(variant),
        relative_text(report, variant),
        accuracy_text(variant),
    ]


def _choice(report: Report, selection: Selection) -> Text:
    variant = report.variant(selection.variant)
    text = Text()
    text.append(f"choice  {recipe_name(variant)}", style="bold green")
    text.append(f" · {factors(variant.recipe)} · input {size(variant)}\n" if variant.id != "base"
                else " · nothing that meets the budget is predicted to be better\n")  # fmt: skip
    for outcome in selection.budgets:
        text.append(f"        {_outcome(outcome, selection)}\n")
    more = more_text(report)
    if more is not None and selection.binding:
        text.append(f"        {one_line(selection.binding)} binds: {more}\n")
    text.append(f"        {verified_text(selection)}\n", style="bold" if selection.verified else "")
    if selection.reason:
        text.append(f"        {one_line(selection.reason)}\n", style="dim")
    text.append("\n")
    shape = "×".join(map(str, variant.cost.input_shape))
    text.append("".join(f"{line}\n" for line in call_lines(variant)).rstrip())
    text.append(f"  # input {shape}\n")
    return text


def _outcome(outcome: BudgetOutcome, selection: Selection) -> str:
    """How the choice stands to a budget; a relative one is held to the base beside it."""
    metric = METRICS.get(outcome.metric)
    dimension = metric.dimension if metric is not None else "count"
    value, limit = (format_quantity(v, dimension) for v in (outcome.value, outcome.limit))
    line = f"{one_line(outcome.text)}: {value}, limit {limit}"
    again = selection.verification is not None and selection.verification.processes > 0
    if outcome.relative and again and metric is not None and metric.is_timed:
        base = format_quantity(outcome.limit / outcome.relative, dimension)
        line += f" ({base} for the base beside it)"
    return line


def _legend(report: Report) -> Text:
    lines = ["one forward pass of the whole batch; 1 MAC = 2 FLOPs; ~ predicted, not measured"]
    if report.strategies:
        lines.append("strategies: the best variant of each that meets the same budgets")
    if any(row.variant and row.reason for row in report.strategies):
        lines.append("? none of its scaled variants was measured")
    measured = [v.measurement for _, rows in sections(report) for _, v in rows if v.measurement]
    if any(m.noisy for m in measured):
        lines.append("! in no process was the median known to 1 %; ± is of all together")
    if any(m.contended for m in measured):
        lines.append("* measured while other processes kept the cores busy")
    lines += _kernel_lines(report)
    for name, axis in report.axes.items():
        if axis.status == "none":
            lines.append(
                f"note: {one_line(name)} is not scaled: {one_line(axis.reason or 'unknown')}"
            )
    missing = {axis.reason for axis in report.axes.values() if axis.status == "none"}
    skipped = [t for t in report.skipped if not any(why and t.endswith(why) for why in missing)]
    lines += [f"skipped: {one_line(text)}" for text in skipped[:_SHOWN_SKIPPED]]
    if len(skipped) > _SHOWN_SKIPPED:
        lines.append(f"skipped: {len(skipped) - _SHOWN_SKIPPED} more, see the report")
    lines += [f"note: {one_line(note)}" for note in report.notes]
    lines += [effort_line(report.effort)] if report.effort is not None else []
    lines += _time_spent(report)
    return Text("\n".join(lines), style="dim")


def _time_spent(report: Report) -> list[str]:
    """How much of the time went into models, and what it cost to look after them."""
    elapsed, model = report.context.elapsed_s, report.context.model_s
    if not model:
        return []
    overhead = max(elapsed / model - 1, 0.0)
    return [f"took {elapsed:.0f} s, {model:.0f} s of it in models ({overhead:.0%} on top)"]


def _kernel_lines(report: Report) -> list[str]:
    """Say what ran large-kernel operators in the base and in the choice, if there are any."""
    chosen = report.selection.variant if report.selection else "base"
    lines = []
    for identifier in dict.fromkeys(("base", chosen)):
        measured = report.variant(identifier).measurement
        used = measured.kernels if measured is not None else None
        if used is None or not used.calls:
            continue
        which = ", ".join(f"{calls} {one_line(name)}" for name, calls in used.calls.items())
        share = f"{used.share:.0%} of its time" if used.share is not None else one_line(
            f"time unknown: {used.reason}"
        )  # fmt: skip
        lines.append(
            f"kernels of {'base' if identifier == 'base' else 'choice'}: {which} ({share})"
        )
    return lines


def knobs_table(found: FoundKnobs) -> Group:
    """Show what turns each axis, and why nothing does where nothing does."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, name in enumerate(("axis", "status", "FLOPs ~", "arguments", "how")):
        table.add_column(name, no_wrap=i < 3)
    for name, axis in found.axes.items():
        power = "" if axis.flops_exponent is None else f"factor^{axis.flops_exponent:.2f}"
        base = [f"{one_line(key)} = {one_line(_values(value))}" for key, value in axis.base.items()]
        why = " · ".join(one_line(text) for text in (axis.how, axis.reason) if text)
        table.add_row(one_line(name), axis.status, power, "\n".join(base), why)
    return Group(Text(one_line(found.model), style="bold"), table)


_MAX_VALUES = 60


def _values(value: object) -> str:
    """Base values, cut where they would fill the screen; the JSON has all."""
    text = str(value)
    return text if len(text) <= _MAX_VALUES else f"{text[:_MAX_VALUES]} …"


def scaled_table(scaled: ScaledModel) -> Group:
    """Show one variant: factors asked for and achieved, what it costs, and the call."""
    recipe, cost = scaled.recipe, scaled.cost
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, name in enumerate(("", "asked for", "achieved")):
        table.add_column(name, justify="right" if i else "left")
    for axis, factor in recipe.nominal.items():
        table.add_row(one_line(axis), f"{factor:.3f}", f"{recipe.achieved[axis]:.3f}")
    achieved = recipe.achieved_multiplier
    # factors by hand ask for no compute of their own
    asked = f"{recipe.multiplier:.3f}" if recipe.strategy != "custom" else "–"
    table.add_row("compute", asked, "–" if achieved is None else f"{achieved:.3f}")
    counts = (("parameters", cost.params), ("MACs", cost.macs), ("activations", cost.activations))
    lines = [f"{format_quantity(value, 'count')} {name}" for name, value in counts]
    size = "×".join(map(str, cost.input_shape))
    summary = f"input {size} · {' · '.join(lines)}"
    call = "\n".join(map(code_line, (*recipe.imports, recipe.call)))
    return Group(Text(one_line(scaled.model), style="bold"), table, Text(summary), Text(call))


def counts_table(counts: Counts) -> Group:
    """Show counts, one line a model, and what could not be counted."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = ("model", "input", "params", "MACs", "FLOPs", "activations", "memory", "counted")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i in (0, 7) else "right", no_wrap=i != 7)
    for cost in counts.models:
        table.add_row(
            one_line(cost.model),
            "×".join(map(str, cost.input_shape)),
            *(format_quantity(n, "count") for n in (cost.params, cost.macs, cost.flops)),
            format_quantity(cost.activations, "count"),
            format_quantity(cost.peak_bytes, "bytes"),
            _coverage(cost.coverage),
        )
    failures = [Text(f"{one_line(f.model)}: {one_line(f.reason)}") for f in counts.failures]
    return Group(table, *map(_comparison, counts.comparisons), *failures)


def _coverage(coverage: Coverage) -> str:
    tests = coverage.taken_as_true
    assumed = f"; {tests} tests on values taken as true" if tests else ""
    if not coverage.unknown:
        return f"complete{assumed}"
    names = ", ".join(f"{one_line(name)} ({calls})" for name, calls in coverage.unknown.items())
    return f"partial: {names}; {coverage.unknown_output_share:.1%} of bytes{assumed}"


def modules_table(counts: Counts) -> Group:
    """Show costs by module, where they were asked for."""
    return Group(*(_modules(cost.model, cost.modules or ()) for cost in counts.models))


def _modules(model: str, rows: Sequence[ModuleCost]) -> Table:
    table = Table(title=one_line(model), box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(("module", "type", "params", "MACs", "activations", "traffic")):
        table.add_column(name, justify="left" if i < 2 else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            one_line(row.path or "(all)"),
            one_line(row.type),
            *(format_quantity(n, "count") for n in (row.params, row.macs, row.activations)),
            format_quantity(row.traffic_bytes, "bytes"),
        )
    return table


def _comparison(comparison: Comparison) -> Table:
    title = f"{one_line(comparison.counted.model)}: MACs against {comparison.against}"
    table = Table(title=title, box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(
        ("operators", "scaleprof", comparison.against, "ours − theirs", "why")
    ):
        table.add_column(name, justify="left" if i in (0, 4) else "right")
    for row in comparison.operators:
        table.add_row(
            one_line(row.operator), _macs(row.ours), _macs(row.theirs),
            f"{(row.ours or 0) - (row.theirs or 0):+,}", row.why or "equal",
        )  # fmt: skip
    return table


def _macs(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
