"""Every format, read by the program it is for or held against that program's published schema."""

import csv
import io
import json
import subprocess
import sys

import factories
import pytest
from factories import report, variant
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from junitparser import JUnitXml
from pytest_benchmark.stats import Stats

from scaleprof.errors import InputError, ReportError
from scaleprof.records import Check, CheckLine, LatencyMeasurement, Report, replace
from scaleprof.reports import read_report
from scaleprof.reports.bencher import bencher_json
from scaleprof.reports.github_benchmark import github_benchmark_json
from scaleprof.reports.junit import check_junit
from scaleprof.reports.markdown import report_markdown
from scaleprof.reports.pytest_benchmark import _statistics, pytest_benchmark_json
from scaleprof.reports.timm_csv import timm_csv

EXAMPLE = "profiles/examples/convnext_atto-cpu.json"
FORMATS = (bencher_json, github_benchmark_json, pytest_benchmark_json, timm_csv)

# https://bencher.dev/docs/reference/bencher-metric-format
BMF_SCHEMA = {
    "type": "object",
    "patternProperties": {
        ".+": {
            "type": "object",
            "patternProperties": {
                ".+": {
                    "type": "object",
                    "properties": {
                        "value": {"type": "number"},
                        "lower_value": {"type": "number"},
                        "upper_value": {"type": "number"},
                    },
                    "required": ["value"],
                    "additionalProperties": False,
                }
            },
        }
    },
}
# `BenchmarkResult` in src/extract.ts of github-action-benchmark
GITHUB_BENCHMARK_SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "value": {"type": "number"},
            "range": {"type": "string"},
            "unit": {"type": "string"},
            "extra": {"type": "string"},
        },
        "required": ["name", "value", "unit"],
        "additionalProperties": False,
    },
}
# first line of results/benchmark-infer-fp32-nchw-pt240-cpu-i7_12700h-dynamo.csv of timm
TIMM_HEADER = (
    "model,infer_img_size,infer_samples_per_sec,infer_step_time,infer_batch_size,param_count,"
    "infer_gmacs,infer_macts"
)


@pytest.fixture
def example() -> Report:
    return read_report(EXAMPLE)


def a_line(verdict, **changes) -> CheckLine:
    settings = {"report": "now.json", "model": "timm:x", "variant": "base", "kind": "gate",
                "rule": "macs:+0", "metric": "macs", "bound": "<=", "limit": 1000.0,
                "baseline": 1000.0, "now": 1000.0, "change": 0.0}  # fmt: skip
    return CheckLine(verdict=verdict, **(settings | changes))


def read_junit(check: Check) -> JUnitXml:
    return JUnitXml.fromstring(check_junit(check).encode())


def test_junit_has_a_suite_for_every_report_and_a_case_for_every_line():
    lines = (
        a_line("pass"),
        a_line("fail", rule="latency:+5%", metric="latency", now=2000.0, change=1.0),
        a_line("inconclusive", report="other.json", reason="too few processes"),
    )
    suites = list(read_junit(Check(verdict="fail", lines=lines)))
    assert [(s.name, s.tests, s.failures, s.skipped) for s in suites] == [
        ("now.json", 2, 1, 0),
        ("other.json", 1, 0, 1),
    ]
    passed, failed = suites[0]
    assert (passed.name, passed.classname, passed.is_passed) == ("base macs:+0", "timm:x", True)
    assert failed.is_failure
    assert "fail" in failed.result[0].message
    (undecided,) = suites[1]
    assert undecided.is_skipped
    assert "too few processes" in undecided.result[0].message


@given(st.text(), st.text())
def test_junit_holds_any_text(model, reason):
    line = a_line("fail", model=model, reason=reason, report=reason)
    (suite,) = read_junit(Check(verdict="fail", lines=(line,)))
    assert [case.is_failure for case in suite] == [True]


def test_bencher_reads_latency_in_nanoseconds_with_its_interval(example):
    content = json.loads(bencher_json([example]))
    Draft7Validator(BMF_SCHEMA).validate(content)
    latency = example.variant("base").measurement.latency_s
    measures = content["timm:convnext_atto/base"]
    assert measures["latency"] == {
        "value": pytest.approx(1e9 * latency.p50),
        "lower_value": pytest.approx(1e9 * latency.ci95[0]),
        "upper_value": pytest.approx(1e9 * latency.ci95[1]),
    }
    throughput = measures["throughput"]
    assert throughput["lower_value"] < throughput["value"] < throughput["upper_value"]
    assert measures["macs"]["value"] == 547_332_480


def test_github_benchmark_gets_what_is_better_when_smaller(example):
    content = json.loads(github_benchmark_json([example]))
    Draft7Validator(GITHUB_BENCHMARK_SCHEMA).validate(content)
    units = {entry["name"].rpartition(" ")[2]: entry["unit"] for entry in content}
    assert units == {"latency.p50": "ms", "memory": "bytes"}
    # 15.14 ms in the table of the README
    assert content[0]["value"] == pytest.approx(15.14, abs=0.01)
    assert content[0]["extra"] == "AMD EPYC\ntimm.create_model('convnext_atto')"


def test_the_columns_and_units_are_those_of_timm(example):
    text = timm_csv([example])
    assert text.splitlines()[0] == TIMM_HEADER
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(text))}
    base = rows["convnext_atto"]
    # timm's own row of convnext_atto at 224: 3.7 M parameters, 0.55 GMACs, 3.81 M activations
    assert [base[key] for key in ("infer_img_size", "param_count", "infer_gmacs")] == [
        "224", "3.7", "0.55"]  # fmt: skip
    assert base["infer_macts"] == "3.81"
    rate, step = float(base["infer_samples_per_sec"]), float(base["infer_step_time"])
    assert rate * step == pytest.approx(1000, rel=1e-3)
    rates = [float(row["infer_samples_per_sec"]) for row in rows.values()]
    assert rates == sorted(rates, reverse=True)


def test_timm_counts_one_image_of_a_batch():
    batched = report(variant("base", latency_s=0.010, costs={"macs": 8 * 10**9}), batch=4)
    (row,) = csv.DictReader(io.StringIO(timm_csv([batched])))
    assert (row["infer_gmacs"], row["infer_samples_per_sec"]) == ("2.0", "400.0")


def test_pytest_benchmark_compares_two_reports(tmp_path, example):
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(pytest_benchmark_json([example]))
    done = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "--storage", f"file://{tmp_path}", "compare",
         "one.json", "two.json"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Failed to load" not in done.stdout + done.stderr
    # 23 variants were measured, and each is in both files
    assert "benchmark: 46 tests" in done.stdout


@given(st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=40))
def test_statistics_are_those_of_pytest_benchmark(samples):
    theirs = Stats()
    for sample in samples:
        theirs.update(sample)
    ours = _statistics(samples)
    for name in ("min", "max", "mean", "median", "q1", "q3", "iqr", "ops", "total", "rounds"):
        assert ours[name] == pytest.approx(getattr(theirs, name), abs=1e-12), name
    assert ours["stddev"] == pytest.approx(theirs.stddev, abs=1e-9)


def test_outliers_are_those_of_pytest_benchmark():
    # one sample far above the upper fence
    samples = [1.0, 1.1, 1.2, 1.3, 1.4, 9.0]
    theirs = Stats()
    theirs.data = samples
    ours = _statistics(samples)
    names = ("ld15iqr", "hd15iqr", "iqr_outliers", "stddev_outliers", "outliers")
    assert [ours[name] for name in names] == [getattr(theirs, name) for name in names]


@pytest.mark.parametrize("write", FORMATS)
def test_a_report_without_measurements_is_refused(write):
    with pytest.raises(ReportError, match="no variant of the report was measured"):
        write([report(variant("base"))])


@pytest.mark.parametrize("write", FORMATS)
def test_one_name_never_stands_for_two_measurements(write, example):
    with pytest.raises(InputError, match="was measured in more than one place"):
        write([example, example])


def test_samples_that_are_missing_are_not_invented():
    latency = LatencyMeasurement(p50=1.0, p90=None, p99=None, ci95=None, samples=(), processes=())
    empty = replace(factories.measured(1.0), latency_s=latency)
    with pytest.raises(ReportError, match="without any samples"):
        pytest_benchmark_json([report(variant("base", measurement=empty))])


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("model", ["=cmd|'/c calc'!A1", "a`|<img src=x>\n| @everyone", "\x1b[2J"])
def test_names_are_no_markup_no_formula_and_no_escape(write, model):
    hostile = report(variant("base", latency_s=0.01))
    text = write([replace(hostile, base=replace(hostile.base, model=model))])
    assert not any(character in text for character in "`|<>@\x1b")
    assert not any(line.startswith(("=", "+", "-")) for line in text.splitlines())


def test_markdown_shows_the_choice_and_its_call(example):
    text = report_markdown([example])
    assert "| choice | dwr ×2.02 | 256 | 4.97 M |" in text
    call = "    timm.create_model('convnext_atto', depths=(3, 2, 8, 2), dims=(48, 88, 176, 352))"
    assert call in text.splitlines()
