"""A report and a count as tables in the terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..errors import ModelError
from ..models import call_of, render
from ..records import (
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
from ._law import law_lines
from ._text import factors, plain, recipe_name, size

_COLUMNS = ("recipe", "input", "params", "MACs", "activations", "memory", "latency", "", "top-1 %")


def profile_table(report: Report) -> Group:
    """Show a report: the choice, the runners-up, the strategies side by side, and the recipe."""
    parts: list[RenderableType] = [_heading(report), _variants_table(report)]
    if report.selection is not None:
        parts.append(_choice(report, report.selection))
    elif report.selection_reason:
        parts.append(Text(plain(report.selection_reason), style="bold"))
    if report.law is not None:
        parts.append(Text("".join(f"{line}\n" for line in law_lines(report.law))))
    parts.append(_legend(report))
    return Group(*parts)


def _heading(report: Report) -> Text:
    context = report.context
    threads = context.flags.get("threads")
    where = f"{plain(context.device.name)}" + (f", {threads} threads" if threads else "")
    conditions = f"{plain(context.dtype)}, {plain(context.layout)}, {plain(context.mode)}"
    batch = f"batch {context.batch}"
    return Text(f"{plain(report.base.model)} on {where} · {conditions}, {batch}", style="bold")


def _variants_table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for i, name in enumerate(_COLUMNS):
        table.add_column(_accuracy_heading(report) if name == "top-1 %" else name,
                         justify="left" if i == 0 else "right", no_wrap=True)  # fmt: skip
    for title, variants in _sections(report):
        if not variants:
            continue
        table.add_row(Text(title, style="dim"))
        for label, variant in variants:
            table.add_row(*_row(report, variant, label))
        table.add_section()
    return table


def _accuracy_heading(report: Report) -> str:
    metrics = {v.accuracy.metric for v in report.variants if v.accuracy is not None}
    names = {"top1_percent": "top-1 % (90 % band)", "top1_gain": "top-1 gain (90 % band)"}
    return " / ".join(plain(names.get(metric, metric)) for metric in sorted(metrics)) or "accuracy"


_SHOWN_SKIPPED = 4
Labelled = tuple[str, Variant]


def _sections(report: Report) -> Iterable[tuple[str, list[Labelled]]]:
    selection = report.selection
    yield "base", [("", report.variant("base"))]
    if selection is None:
        others = [v for v in report.variants if v.id != "base"]
        yield "variants", [("", v) for v in sorted(others, key=lambda v: v.cost.macs)]
        return
    yield "choice", [("", report.variant(selection.variant))]
    yield "runners-up", [("", report.variant(i)) for i in selection.runners_up if i != "base"]
    held = [
        (f"{row.strategy}{'?' if row.reason else ''}: ", row.variant)
        for row in report.strategies
        if row.variant
    ]
    yield "strategies", [(name, report.variant(identifier)) for name, identifier in held]


def _row(report: Report, variant: Variant, label: str) -> list[Text | str]:
    cost = variant.cost
    chosen = report.selection is not None and report.selection.variant == variant.id
    style = "bold green" if chosen else ""
    name = _labelled(label, variant)
    return [
        Text(f"{'▶' if chosen else ' '} {name}", style=style),
        size(variant),
        format_quantity(cost.params, "count"),
        format_quantity(cost.macs, "count"),
        format_quantity(cost.activations, "count"),
        _memory(variant),
        _latency(variant),
        _relative(report, variant),
        _accuracy(variant),
    ]


def _labelled(label: str, variant: Variant) -> str:
    """Avoid ``dWr: dWr ×2``; name the strategy apart only where rounding led it elsewhere."""
    name = recipe_name(variant)
    strategy = label.removesuffix(": ")
    return name if not label or name.startswith(f"{strategy} ") else f"{plain(strategy)} = {name}"


def _memory(variant: Variant) -> str:
    measured = variant.measurement
    if measured is not None and measured.peak_bytes is not None:
        return format_quantity(measured.peak_bytes, "bytes")
    band = variant.prediction.peak_bytes if variant.prediction else None
    return f"~{format_quantity(band.mean, 'bytes')}" if band else "unknown"


def _latency(variant: Variant) -> str:
    measured = variant.measurement
    if measured is not None and measured.latency_s is not None:
        latency = measured.latency_s
        shown = format_quantity(latency.p50, "time")
        if latency.ci95 is None:
            return shown
        half = (latency.ci95[1] - latency.ci95[0]) / (2 * latency.p50)
        flags = ("!" if measured.noisy else "") + ("*" if measured.contended else "")
        return f"{shown} ±{100 * half:.1f}%{flags}"
    if measured is not None:
        return measured.status.replace("_", " ")
    band = variant.prediction.latency_s if variant.prediction else None
    if band is None:
        return "unknown"
    half = (band.p95 - band.p05) / (2 * band.p50)
    return f"~{format_quantity(band.p50, 'time')} ±{100 * half:.0f}%"


def _relative(report: Report, variant: Variant) -> str:
    base, now = _median(report.variant("base")), _median(variant)
    return f"{now / base:.2f}x" if base and now else ""


def _median(variant: Variant) -> float | None:
    measured = variant.measurement
    return measured.latency_s.p50 if measured is not None and measured.latency_s else None


def _accuracy(variant: Variant) -> str:
    accuracy = variant.accuracy
    if accuracy is None or accuracy.p05 is None or accuracy.p95 is None:
        return "unknown"
    if accuracy.status == "anchor" and accuracy.mean is not None:
        return f"{accuracy.mean:.2f} (known)"
    signed = "+" if accuracy.metric.endswith("_gain") else ""
    band = f"({accuracy.p05:{signed}.1f}–{accuracy.p95:{signed}.1f})"
    return band if accuracy.mean is None else f"{accuracy.mean:{signed}.2f} {band}"


def _choice(report: Report, selection: Selection) -> Text:
    variant = report.variant(selection.variant)
    text = Text()
    text.append(f"choice  {recipe_name(variant)}", style="bold green")
    text.append(f" · {factors(variant.recipe)} · input {size(variant)}\n" if variant.id != "base"
                else " · nothing that meets the budget is predicted to be better\n")  # fmt: skip
    for outcome in selection.budgets:
        dimension = METRICS[outcome.metric].dimension if outcome.metric in METRICS else "count"
        value, limit = (format_quantity(v, dimension) for v in (outcome.value, outcome.limit))
        text.append(f"        {plain(outcome.text)}: {value}, limit {limit}\n")
    text.append(f"        {_verified(selection)}\n", style="bold" if selection.verified else "")
    if selection.reason:
        text.append(f"        {plain(selection.reason)}\n", style="dim")
    text.append("\n")
    shape = "×".join(map(str, variant.cost.input_shape))
    text.append("".join(f"{plain(line)}\n" for line in _call_lines(variant)).rstrip())
    text.append(f"  # input {shape}\n")
    return text


def _call_lines(variant: Variant) -> tuple[str, ...]:
    """Render what `scaleprof build` calls, rather than the text that a report says it is."""
    try:
        imports, call = render(call_of(variant.recipe))
    except ModelError as error:
        return (f"(cannot be shown: {error})",)
    return (*imports, call)


def _verified(selection: Selection) -> str:
    check = selection.verification
    if check is None:
        return "not verified: not measured again"
    tried = f"; tried before: {', '.join(map(plain, check.rejected))}" if check.rejected else ""
    reason = f": {plain(check.reason)}" if check.reason else ""
    state = {True: "verified", False: "missed in the check", None: "not verified"}
    return f"{state[selection.verified]}{reason}{tried}"


def _legend(report: Report) -> Text:
    lines = ["one forward pass of the whole batch; 1 MAC = 2 FLOPs; ~ predicted, not measured"]
    if report.strategies:
        lines.append("strategies: the best variant of each that meets the same budgets")
    if any(row.variant and row.reason for row in report.strategies):
        lines.append("? none of its scaled variants was measured")
    if any(v.measurement and v.measurement.noisy for v in report.variants):
        lines.append("! the median is not yet known to 1 %")
    if any(v.measurement and v.measurement.contended for v in report.variants):
        lines.append("* measured while other processes kept the cores busy")
    for name, axis in report.axes.items():
        if axis.status == "none":
            lines.append(f"note: {plain(name)} is not scaled: {plain(axis.reason or 'unknown')}")
    missing = {axis.reason for axis in report.axes.values() if axis.status == "none"}
    skipped = [t for t in report.skipped if not any(why and t.endswith(why) for why in missing)]
    lines += [f"skipped: {plain(text)}" for text in skipped[:_SHOWN_SKIPPED]]
    if len(skipped) > _SHOWN_SKIPPED:
        lines.append(f"skipped: {len(skipped) - _SHOWN_SKIPPED} more, see the report")
    lines += [f"note: {plain(note)}" for note in report.notes]
    return Text("\n".join(lines), style="dim")


def knobs_table(found: FoundKnobs) -> Group:
    """Show what turns each axis, and why nothing does where nothing does."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, name in enumerate(("axis", "status", "FLOPs ~", "arguments", "how")):
        table.add_column(name, no_wrap=i < 3)
    for name, axis in found.axes.items():
        power = "" if axis.flops_exponent is None else f"factor^{axis.flops_exponent:.2f}"
        base = [f"{plain(key)} = {plain(_values(value))}" for key, value in axis.base.items()]
        why = " · ".join(plain(text) for text in (axis.how, axis.reason) if text)
        table.add_row(plain(name), axis.status, power, "\n".join(base), why)
    return Group(Text(plain(found.model), style="bold"), table)


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
        table.add_row(plain(axis), f"{factor:.3f}", f"{recipe.achieved[axis]:.3f}")
    achieved = recipe.achieved_multiplier
    # factors by hand ask for no compute of their own
    asked = f"{recipe.multiplier:.3f}" if recipe.strategy != "custom" else "–"
    table.add_row("compute", asked, "–" if achieved is None else f"{achieved:.3f}")
    counts = (("parameters", cost.params), ("MACs", cost.macs), ("activations", cost.activations))
    lines = [f"{format_quantity(value, 'count')} {name}" for name, value in counts]
    size = "×".join(map(str, cost.input_shape))
    summary = f"input {size} · {' · '.join(lines)}"
    call = "\n".join(map(plain, (*recipe.imports, recipe.call)))
    return Group(Text(plain(scaled.model), style="bold"), table, Text(summary), Text(call))


def counts_table(counts: Counts) -> Group:
    """Show counts, one line a model, and what could not be counted."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = ("model", "input", "params", "MACs", "FLOPs", "activations", "memory", "counted")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i in (0, 7) else "right", no_wrap=i != 7)
    for cost in counts.models:
        table.add_row(
            plain(cost.model),
            "×".join(map(str, cost.input_shape)),
            *(format_quantity(n, "count") for n in (cost.params, cost.macs, cost.flops)),
            format_quantity(cost.activations, "count"),
            format_quantity(cost.peak_bytes, "bytes"),
            _coverage(cost.coverage),
        )
    failures = [Text(f"{plain(f.model)}: {plain(f.reason)}") for f in counts.failures]
    return Group(table, *map(_comparison, counts.comparisons), *failures)


def _coverage(coverage: Coverage) -> str:
    tests = coverage.taken_as_true
    assumed = f"; {tests} tests on values taken as true" if tests else ""
    if not coverage.unknown:
        return f"complete{assumed}"
    names = ", ".join(f"{plain(name)} ({calls})" for name, calls in coverage.unknown.items())
    return f"partial: {names}; {coverage.unknown_output_share:.1%} of bytes{assumed}"


def modules_table(counts: Counts) -> Group:
    """Show costs by module, where they were asked for."""
    return Group(*(_modules(cost.model, cost.modules or ()) for cost in counts.models))


def _modules(model: str, rows: Sequence[ModuleCost]) -> Table:
    table = Table(title=plain(model), box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(("module", "type", "params", "MACs", "activations", "traffic")):
        table.add_column(name, justify="left" if i < 2 else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            plain(row.path or "(all)"),
            plain(row.type),
            *(format_quantity(n, "count") for n in (row.params, row.macs, row.activations)),
            format_quantity(row.traffic_bytes, "bytes"),
        )
    return table


def _comparison(comparison: Comparison) -> Table:
    title = f"{plain(comparison.counted.model)}: MACs against {comparison.against}"
    table = Table(title=title, box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(
        ("operators", "scaleprof", comparison.against, "ours − theirs", "why")
    ):
        table.add_column(name, justify="left" if i in (0, 4) else "right")
    for row in comparison.operators:
        table.add_row(
            plain(row.operator), _macs(row.ours), _macs(row.theirs),
            f"{(row.ours or 0) - (row.theirs or 0):+,}", row.why or "equal",
        )  # fmt: skip
    return table


def _macs(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
