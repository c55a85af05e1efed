"""The fixture in test suites of others, run by pytest itself."""

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from factories import report, variant

from scaleprof.records import Measurement, replace
from scaleprof.reports import read_report, write_json
from scaleprof.timing import summarise

pytest_plugins = ["pytester"]


def profile(latency_s, *, dtype="float32"):
    measured = Measurement(
        status="ok",
        latency_s=summarise([[latency_s] * 20] * 6),
        peak_bytes=4000,
        peak_bytes_source="planned",
    )
    made = report(variant("base", measurement=measured))
    return replace(made, context=replace(made.context, dtype=dtype))


@pytest.fixture
def suite(pytester, monkeypatch):
    # scaleprof may be installed with its entry point or not; here it is loaded once in either case
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name, seconds in (("main", 0.010), ("slow", 0.015), ("near", 0.011)):
        write_json(profile(seconds), str(pytester.path / f"{name}.json"))
    write_json(profile(0.010, dtype="float16"), str(pytester.path / "other.json"))
    return pytester


def run(suite, body, *arguments):
    suite.makepyfile(f"def test_it(scaleprof):\n    {body}")
    return suite.runpytest_subprocess("-p", "scaleprof.pytest_plugin", "-rs", *arguments)


GATES = 'baseline="main.json", gates=["latency.p50:+10%"]'


@pytest.mark.parametrize(
    ("body", "outcome", "message"),
    [
        pytest.param(f'scaleprof.check("main.json", {GATES})', "passed", "1 passed", id="pass"),
        pytest.param(f'scaleprof.check("slow.json", {GATES})', "failed", "FAIL  base", id="fail"),
        pytest.param(
            f'scaleprof.check("near.json", {GATES})', "skipped", "too near", id="undecided"
        ),
        pytest.param(
            f'scaleprof.check("near.json", {GATES}, inconclusive="fail")', "failed",
            "inconclusive", id="undecided-fails",
        ),
        pytest.param(
            'scaleprof.check("main.json", budgets="latency<=5ms")', "failed", "FAIL", id="budget"
        ),
        pytest.param(
            f'scaleprof.check("other.json", {GATES})', "failed",
            "hint: record the baseline anew", id="other-conditions",
        ),
        pytest.param(
            'scaleprof.check("main.json", baseline="none.json", gates="macs:+0")', "failed",
            "hint: run pytest --scaleprof-record", id="no-baseline",
        ),
        pytest.param(
            'scaleprof.measure("nowhere.py:Net")', "failed", "nowhere.py", id="no-model"
        ),
    ],
)  # fmt: skip
def test_a_check_decides_the_test(suite, body, outcome, message):
    done = run(suite, body)
    done.assert_outcomes(**{outcome: 1})
    text = done.stdout.str()
    assert message in text
    # what is wrong, and no traceback into scaleprof
    assert "pytest_plugin.py" not in text.replace("/pytest_plugin.py:", "", 1)


def test_recording_writes_the_baseline(suite):
    body = 'scaleprof.check("slow.json", baseline="new.json", gates="latency:+10%")'
    run(suite, body, "--scaleprof-record").assert_outcomes(passed=1)
    recorded = read_report(str(suite.path / "new.json"))
    assert recorded.variant("base").measurement.latency_s.p50 == 0.015
    run(suite, body).assert_outcomes(passed=1)


def test_a_model_is_measured_once_a_session_and_held(suite):
    suite.makepyfile(
        nets="import torch\ndef net(width=4):\n    return torch.nn.Conv2d(3, width, 3)\n"
    )
    suite.makepyfile("""
        import pytest

        @pytest.fixture
        def net(scaleprof):
            return scaleprof.measure(
                "nets.py:net", inputs=["3x16x16"], device="cpu", processes=2, time_limit=900
            )

        def test_parameters(scaleprof, net):
            # 3 * 4 * 9 + 4
            assert scaleprof.check(net, budgets="params<=112").lines[0].now == 112

        def test_it_was_measured_in_two_processes(scaleprof, net):
            measurement = net.variant("base").measurement
            assert len(measurement.latency_s.processes) + measurement.discarded_processes >= 2
            again = scaleprof.measure(
                "nets.py:net", inputs=["3x16x16"], device="cpu", processes=2, time_limit=900
            )
            assert again is net
    """)
    done = suite.runpytest_subprocess("-p", "scaleprof.pytest_plugin")
    done.assert_outcomes(passed=2)


def test_pytest_starts_without_loading_more_than_the_plugin(suite):
    suite.makepyfile("def test_nothing(): pass")
    code = (
        "import sys, pytest; pytest.main(['-p', 'scaleprof.pytest_plugin', '-q'])\n"
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=suite.path)  # fmt: skip
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "scaleprof.pytest_plugin" in loaded
    assert not {"torch", "numpy", "msgspec", "scaleprof.records"} & loaded


def test_the_entry_point_is_the_plugin():
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    (module,) = project["entry-points"]["pytest11"].values()
    assert hasattr(import_module(module), "pytest_addoption")
