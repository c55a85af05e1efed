"""What reports say beyond the choice: the ladder, and what a larger budget would buy."""

from pathlib import Path

import msgspec
import pytest
from factories import recipe, report, variant
from rich.console import Console

from scaleprof.profiler._choose import select_from
from scaleprof.records import MoreBudget, Report, Rung, Verification, replace
from scaleprof.reports import read_report
from scaleprof.reports._choices import ladder_lines, more_text
from scaleprof.reports.html import report_html
from scaleprof.reports.json import write_json
from scaleprof.reports.markdown import report_markdown
from scaleprof.reports.table import profile_table

SNAPSHOT = Path(__file__).with_name("snapshots") / "ladder.txt"


def shown(renderable):
    console = Console(width=150, highlight=False, markup=False, color_system=None)
    with console.capture() as captured:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def scaled(identifier, latency_s, top1, width):
    found = variant(identifier, latency_s=latency_s, top1=top1)
    kind = "base" if identifier == "base" else "w"
    return replace(found, recipe=recipe(kind, width**2, achieved={"width": width}))


def climbed() -> Report:
    """A ladder with nothing on its first rung, and the three states on the others."""
    recorded = report(
        scaled("base", 0.010, 70.0, 1.0),
        scaled("aaaaaaaaaa", 0.005, 66.0, 0.5),
        scaled("bbbbbbbbbb", 0.018, 75.0, 1.5),
        scaled("cccccccccc", 0.0195, 76.5, 1.75),
    )
    selected = select_from(recorded, ["latency<=2x"], ladder=["2ms", "6ms", "1.1x", "2x"])
    nothing, small, middle, large = selected.ladder.rungs
    held = Verification(predicted={}, measured={}, met=True, reason="measured again", processes=2)
    rungs = (
        nothing,
        replace(small, verified=True, verification=held),
        middle,
        replace(
            large,
            verified=False,
            budgets=(replace(large.budgets[0], value=0.0205, met=False),),
            verification=replace(held, met=False),
        ),
    )
    return replace(selected, ladder=replace(selected.ladder, rungs=rungs))


def test_a_ladder_is_shown_as_recorded(overwrite):
    text = shown(profile_table(climbed()))
    if overwrite:
        SNAPSHOT.write_text(text)
    assert text == SNAPSHOT.read_text()


def test_each_rung_says_how_surely_it_holds():
    title, *rungs = ladder_lines(climbed())
    assert "95 % confidence" in title
    assert "no variant of `nets.py:Net` meets latency <= 2.00 ms" in rungs[0]
    assert rungs[1].endswith("w ×0.25, 5.00 ms, measured, then verified")
    assert rungs[2].endswith("base, 10.0 ms, measured, not verified")
    assert rungs[3].endswith("missed in the check: latency<=2x with 20.5 ms")


@pytest.mark.parametrize("written", [report_markdown, report_html])
def test_ladder_and_gain_stand_in_documents_too(written):
    text = written([climbed()])
    assert "10 % more of it (22.0 ms) would buy 1.50 points" in text
    assert "one family, no axis of which shrinks" in text
    # the rung, the row of the table
    assert text.count("w ×0.25") >= 2


def test_text_of_a_ladder_is_no_markup():
    evil = "<b>|`@someone\x1b[31m"
    found = climbed()
    rungs = (Rung(text=evil, limit=0.001, reason=evil),)
    found = replace(found, ladder=replace(found.ladder, rungs=rungs))
    assert "<b>" not in report_html([found]).split("</style>")[1].split("<script")[0]
    assert "<b>" not in report_markdown([found])
    assert "\x1b" not in shown(profile_table(found))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        pytest.param({}, "buy nothing that was built", id="nothing"),
        pytest.param({"gain": 0.4}, "buy nothing that was built", id="no recipe"),
        pytest.param(
            {"gain": 0.4, "strategy": "dw", "multiplier": 2.2},
            "buy about 0.40 points, by dw at ×2.20, not built",
            id="not built",
        ),
        pytest.param(
            {"gain": 1.5, "variant": "cccccccccc", "source": "predicted"},
            "buy 1.50 points: w ×3.06 (predicted)",
            id="built",
        ),
    ],
)
def test_what_more_would_buy_is_said_in_one_line(more, said):
    found = climbed()
    record = MoreBudget(budget="latency<=2x", metric="latency", share=0.1, limit=0.022, **more)
    text = more_text(replace(found, selection=replace(found.selection, more=record)))
    assert text == f"10 % more of it (22.0 ms) would {said}"


def test_less_of_a_lower_bound_is_what_buys():
    found = climbed()
    record = MoreBudget(budget="throughput>=50/s", metric="throughput", share=0.1, limit=45.0)
    text = more_text(replace(found, selection=replace(found.selection, more=record)))
    assert text == "10 % less of it (45.0 /s) would buy nothing that was built"


def test_a_report_without_them_reads_as_before(tmp_path):
    content = msgspec.to_builtins(climbed())
    del content["ladder"], content["selection"]["more"]
    path = tmp_path / "old.json"
    path.write_bytes(msgspec.json.encode(content))
    old = read_report(str(path))
    assert (old.ladder, old.selection.more, more_text(old)) == (None, None, None)
    assert "ladder" not in shown(profile_table(old))


def test_a_ladder_survives_a_round_trip(tmp_path):
    path = str(tmp_path / "report.json")
    write_json(climbed(), path)
    assert read_report(path) == climbed()
