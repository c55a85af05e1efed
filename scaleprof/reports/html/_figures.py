"""The pictures of a page, as figures of Plotly: plain mappings of traces and a layout.

Plotly takes some tags in texts, so that text from a report is escaped (`markup`). Colours that
begin with ``@`` are named in ``page.css``, where they differ between light and dark.

The schema is https://plotly.com/javascript/reference/.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import compress
from typing import Any

from ...records import Report, Variant
from ...scaling import STRATEGIES
from ...timing import by_process
from ...units import format_quantity
from .._cells import accuracy_text, call_lines, latency_text, memory_text
from .._front import Picture, Point, picture
from .._text import factors, one_line, recipe_name, size
from ._cost import Stage, fit_through, stages

Json = dict[str, Any]

# the eight strategies, told apart by colour and by symbol
COLOURS = ("#4e79a7", "#f28e2b", "#e15759", "#3a9d97", "#59a14f", "#b8860b", "#b07aa1", "#9c755f")
_SYMBOLS = ("circle", "square", "triangle-up", "triangle-down", "cross", "x", "pentagon", "hexagon")
# other spaces, whose variants lie on no line
_SPACES = {"grid": ("#79706e", "diamond"), "stages": ("#d37295", "star")}
_CALL_WIDTH = 56
_CALL_LINES = 6
_SHOWN_STAGES = 14
_SHOWN_SAMPLES = 400
# names from top to bottom, a little off the bars
_NAMES_DOWNWARDS = {
    "autorange": "reversed", "type": "category", "automargin": True,
    "ticks": "outside", "ticklen": 5, "tickcolor": "rgba(0, 0, 0, 0)",
}  # fmt: skip


def markup(text: str) -> str:
    """Return text from outside as Plotly shows it unchanged, on one line."""
    return escape(one_line(text), quote=False)


def call_text(variant: Variant) -> str:
    """Return the import lines and the call of a recipe, to be copied."""
    return "\n".join(call_lines(variant))


def front_figure(report: Report) -> Json:
    """Draw accuracy against latency: strategies, front with its band, budgets, base and choice."""
    drawn = picture(report)
    traces = [
        *_band(drawn.front, "@band", legend="front"),
        *(
            _strategy(drawn, strategy, COLOURS[i], _SYMBOLS[i])
            for i, strategy in enumerate(STRATEGIES)
        ),
        *(
            _strategy(drawn, space, colour, symbol) | {"mode": "markers"}
            for space, (colour, symbol) in _SPACES.items()
        ),
        _front(drawn.front, "front", "@ink"),
        *_marked(report, drawn),
    ]
    layout = _axes("latency, ms", markup(drawn.title))
    layout |= _limits(drawn.limits)
    shown = [trace for trace in traces if trace["x"]]
    return {"data": shown, "layout": layout, "kind": "front"}


def fronts_figure(reports: Sequence[Report]) -> Json:
    """Draw the fronts of several reports in one picture; `reports` says whose each trace is."""
    traces: list[Json] = []
    titles: list[str] = []
    owners: list[int] = []
    for i, report in enumerate(reports):
        drawn, colour = picture(report), COLOURS[i % len(COLOURS)]
        titles.append(drawn.title)
        traces += _band(drawn.front, colour, legend=f"report {i}", opacity=0.12)
        front = _front(drawn.front, f"{i + 1}", colour)
        symbol = _SYMBOLS[i % len(_SYMBOLS)]
        traces.append(front | {"mode": "lines+markers", "legendgroup": f"report {i}"})
        traces[-1]["marker"] = {"symbol": symbol, "size": 8, "color": colour}
        owners += [i] * (len(traces) - len(owners))
    layout = _axes("latency, ms", markup(" / ".join(dict.fromkeys(titles))))
    return {"data": traces, "layout": layout, "kind": "front", "reports": owners}


def _strategy(drawn: Picture, strategy: str, colour: str, symbol: str) -> Json:
    points = drawn.of_strategy(strategy)
    return _points(points) | {
        "mode": "lines+markers",
        "name": strategy,
        "line": {"width": 1.2, "color": colour},
        "marker": {
            "size": 8,
            "color": colour,
            "symbol": [symbol if point.measured else f"{symbol}-open" for point in points],
        },
    }


def _front(points: Sequence[Point], name: str, colour: str) -> Json:
    low = [1e3 * (p.latency - (p.latency_interval or (p.latency,))[0]) for p in points]
    high = [1e3 * ((p.latency_interval or (p.latency,))[-1] - p.latency) for p in points]
    error = {"type": "data", "symmetric": False, "array": high, "arrayminus": low}
    return _points(points) | {
        "mode": "lines",
        "name": name,
        "line": {"width": 2.5, "color": colour, "shape": "hv"},
        "error_x": error | {"color": colour, "thickness": 1, "width": 2},
        "legendgroup": name,
    }


def _band(
    points: Sequence[Point], colour: str, *, legend: str, opacity: float = 1.0
) -> Iterator[Json]:
    """Shade the 90 % band of accuracy along a front."""
    held = [(1e3 * point.latency, *point.band) for point in points if point.band is not None]
    if len(held) < 2:
        return
    there, back = held, held[::-1]
    yield {
        "type": "scatter",
        "x": [x for x, _, _ in there] + [x for x, _, _ in back],
        "y": [high for _, _, high in there] + [low for _, low, _ in back],
        "fill": "toself",
        "fillcolor": colour,
        "opacity": opacity,
        "line": {"width": 0},
        "mode": "lines",
        "hoverinfo": "skip",
        "legendgroup": legend,
        "showlegend": False,
    }


def _marked(report: Report, drawn: Picture) -> Iterator[Json]:
    chosen = report.selection.variant if report.selection is not None else None
    marks = (("base", "base", "diamond", "@ink", 13), ("choice", chosen, "star", "@choice", 20))
    for name, identifier, symbol, colour, points in marks:
        held = [point for point in drawn.points if point.variant.id == identifier]
        marker = {"symbol": symbol, "size": points, "color": colour}
        marker["line"] = {"width": 1.5, "color": "@page"}
        yield _points(held) | {"mode": "markers", "name": name, "marker": marker}


def _points(points: Sequence[Point]) -> Json:
    return {
        "type": "scatter",
        "x": [1e3 * point.latency for point in points],
        "y": [point.worth for point in points],
        "hovertext": [hover_text(point.variant) for point in points],
        "hoverinfo": "text",
        "customdata": [point.variant.id for point in points],
    }


def hover_text(variant: Variant) -> str:
    """Return what a point says of its recipe when one looks at it."""
    cost = variant.cost
    counts = (("params", cost.params), ("MACs", cost.macs), ("activations", cost.activations))
    lines = [
        f"<b>{markup(recipe_name(variant))}</b> · input {markup(size(variant))}",
        markup(factors(variant.recipe)),
        " · ".join(f"{format_quantity(value, 'count')} {name}" for name, value in counts),
        f"latency {markup(latency_text(variant))} · memory {markup(memory_text(variant))}",
        f"accuracy {markup(accuracy_text(variant))}",
        *map(markup, _wrapped(call_text(variant).rpartition("\n")[2])),
        "<i>click to copy the call</i>",
    ]
    return "<br>".join(line for line in lines if line)


def _wrapped(text: str) -> Iterator[str]:
    starts = range(0, len(text), _CALL_WIDTH)
    for start in starts[:_CALL_LINES]:
        yield text[start : start + _CALL_WIDTH]
    if len(starts) > _CALL_LINES:
        yield "…"


def _axes(x: str, y: str, **settings: Any) -> Json:
    return {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}} | settings


def _limits(limits: Mapping[str, float]) -> Json:
    shapes, notes = [], []
    for text, limit in limits.items():
        shapes.append({
            "type": "line", "x0": 1e3 * limit, "x1": 1e3 * limit, "y0": 0, "y1": 1, "yref": "paper",
            "line": {"color": "@budget", "width": 2, "dash": "dash"},
        })  # fmt: skip
        notes.append({
            "x": 1e3 * limit, "y": 0, "yref": "paper", "text": markup(text), "showarrow": False,
            "xanchor": "right", "yanchor": "bottom", "textangle": -90, "font": {"color": "@budget"},
        })  # fmt: skip
    return {"shapes": shapes, "annotations": notes}


def scaling_figure(report: Report, quantity: str, number: int) -> Json | None:
    """Draw latency against a counted quantity, with the power law through the variants.

    Beside another such figure it shows the paper's point on the user's own device: the variants
    scatter less around the line of what latency follows.

    Args:
        report: The report.
        quantity: ``macs`` or ``activations``.
        number: Of the colour and symbol.

    Returns:
        The figure; None if the measured variants do not determine a line.
    """
    measured = [point for point in picture(report).points if point.measured]
    counts = [getattr(point.variant.cost, quantity) for point in measured]
    fit = fit_through(counts, [point.latency for point in measured])
    if fit is None:
        return None
    points = _points(measured) | {
        "x": counts,
        "y": [1e3 * point.latency for point in measured],
        "mode": "markers",
        "marker": {"size": 9, "color": COLOURS[number], "symbol": _SYMBOLS[number]},
    }
    ends = [min(counts), max(counts)]
    line = _line(ends, [1e3 * fit.at(x) for x in ends]) | {"line": {"dash": "dot"} | _MUTED}
    missed = f"{_COUNTED[quantity]}: a line misses by ±{100 * fit.scatter:.0f} %"
    layout = _axes(_COUNTED[quantity], "latency, ms", showlegend=False, title={"text": missed})
    layout["xaxis"] |= {"type": "log", "nticks": 4, "tickformat": "~s"}
    layout["yaxis"] |= {"type": "log", "nticks": 6}
    return {"data": [line, points], "layout": layout, "kind": "points"}


_COUNTED = {"macs": "MACs", "activations": "activations"}
_MUTED = {"color": "@muted"}


def _line(x: Sequence[float], y: Sequence[float]) -> Json:
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "hoverinfo": "skip"}


def stages_figure(variant: Variant) -> Json | None:
    """Draw the share of each stage in parameters, MACs, activations, traffic and time.

    Stages are modules where the report has costs by module, else operators. None if nothing of them
    is known.
    """
    found = stages(variant.cost, at_most=_SHOWN_STAGES)
    quantities = {"params": "parameters", "macs": "MACs", "activations": "activations",
                  "traffic_bytes": "traffic"}  # fmt: skip
    shares: dict[str, list[float | None]] = {
        title: _shares(found, quantity, getattr(variant.cost, quantity))
        for quantity, title in quantities.items()
    }
    shares["time"] = _time_shares(found, variant)
    data = [
        _bars(found, title, held) | {"marker": {"color": COLOURS[i]}}
        for i, (title, held) in enumerate(shares.items())
        if any(held)
    ]
    if not data:
        return None
    layout = _axes("share of the model, %", "", barmode="group", bargap=0.25)
    layout["yaxis"] = dict(_NAMES_DOWNWARDS)
    return {"data": data, "layout": layout, "kind": "bars", "rows": len(found)}


def _shares(found: Sequence[Stage], quantity: str, total: int) -> list[float | None]:
    return [100 * (getattr(stage, quantity) or 0) / max(total, 1) for stage in found]


def _time_shares(found: Sequence[Stage], variant: Variant) -> list[float | None]:
    """Share of each stage in the latency, in percent; None where it is not known."""
    measured = variant.measurement
    if measured is None or measured.latency_s is None or measured.modules_s is None:
        return []
    times, latency = measured.modules_s, measured.latency_s.p50
    return [100 * times[s.name] / latency if s.name in times else None for s in found]


def _bars(found: Sequence[Stage], title: str, shares: Sequence[float | None]) -> Json:
    return {
        "type": "bar",
        "orientation": "h",
        "name": title,
        "y": [f"{i + 1}. {markup(stage.name)}" for i, stage in enumerate(found)],
        "x": shares,
        "hovertemplate": "%{x:.1f} %",
    }


def roofline_figure(report: Report, chosen: Variant) -> Json | None:
    """Draw FLOP/s against FLOPs per byte of what was measured, under the highest reached here.

    The roofs are not the device's limits, which no report holds, but what its best variant reached.
    None if nothing with both was measured.
    """
    measured = [
        point
        for point in picture(report).points
        if point.measured and point.variant.cost.flops and point.variant.cost.traffic_bytes
    ]
    if not measured:
        return None
    costs = [point.variant.cost for point in measured]
    intensities = [cost.flops / cost.traffic_bytes for cost in costs]
    rates = [cost.flops / p.latency / 1e9 for cost, p in zip(costs, measured, strict=True)]
    bandwidth = max(rate / x for rate, x in zip(rates, intensities, strict=True))
    ends = sorted([min(intensities) / 2, max(rates) / bandwidth, max(intensities) * 2])
    roof = _line(ends, [min(max(rates), bandwidth * x) for x in ends])
    roof |= {"name": "highest reached here", "line": {"width": 2} | _MUTED}
    is_chosen = [point.variant.id == chosen.id for point in measured]
    variants = _points(measured) | {"x": intensities, "y": rates, "mode": "markers"}
    layout = _axes("FLOPs per byte of traffic", "GFLOP/s")
    layout["xaxis"] |= {"type": "log", "nticks": 5}
    layout["yaxis"] |= {"type": "log", "nticks": 5}
    data = [
        roof,
        _only(variants, [not it for it in is_chosen], "variants", size=8, color=COLOURS[0]),
        _only(variants, is_chosen, recipe_name(chosen), symbol="star", size=16, color="@choice"),
    ]
    return {"data": data, "layout": layout, "kind": "points"}


def _only(trace: Json, held: Sequence[bool], name: str, **marker: object) -> Json:
    """Return a trace with some of its points, marked alike."""
    columns = ("x", "y", "hovertext", "customdata")
    kept = {column: list(compress(trace[column], held)) for column in columns}
    return trace | kept | {"name": markup(name), "marker": marker}


def noise_figure(variants: Sequence[Variant]) -> Json | None:
    """Draw how the samples of variants scatter around their median, a box for each process."""
    data = [box for i, variant in enumerate(variants) for box in _boxes(variant, COLOURS[i % 8])]
    if not data:
        return None
    layout = _axes("over the median of the variant, %", "", showlegend=False)
    layout["yaxis"] = dict(_NAMES_DOWNWARDS)
    return {"data": data, "layout": layout, "kind": "bars", "rows": len(data)}


def _boxes(variant: Variant, colour: str) -> Iterator[Json]:
    latency = variant.measurement.latency_s if variant.measurement is not None else None
    if latency is None:
        return
    name = markup(recipe_name(variant))
    for number, taken in enumerate(by_process(latency.samples, latency.processes), start=1):
        samples = taken[:_SHOWN_SAMPLES]
        if samples:
            yield {
                "type": "box",
                "orientation": "h",
                "name": f"{name}, process {number}",
                "x": [100 * (sample / latency.p50 - 1) for sample in samples],
                "marker": {"color": colour, "size": 3},
                "line": {"width": 1.2},
                "hoverinfo": "x",
            }
