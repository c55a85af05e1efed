import json
import os
import stat

import msgspec
import pytest
from factories import report, variant
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from scaleprof.errors import InputError, ReportError
from scaleprof.records import Report
from scaleprof.reports import check_writable, read_report, write_json


@pytest.fixture
def recorded():
    return report(variant("base", latency_s=0.1 + 0.2, top1=75.672), variant("a", top1=None))


def test_a_report_survives_a_round_trip_exactly(recorded, tmp_path):
    path = str(tmp_path / "report.json")
    write_json(recorded, path)
    assert read_report(path) == recorded


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_survives_json_exactly(number):
    assert msgspec.json.decode(msgspec.json.encode(number), type=float) == number


def test_the_written_file_obeys_the_published_schema(recorded, tmp_path):
    path = tmp_path / "report.json"
    write_json(recorded, str(path))
    schema = msgspec.json.schema(Report)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(json.loads(path.read_text()))


def test_unknown_fields_are_ignored(recorded, tmp_path):
    content = msgspec.to_builtins(recorded)
    content["from_the_future"] = {"a": 1}
    content["variants"][0]["cost"]["mood"] = "good"
    path = tmp_path / "report.json"
    path.write_text(json.dumps(content))
    assert read_report(str(path)) == recorded


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "not valid JSON", id="nothing"),
        pytest.param(b'{"schema": "scaleprof.report/1", "cont', "not valid JSON", id="truncated"),
        pytest.param(b"hello", "not valid JSON", id="text"),
        pytest.param(b"\xff\xfe\x00", "not valid JSON", id="not-utf-8"),
        pytest.param(b"[" * 100_000, "not a scaleprof|not valid", id="deeply-nested"),
        pytest.param(b"[]", "not a scaleprof report", id="a-list"),
        pytest.param(b"{}", "not a scaleprof report", id="no-schema"),
        pytest.param(b'{"schema": "scaleprof.counts/1"}', "not a scaleprof report", id="counts"),
        pytest.param(b'{"schema": "scaleprof.report/2"}', "reads up to", id="newer"),
        pytest.param(b'{"schema": "scaleprof.report/1"}', "not a scaleprof report", id="empty"),
        pytest.param(b'{"schema": 3}', "not a scaleprof report", id="schema-of-another-type"),
    ],
)  # fmt: skip
def test_what_is_not_a_report_is_refused_in_one_line(content, message, tmp_path):
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(ReportError, match=message) as caught:
        read_report(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("variants",), [], id="no-base"),
        pytest.param(("schema",), "scaleprof.report/" + "9" * 5000, id="endless-version"),
        pytest.param(("variants", 0, "cost", "params"), 10**400, id="endless-number"),
        pytest.param(("variants", 0, "cost", "params"), -1, id="negative-count"),
        pytest.param(("variants", 0, "measurement", "latency_s", "p50"), 0, id="no-latency"),
        pytest.param(("context", "batch"), 0, id="no-batch"),
        pytest.param(("selection",), {"variant": "x", "budgets": [], "verified": None,
                                      "verification": None}, id="selects-what-is-not-there"),
        pytest.param(("ladder",), {"rungs": [{"text": "1ms", "limit": 0.001, "variant": "x"}]},
                     id="climbs-what-is-not-there"),
    ],
)  # fmt: skip
def test_a_report_that_contradicts_itself_is_refused(recorded, path, value, tmp_path):
    content = msgspec.to_builtins(recorded)
    place = content
    for key in path[:-1]:
        place[key] = list(place[key]) if isinstance(place[key], tuple) else place[key]
        place = place[key]
    place[path[-1]] = value
    file = tmp_path / "report.json"
    file.write_text(json.dumps(content))
    with pytest.raises(ReportError):
        read_report(str(file))


def test_a_link_stays_a_link(recorded, tmp_path):
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("old")
    link.symlink_to(target)
    write_json(recorded, str(link))
    assert link.is_symlink()
    assert read_report(str(target)) == recorded


@pytest.mark.parametrize("path", ["no/such/file.json", ".", "nul\0byte"])
def test_a_file_that_cannot_be_read_is_a_report_error(path):
    with pytest.raises(ReportError, match="cannot read"):
        read_report(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(recorded, tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(InputError, match="No space left"):
        write_json(recorded, str(path))
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def test_a_written_file_has_the_usual_permissions(recorded, tmp_path):
    path = tmp_path / "report.json"
    mask = os.umask(0o022)
    try:
        write_json(recorded, str(path))
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("path", ["no/such/folder/report.json", "."])
def test_a_path_that_cannot_be_written_is_refused_before_the_work(path):
    with pytest.raises(InputError, match="cannot write"):
        check_writable(path)
