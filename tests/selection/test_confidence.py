import pytest

from scaleprof.errors import BudgetError
from scaleprof.selection import parse_confidence


@pytest.mark.parametrize("given", ["95%", "95 %", "0.95", ".95", " 95.0% ", 0.95])
def test_a_chance_is_read_as_people_write_it(given):
    assert parse_confidence(given) == pytest.approx(0.95)


@pytest.mark.parametrize("given", ["50%", 0.5, "99.9%", 0.999])
def test_the_ends_are_allowed(given):
    assert 0.5 <= parse_confidence(given) <= 0.999


@pytest.mark.parametrize(
    "given", ["", "sure", "49.9%", 0.4999, "100%", 1.0, 0, -0.9, "99.99%", "nan", "inf", "9 5%"]
)
def test_what_is_no_chance_is_refused_in_one_line(given):
    with pytest.raises(BudgetError, match=r"from 50% to 99\.9%") as caught:
        parse_confidence(given)
    assert "\n" not in str(caught.value)


def test_a_forgotten_percent_sign_is_guessed_in_the_hint():
    with pytest.raises(BudgetError) as caught:
        parse_confidence("90")
    assert caught.value.hint == "write 90%"
