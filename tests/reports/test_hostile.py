"""Reports that were damaged or made to do harm; ``tests/hostile_reports.py`` says what is held."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hostile import EVIL, hostile_report
from hostile_reports import MOST_MEMORY, harmless, mutated, seed_report

from scaleprof.errors import ReportError
from scaleprof.records import Check, CheckLine
from scaleprof.reports import read_report
from scaleprof.reports.github import annotations
from scaleprof.reports.verdicts import check_text

SCRIPT = Path(__file__).parents[1] / "hostile_reports.py"
# other reports than those of the slow test, so that both find something
FIRST_OF_FEW = 1_000_000


def with_helpers():
    """Return an environment in which the modules beside the tests are found."""
    paths = [str(SCRIPT.parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def put_through(first, count, folder):
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--first", str(first), "--count", str(count), "--folder",
         str(folder)],
        capture_output=True, text=True, check=False,
        env=with_helpers(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("first", "count"),
    [
        pytest.param(FIRST_OF_FEW, 150, id="few"),
        pytest.param(0, 10_000, id="many", marks=pytest.mark.slow),
    ],
)
def test_mutated_reports_are_read_or_refused_and_do_nothing_else(first, count, tmp_path):
    done = put_through(first, count, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    read, refused = (int(part.split()[0]) for part in done.stdout.split(", ")[:2])
    assert read + refused == count
    # a test in which all are refused at the door would hold nothing
    assert min(read, refused) > count / 5


def test_the_same_number_makes_the_same_report():
    assert mutated(7) == mutated(7)
    assert len({mutated(number) for number in range(20)}) == 20


@pytest.mark.parametrize("depth", [100, 5000, 200_000])
def test_deep_nesting_is_refused_or_read_within_the_stack(tmp_path, depth):
    path = tmp_path / "deep.json"
    path.write_text(
        '{"schema": "scaleprof.report/1", "context": ' + "[" * depth + "]" * depth + "}"
    )
    with pytest.raises(ReportError):
        read_report(str(path))


@pytest.mark.parametrize("option", ["--markdown", "--html"])
@pytest.mark.parametrize(
    "big",
    [
        pytest.param({"arguments": [{"a": 1}] * 190_000}, id="mappings"),
        pytest.param({"arguments": {f"k{i:06}": 1 for i in range(590_000)}}, id="keys"),
        pytest.param({"arguments": [f"s{i}" for i in range(590_000)]}, id="texts"),
        # four bytes a character once one of them needs it
        pytest.param({"note": "\U0001f600" + "a" * 23_000_000}, id="one-text"),
    ],
)
def test_the_largest_reports_that_are_read_stay_within_the_memory(big, option, tmp_path):
    content = seed_report()
    content["notes"] = [big.get("note", "")]
    content["variants"][1]["recipe"]["arguments"] = {"a": big.get("arguments")}
    path = tmp_path / "big.json"
    path.write_text(json.dumps(content, ensure_ascii=False))
    code = (
        "import sys\nfrom hostile_reports import most_memory\nfrom scaleprof.cli import main\n"
        f"sys.argv = ['scaleprof', 'report', {str(path)!r}, {option!r}, 'out']\n"
        "try: main()\nexcept SystemExit as end: print(end.code)\n"
        "print(most_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          check=True, cwd=tmp_path, env=with_helpers())  # fmt: skip
    status, peak = map(int, done.stdout.split())
    assert status == 0
    assert peak < MOST_MEMORY


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('{"a": [' + "1," * 600_000 + "1]}", "more values than any", id="values"),
        pytest.param('"' + "a" * 24 * 2**20 + '"', "larger than any", id="bytes"),
    ],
)
def test_what_is_larger_than_any_report_is_refused_unread(tmp_path, text, message):
    path = tmp_path / "large.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=message):
        read_report(str(path))


def test_what_would_be_a_command_is_found():
    for text in ("a\x1b[2J", "a ##[error]b", "a\n::error::b", "\u0085"):
        with pytest.raises(AssertionError):
            harmless(text, where="here")


def test_hostile_text_in_a_check_gives_no_command():
    line = CheckLine(report=EVIL, model=EVIL, variant=EVIL, kind="gate", rule=EVIL, metric="macs",
                     bound="<=", limit=1.0, now=2.0, verdict="fail", reason=EVIL)  # fmt: skip
    check = Check(verdict="fail", lines=(line,), notes=(EVIL,), differences=(EVIL,))
    harmless(check_text(check), where="a check")
    commands = annotations(check)
    assert [command.split(" ")[0] for command in commands] == ["::error", "::warning"]
    assert not any("\n" in command for command in commands)


def test_the_hostile_report_is_hostile_everywhere():
    report = hostile_report()
    texts = (report.base.model, report.context.device.name, report.notes[0],
             report.variants[0].recipe.call, report.selection.reason)  # fmt: skip
    assert set(texts) == {EVIL}
