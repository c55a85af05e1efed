"""A model measured as it is. What is asserted never depends on how fast it is."""

import os
from pathlib import Path

import pytest

import scaleprof
from scaleprof.errors import InputError, ModelError

NETS = os.path.relpath(Path(__file__).parents[1] / "models" / "nets.py")
PLENTY_S = 900


@pytest.fixture(scope="module")
def report():
    return scaleprof.measure(
        f"{NETS}:Net", inputs="3x64x64", device="cpu", processes=3, time_limit=PLENTY_S
    )


def test_only_the_base_is_there_with_its_modules(report):
    (base,) = report.variants
    assert base.id == "base"
    assert {"", "stem", "head"} <= {row.path for row in base.cost.modules}
    assert report.selection is None
    assert report.selection_reason == "only the base was measured: nothing was chosen"


def test_every_process_is_counted_or_named_as_discarded(report):
    measurement = report.variants[0].measurement
    # one that others disturbed is measured again
    assert len(measurement.latency_s.processes) + measurement.discarded_processes >= 3


def test_a_report_of_the_base_is_its_own_baseline(report):
    check = scaleprof.check(report, baseline=report, gates=["macs:+0", "memory.planned:+0"])
    assert check.verdict == "pass"


def test_the_time_limit_ends_it_with_a_note():
    report = scaleprof.measure(
        f"{NETS}:Net", inputs=["3x64x64"], device="cpu", processes=100, time_limit=10
    )
    assert report.variants[0].measurement.status == "ok"
    assert any(note.startswith("the time limit ended it") for note in report.notes)


@pytest.mark.parametrize("processes", [0, 101])
def test_a_number_of_processes_that_makes_no_sense_is_refused(processes):
    with pytest.raises(InputError, match="between 1 and 100"):
        scaleprof.measure(f"{NETS}:Net", inputs=["3x64x64"], processes=processes)


def test_a_model_that_misbehaves_is_an_error_of_one_line():
    with pytest.raises(ModelError) as caught:
        scaleprof.measure(f"{NETS}:Net", inputs=["5x64x64"], device="cpu", time_limit=PLENTY_S)
    assert "\n" not in str(caught.value)
