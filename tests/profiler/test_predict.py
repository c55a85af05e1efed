import msgspec
import pytest
from factories import measured
from families import SECONDS_PER_MAC, START, family, scaled

from scaleprof.profiler._predict import device_law, with_predictions


def test_an_unmeasured_variant_is_predicted_from_its_relatives():
    new = scaled("new", 3.0, known=False)
    got = with_predictions([*family(), new], on_cpu=True)[-1].prediction
    want = 3e8 * SECONDS_PER_MAC + 10 * START
    assert got.latency_s.p50 == pytest.approx(want, rel=0.05)
    assert got.latency_s.p05 < want < got.latency_s.p95
    assert got.source == "roofline by kind of work, fitted to 6 other measured variants"


def test_a_measured_variant_is_predicted_from_the_others_alone():
    wrong = family()
    wrong[3] = msgspec.structs.replace(wrong[3], measurement=measured(50.0))
    right, got = (with_predictions(rows, on_cpu=True)[3].prediction for rows in (family(), wrong))
    # its own measurement, off by a factor of 10000, weighs on the rates a little, not on the band
    assert got.latency_s.p50 == pytest.approx(right.latency_s.p50, rel=0.5)
    assert "5 other" in got.source


def test_the_base_alone_gives_a_wide_band():
    base, new = family()[0], scaled("new", 3.0, known=False)
    band = with_predictions([base, new], on_cpu=True)[1].prediction.latency_s
    assert band.p95 / band.p05 > 1.3


def test_without_recorded_work_the_log_fit_speaks():
    new = scaled("new", 3.0, known=False, work=False)
    got = with_predictions([*family(work=False), new], on_cpu=True)[-1].prediction
    assert got.source.startswith("log fit on MACs and activations of 6")


def test_nothing_measured_predicts_no_latency_and_says_why():
    got = with_predictions(
        [msgspec.structs.replace(v, measurement=None) for v in family()], on_cpu=True
    )
    assert got[0].prediction.latency_s is None
    assert "too few" in got[0].prediction.reasons["latency_s"]


def test_the_law_of_the_device_is_found():
    law = device_law(family(), on_cpu=True)
    # latency is nearly proportional to MACs, which grow with the square of width
    assert law.exponents["width"].mean == pytest.approx(1.9, abs=0.15)
    assert list(law.exponents) == ["width"]
    assert law.variants == 6
    assert law.left_out_error < 0.05
    assert 0 <= law.starting_share < 0.5


def test_one_measurement_is_no_law():
    assert device_law(family()[:1], on_cpu=True) is None
