import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleprof.units import format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        pytest.param("5ms", "time", 0.005, id="time"),
        pytest.param("1.5 us", "time", 1.5e-6, id="space-before-unit"),
        pytest.param("2GiB", "bytes", 2 * 2**30, id="binary-prefix"),
        pytest.param("2GB", "bytes", 2e9, id="decimal-prefix"),
        pytest.param("28.6M", "count", 28.6e6, id="count"),
        pytest.param("1000", "count", 1000.0, id="bare-count"),
        pytest.param("20mJ", "energy", 0.02, id="energy"),
        pytest.param("60/min", "rate", 1.0, id="rate"),
    ],
)
def test_quantities_are_in_base_units(text, dimension, value):
    assert parse_quantity(text, dimension) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("text", ["5", "ms", "", "-5ms", "0ms", "5 parsecs", "nan ms", "1e999s"])
def test_what_is_not_a_positive_time_is_refused(text):
    with pytest.raises(ValueError, match=r"expected|missing|unknown"):
        parse_quantity(text, "time")


def test_an_unknown_quantity_is_never_shown_as_zero():
    assert format_quantity(None, "time") == "unknown"


@pytest.mark.parametrize(
    ("value", "dimension", "text"),
    [
        (0.0, "time", "0 ns"),
        (0.9999, "time", "1.00 s"),
        (0.0123456, "time", "12.3 ms"),
        (1023 * 2**20, "bytes", "1023 MiB"),
        (999_960_000, "count", "1.00 G"),
        (7, "count", "7.00"),
    ],
)
def test_quantities_are_shown_with_three_digits(value, dimension, text):
    assert format_quantity(value, dimension) == text


@given(st.floats(1e-8, 1e4))
def test_a_shown_time_reads_back_within_its_digits(seconds):
    assert parse_quantity(format_quantity(seconds, "time"), "time") == pytest.approx(
        seconds, rel=0.006
    )
