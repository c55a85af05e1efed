"""What reports say of a variant in a few words: the cells of every table."""

from collections.abc import Iterable

from ..errors import ModelError
from ..models import call_of, render
from ..records import Report, Selection, Variant
from ..units import format_quantity
from ._text import code_line, one_line, recipe_name

Labelled = tuple[str, Variant]


def sections(report: Report) -> Iterable[tuple[str, list[Labelled]]]:
    """List variants under titles: base, choice, runners-up, strategies, ladder; or all by MACs."""
    selection = report.selection
    yield "base", [("", report.variant("base"))]
    if selection is None:
        others = [v for v in report.variants if v.id != "base"]
        if report.ladder is None:
            yield "variants", [("", v) for v in sorted(others, key=lambda v: v.cost.macs)]
        yield from _ladder_section(report)
        return
    yield "choice", [("", report.variant(selection.variant))]
    yield "runners-up", [("", report.variant(i)) for i in selection.runners_up if i != "base"]
    held = [
        (f"{row.strategy}{'?' if row.reason else ''}: ", row.variant)
        for row in report.strategies
        if row.variant
    ]
    yield "strategies", [(name, report.variant(identifier)) for name, identifier in held]
    yield from _ladder_section(report)


def _ladder_section(report: Report) -> Iterable[tuple[str, list[Labelled]]]:
    rungs = report.ladder.rungs if report.ladder is not None else ()
    held = [(f"{rung.text}: ", rung.variant) for rung in rungs if rung.variant is not None]
    if held:
        yield "ladder", [(label, report.variant(identifier)) for label, identifier in held]


def labelled(label: str, variant: Variant) -> str:
    """Avoid ``dWr: dWr ×2``; name the strategy apart only where rounding led it elsewhere."""
    name = recipe_name(variant)
    strategy = label.removesuffix(": ")
    return (
        name if not label or name.startswith(f"{strategy} ") else f"{one_line(strategy)} = {name}"
    )


def accuracy_heading(report: Report) -> str:
    """Return the heading of a column of accuracies: the metric, or all metrics there are."""
    metrics = {v.accuracy.metric for v in report.variants if v.accuracy is not None}
    names = {"top1_percent": "top-1 % (90 % band)", "top1_gain": "top-1 gain (90 % band)"}
    return (
        " / ".join(one_line(names.get(metric, metric)) for metric in sorted(metrics)) or "accuracy"
    )


def memory_text(variant: Variant) -> str:
    """Return peak bytes: measured, or predicted with a ``~``."""
    measured = variant.measurement
    if measured is not None and measured.peak_bytes is not None:
        return format_quantity(measured.peak_bytes, "bytes")
    band = variant.prediction.peak_bytes if variant.prediction else None
    return f"~{format_quantity(band.mean, 'bytes')}" if band else "unknown"


def latency_text(variant: Variant) -> str:
    """Return the median with half its interval: measured, or predicted with a ``~``."""
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


def relative_text(report: Report, variant: Variant) -> str:
    """Return the measured median over the base's, or nothing."""
    base, now = median(report.variant("base")), median(variant)
    return f"{now / base:.2f}x" if base and now else ""


def median(variant: Variant) -> float | None:
    """Return the measured median in seconds; None if there is none."""
    measured = variant.measurement
    return measured.latency_s.p50 if measured is not None and measured.latency_s else None


def accuracy_text(variant: Variant) -> str:
    """Return accuracy with its band."""
    accuracy = variant.accuracy
    if accuracy is None or accuracy.p05 is None or accuracy.p95 is None:
        return "unknown"
    if accuracy.status == "anchor" and accuracy.mean is not None:
        return f"{accuracy.mean:.2f} (known)"
    signed = "+" if accuracy.metric.endswith("_gain") else ""
    band = f"({accuracy.p05:{signed}.1f}–{accuracy.p95:{signed}.1f})"
    return band if accuracy.mean is None else f"{accuracy.mean:{signed}.2f} {band}"


def call_lines(variant: Variant) -> tuple[str, ...]:
    """Render what `scaleprof build` calls, rather than the text that a report says it is."""
    try:
        imports, call = render(call_of(variant.recipe))
    except ModelError as error:
        return (one_line(f"(cannot be shown: {error})"),)
    return tuple(map(code_line, (*imports, call)))


def verified_text(selection: Selection) -> str:
    """Return whether the choice held when it was measured again."""
    check = selection.verification
    if check is None:
        return "not verified: not measured again"
    tried = f"; tried before: {', '.join(map(one_line, check.rejected))}" if check.rejected else ""
    reason = f": {one_line(check.reason)}" if check.reason else ""
    state = {True: "verified", False: "missed in the check", None: "not verified"}
    return f"{state[selection.verified]}{reason}{tried}"


def conditions_text(report: Report) -> str:
    """Return where and how a report was recorded, in one line."""
    context = report.context
    threads = context.flags.get("threads")
    where = f"{one_line(context.device.name)}" + (
        f", {one_line(str(threads))} threads" if threads else ""
    )
    conditions = f"{one_line(context.dtype)}, {one_line(context.layout)}, {one_line(context.mode)}"
    if context.step != "inference":
        conditions += f", a step of {one_line(context.step)}"
    return f"{where} · {conditions}, batch {context.batch}"
