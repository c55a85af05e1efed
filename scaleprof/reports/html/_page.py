"""The page: one file with its style, its script, Plotly's, and the figures as data.

Text from a report is escaped where it enters the page, and cannot run even if it were not: the
policy of the page admits two scripts by their hash, and no address at all.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from typing import Any

import msgspec

from ...errors import MissingExtraError
from ...records import LEAST_MODULE_SHARE, Report, Variant
from ...units import format_quantity
from .._cells import (
    accuracy_heading,
    accuracy_text,
    conditions_text,
    labelled,
    latency_text,
    median,
    memory_text,
    relative_text,
    sections,
    verified_text,
)
from .._choices import ladder_lines, more_text
from .._front import picture
from .._text import factors, one_line, recipe_name, size
from . import _figures as draw

Json = dict[str, Any]
_NOISE_SHOWN = 4


def report_html(reports: Sequence[Report]) -> str:
    """Show reports as one HTML page that loads nothing.

    Args:
        reports: One report, or several to see side by side.

    Raises:
        MissingExtraError: If plotly is not installed.
    """
    page = _Page()
    body = "\n".join(_body(page, reports))
    content = {"figures": page.figures, "calls": [_calls(report) for report in reports]}
    scripts = (_plotly(), _asset("page.js"))
    return _DOCUMENT.format(
        policy=_policy(scripts),
        title=_text(" · ".join(dict.fromkeys(report.base.model for report in reports))),
        style=_asset("page.css"),
        body=body,
        content=_as_data(content),
        library=scripts[0],
        script=scripts[1],
    )


_DOCUMENT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>scaleprof: {title}</title>
<style>{style}</style>
</head>
<body>
{body}
<script type="application/json" id="content">{content}</script>
<script>{library}</script>
<script>{script}</script>
</body>
</html>
"""


class _Page:
    """Figures of a page by number, in the order in which they stand in it."""

    def __init__(self) -> None:
        self.figures: list[Json] = []

    def figure(self, report: int, figure: Json | None, name: str, caption: str) -> str:
        """Return the place of a figure in the page; nothing if there is nothing to draw."""
        if figure is None:
            return ""
        self.figures.append(figure)
        number = len(self.figures) - 1
        return (
            f'<figure><div class="plot" id="{name}-{report}" role="img" aria-label="{name}" '
            f'data-report="{report}" data-figure="{number}"></div><output aria-live="polite">'
            f"</output><figcaption>{caption}</figcaption></figure>"
        )


def _body(page: _Page, reports: Sequence[Report]) -> Iterator[str]:
    if len(reports) > 1:
        yield "<h1>Reports side by side</h1>"
        figure = draw.fronts_figure(reports)
        names = (f"{i}: {_text(_name(report))}" for i, report in enumerate(reports, start=1))
        caption = "The fronts of all reports, with the 90 % band of accuracy."
        yield page.figure(0, figure, "fronts", f"{caption} {'; '.join(names)}.")
        yield _shared(reports)
    several = " several" if len(reports) > 1 else ""
    yield f'<div class="reports{several}">'
    for number, report in enumerate(reports):
        yield f"<section>{''.join(_section(page, number, report))}</section>"
    yield "</div>"


def _name(report: Report) -> str:
    context = report.context
    commit = f", commit {context.git_commit[:10]}" if context.git_commit else ""
    return f"{report.base.model} on {context.device.name}, {context.started_at}{commit}"


def _section(page: _Page, number: int, report: Report) -> Iterator[str]:
    chosen = _chosen(report)
    yield f'<h1 id="report-{number}">{_text(report.base.model)}</h1>'
    yield f'<p class="muted">{_text(conditions_text(report))}</p>'
    yield from _choice(number, report)
    yield _ladder(report)
    yield "<h3>Accuracy against latency</h3>"
    yield page.figure(number, draw.front_figure(report), "front", _front_caption(report))
    yield _variants(number, report)
    yield _titled("Latency against MACs and against activations", _scaling(page, number, report))
    cost = page.figure(number, draw.stages_figure(chosen), "stages", _stages_caption(chosen))
    yield _titled(f"Cost by stage of {_text(recipe_name(chosen))}", cost)
    roofline = draw.roofline_figure(report, chosen)
    drawn = page.figure(number, roofline, "roofline", _ROOFLINE_CAPTION)
    yield _titled("Roofline", drawn)
    noise = page.figure(number, draw.noise_figure(_noisiest(report)), "noise", _NOISE_CAPTION)
    yield _titled("Noise of the measurements", noise)
    yield _conditions(report)


def _scaling(page: _Page, number: int, report: Report) -> str:
    captions = {
        "macs": "Every measured variant, with the power law through them.",
        "activations": "The line that misses less (by one standard deviation) is of what latency "
        "follows on this device.",
    }
    figures = [
        page.figure(number, draw.scaling_figure(report, quantity, i), quantity, caption)
        for i, (quantity, caption) in enumerate(captions.items())
    ]
    return f'<div class="pair">{"".join(figures)}</div>' if any(figures) else ""


_ROOFLINE_CAPTION = (
    "FLOPs over the bytes that operators read and write, and the FLOP/s that were reached. The "
    "roof is the highest rate of any variant here, not a limit of the device."
)
_NOISE_CAPTION = (
    "Samples over the median of their variant, a box for each worker process: boxes that stand "
    "apart are processes that differ, wide ones a machine that was disturbed."
)


def _titled(title: str, figure: str) -> str:
    return f"<h3>{title}</h3>{figure}" if figure else ""


def _chosen(report: Report) -> Variant:
    return report.variant(report.selection.variant if report.selection is not None else "base")


def _noisiest(report: Report) -> tuple[Variant, ...]:
    """Return the base, the choice and the runners-up, as far as there is room."""
    selection = report.selection
    named = ["base", *([selection.variant, *selection.runners_up] if selection else ())]
    return tuple(report.variant(name) for name in list(dict.fromkeys(named))[:_NOISE_SHOWN])


def _choice(number: int, report: Report) -> Iterator[str]:
    selection = report.selection
    if selection is None:
        yield f"<p>{_text(report.selection_reason or 'nothing was chosen')}</p>"
        return
    variant = _chosen(report)
    budgets = " and ".join(_text(budget.text) for budget in selection.budgets)
    factors_text = _text(factors(variant.recipe))
    yield (
        f"<p>The choice under {budgets}: <strong>{_text(recipe_name(variant))}</strong>"
        f"{' · ' + factors_text if factors_text else ''} · input {_text(size(variant))}, "
        f"{_text(latency_text(variant))}, {_text(verified_text(selection))}.</p>"
    )
    more = more_text(report)
    if more is not None and selection.binding:
        yield f"<p>{_text(selection.binding)} binds: {_text(more)}.</p>"
    yield f"<pre>{escape(draw.call_text(variant))}</pre>"
    yield _button(number, variant, "Copy the call")
    yield f'<output id="copied-{number}" aria-live="polite"></output>'


def _ladder(report: Report) -> str:
    if report.ladder is None:
        return ""
    first, *rungs = map(_text, ladder_lines(report))
    items = "".join(f"<li>{rung}</li>" for rung in rungs)
    return f"<h3>Ladder</h3><p>{first}:</p><ul>{items}</ul>"


def _button(number: int, variant: Variant, label: str) -> str:
    return (
        f'<button type="button" data-report="{number}" data-variant="{escape(variant.id)}" '
        f'aria-controls="copied-{number}">{label}</button>'
    )


def _front_caption(report: Report) -> str:
    drawn = picture(report)
    text = (
        "Measured variants are filled, predicted ones open. The front has the 90 % band of "
        "accuracy around it; nobody trained these variants. Hover for a recipe; click to copy it."
    )
    return f"{text} {drawn.missing} variants have no point." if drawn.missing else text


def _stages_caption(variant: Variant) -> str:
    what = "module" if variant.cost.modules else "operator"
    text = f"Share of each {what}, counted. Traffic is bytes read and written."
    if variant.measurement is None or not variant.measurement.modules_s:
        return text
    least = f"{100 * LEAST_MODULE_SHARE:.0f} %"
    return f"{text} Time is measured, in one process, and not shown below {least}."


def _variants(number: int, report: Report) -> str:
    heads = ("", "input", "params", "MACs", "activations", "memory", "latency", "over base")
    titles = "".join(f"<th>{_text(head)}</th>" for head in (*heads, accuracy_heading(report), ""))
    rows = "".join(
        _row(number, report, title, label, variant)
        for title, held in sections(report)
        for label, variant in held
    )
    opening = '<details><summary>The same as a table</summary><div class="table">'
    missing = "" if report.selection else f'<output id="copied-{number}"></output>'
    return f"{opening}<table><tr>{titles}</tr>{rows}</table></div>{missing}</details>"


def _row(number: int, report: Report, title: str, label: str, variant: Variant) -> str:
    cost = variant.cost
    counts = (cost.params, cost.macs, cost.activations)
    cells = (
        f"{title}: {labelled(label, variant)}",
        size(variant),
        *(format_quantity(count, "count") for count in counts),
        memory_text(variant),
        latency_text(variant),
        relative_text(report, variant),
        accuracy_text(variant),
    )
    kind = ' class="choice"' if title == "choice" else ""
    filled = "".join(f"<td>{_text(cell)}</td>" for cell in cells)
    return f"<tr{kind}>{filled}<td>{_button(number, variant, 'Copy')}</td></tr>"


def _conditions(report: Report) -> str:
    context = report.context
    measured = [v.measurement for v in report.variants if v.measurement is not None]
    facts = {
        "device": context.device.name,
        "platform": context.platform,
        "driver": context.device.driver,
        "memory": format_quantity(context.device.memory_bytes, "bytes"),
        "type, layout, mode": f"{context.dtype}, {context.layout}, {context.mode}",
        "batch": context.batch,
        "started": context.started_at,
        "took": format_quantity(context.elapsed_s, "time"),
        "commit": context.git_commit,
        "command": context.command,
        "load before": None if context.load is None else f"{context.load:.2f} a core",
        "measured": f"{len(measured)} of {len(report.variants)} variants",
        "noisy": sum(m.noisy for m in measured),
        "disturbed by others": sum(m.contended for m in measured),
        "processes not counted": sum(m.discarded_processes for m in measured),
        **{f"version of {name}": version for name, version in context.versions.items()},
        **{f"flag {name}": value for name, value in context.flags.items()},
        **{f"note {i}": note for i, note in enumerate(report.notes, start=1)},
    }
    rows = "".join(
        f"<tr><td>{_text(name)}</td><td>{_text(str(value))}</td></tr>"
        for name, value in facts.items()
        if value is not None
    )
    opening = "<h3>Conditions</h3><details open><summary>Where and how</summary>"
    return f'{opening}<div class="table"><table class="texts">{rows}</table></div></details>'


def _shared(reports: Sequence[Report]) -> str:
    """Show the latency of what every report measured, and its ratio to the first."""
    medians = [{v.id: median(v) for v in report.variants} for report in reports]
    rows = []
    for variant in reports[0].variants:
        held = [found.get(variant.id) for found in medians]
        times = [time for time in held if time is not None]
        if len(times) < len(reports):
            continue
        ratios = (f"{time / times[0]:.2f}x" for time in times[1:])
        cells = (recipe_name(variant), *(format_quantity(t, "time") for t in times), *ratios)
        rows.append("".join(f"<td>{_text(cell)}</td>" for cell in cells))
    if not rows:
        return "<p>No variant was measured in all of them.</p>"
    numbers = range(1, len(reports) + 1)
    heads = ("variant", *map(str, numbers), *(f"{i} over 1" for i in numbers[1:]))
    titles = "".join(f"<th>{head}</th>" for head in heads)
    filled = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="table"><table><tr>{titles}</tr>{filled}</table></div>'


def _calls(report: Report) -> dict[str, str]:
    return {variant.id: draw.call_text(variant) for variant in report.variants}


def _text(text: str) -> str:
    return escape(one_line(text))


def _as_data(content: Json) -> str:
    """Return JSON that no sequence of ends a script element or opens a comment."""
    text = msgspec.json.encode(content).decode()
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _policy(scripts: Sequence[str]) -> str:
    hashes = (hashlib.sha256(script.encode()).digest() for script in scripts)
    admitted = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {admitted}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _plotly() -> str:
    try:
        library = files("plotly").joinpath("package_data", "plotly.min.js")
        return library.read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError):
        raise MissingExtraError(
            "an HTML report needs plotly", hint="pip install 'scaleprof[html]'"
        ) from None
