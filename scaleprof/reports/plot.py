"""The front of a report in the terminal: what the page draws, in braille dots.

Drawn by plotille, https://github.com/tammoippen/plotille.
"""

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from ..records import Report
from ..units import format_quantity
from ._front import Picture, Point, picture
from ._text import one_line

_HEIGHT = 18
# what plotille puts to the left of the canvas
_MARGIN = 16
_SMALLEST_WIDTH = 24
_ROOM = 0.05
_ORDER = "○●◆★"


def front_plot(report: Report, *, width: int) -> Text:
    """Draw accuracy against latency: all variants, the front, latency budgets, base and choice.

    Args:
        report: The report.
        width: Columns of the terminal.
    """
    drawn = picture(report)
    if not drawn.points:
        return Text("no variant has both a latency and an accuracy: there is nothing to draw")
    text = Text(_figure(report, drawn, width).show())
    text.highlight_regex("★", "bold green")
    text.append(f"\n{_legend(report, drawn)}", style="dim")
    return text


def _figure(report: Report, drawn: Picture, width: int) -> Any:
    from plotille import Figure

    figure = Figure()
    figure.width, figure.height = max(width - _MARGIN, _SMALLEST_WIDTH), _HEIGHT
    figure.with_colors, figure.origin = False, False
    figure.x_label, figure.y_label = "latency, ms", drawn.quantity
    figure.register_label_formatter(float, _label)
    x = [1e3 * point.latency for point in drawn.points]
    x += [1e3 * limit for limit in drawn.limits.values()]
    left, right = _range(x)
    figure.set_x_limits(left, right)
    bottom, top = _range([point.worth for point in drawn.points])
    figure.set_y_limits(bottom, top)
    figure.plot(*_steps(drawn.front))
    for limit in drawn.limits.values():
        figure.axvline((1e3 * limit - left) / (right - left))
    # what stands alone is drawn over what there are many of
    for point in sorted(drawn.points, key=lambda point: _ORDER.index(_marker(report, point))):
        figure.scatter([1e3 * point.latency], [point.worth], marker=_marker(report, point))
    return figure


def _label(value: float, chars: int, delta: float, left: bool = False) -> str:
    """Return a tick of an axis; `delta` is the range that the axis has to tell apart."""
    text = f"{value:.3g}" if delta >= 1 else f"{value:.4g}"
    return text.ljust(chars) if left else text.rjust(chars)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = _ROOM * (high - low) or _ROOM * abs(high) or 1.0
    return low - room, high + room


def _steps(front: Sequence[Point]) -> tuple[list[float], list[float]]:
    """Walk along the front as a flight of stairs: what is best up to each latency."""
    x, y = [1e3 * front[0].latency], [front[0].worth]
    for point in front[1:]:
        x += [1e3 * point.latency] * 2
        y += [y[-1], point.worth]
    return x, y


def _marker(report: Report, point: Point) -> str:
    if report.selection is not None and point.variant.id == report.selection.variant:
        return "★"
    if point.variant.id == "base":
        return "◆"
    return "●" if point.measured else "○"


def _legend(report: Report, drawn: Picture) -> str:
    marks = ["★ choice"] if report.selection is not None else []
    marks += ["◆ base", "● measured", "○ predicted"]
    if drawn.limits:
        limits = ", ".join(
            f"{one_line(text)} ({format_quantity(limit, 'time')})"
            for text, limit in drawn.limits.items()
        )
        marks.append(f"│ {limits}")
    return f"{one_line(drawn.title)} against latency · {' · '.join(marks)}"
