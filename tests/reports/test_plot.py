"""The front in the terminal, compared with a file; ``pytest --overwrite`` writes it anew."""

from pathlib import Path

import pytest
from factories import report, variant
from hostile import hostile_report
from hypothesis import given
from hypothesis import strategies as st

from scaleprof.profiler._choose import select_from
from scaleprof.reports import read_report
from scaleprof.reports._front import picture
from scaleprof.reports.plot import front_plot
from scaleprof.selection import pareto_front

EXAMPLE = "profiles/examples/convnext_atto-cpu.json"
SNAPSHOT = Path(__file__).parent / "snapshots" / "front.txt"


def test_the_front_is_drawn_as_recorded(overwrite):
    text = front_plot(read_report(EXAMPLE), width=80).plain + "\n"
    if overwrite:
        SNAPSHOT.write_text(text)
    assert text == SNAPSHOT.read_text()


def test_without_points_it_says_so():
    assert "nothing to draw" in front_plot(report(variant("base")), width=80).plain


@pytest.mark.parametrize("width", [1, 80, 200])
def test_one_point_is_a_picture_too(width):
    text = front_plot(report(variant("base", latency_s=0.01, top1=75.0)), width=width).plain
    assert "◆" in text


def test_without_accuracy_macs_take_its_place():
    bare = report(
        variant("base", latency_s=0.01), variant("x", latency_s=0.02, costs={"macs": 9000})
    )
    drawn = picture(bare)
    assert (drawn.quantity, [point.worth for point in drawn.front]) == ("MACs", [1000.0, 9000.0])


def test_latency_budgets_are_drawn_and_others_are_not():
    chosen = select_from(read_report(EXAMPLE), ["latency<=20ms", "params<=10M"])
    assert picture(chosen).limits == {"latency<=20ms": 0.02}


def test_no_escape_of_a_report_reaches_the_terminal():
    assert "\x1b" not in front_plot(hostile_report(), width=80).plain


# few values, so that ties are common
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=20))
def test_the_front_is_that_of_the_definition(points):
    variants = [
        variant(f"v{i}", latency_s=latency / 100, top1=float(top1))
        for i, (latency, top1) in enumerate(points)
    ]
    drawn = picture(report(*variants))
    marks = pareto_front([(latency, -top1) for latency, top1 in points])
    want = {point for point, held in zip(points, marks, strict=True) if held}
    assert {(round(100 * p.latency), p.worth) for p in drawn.front} == want
