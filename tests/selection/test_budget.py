import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleprof.errors import BudgetError
from scaleprof.selection import METRICS, parse_budget


@pytest.mark.parametrize(
    ("text", "metric", "limit", "relative"),
    [
        pytest.param("latency<=5ms", "latency", 0.005, None, id="absolute"),
        pytest.param(" latency.p99 <= 8 ms ", "latency.p99", 0.008, None, id="spaces"),
        pytest.param("throughput>=200/s", "throughput", 200.0, None, id="at-least"),
        pytest.param("memory.process<=1GB", "memory.process", 1e9, None, id="kind-of-memory"),
        pytest.param("latency<=2x", "latency", None, 2.0, id="relative"),
        pytest.param("macs<=1.5×", "macs", None, 1.5, id="relative-by-the-sign"),
        pytest.param("params<=10M", "params", 1e7, None, id="count"),
    ],
)
def test_budgets_parse(text, metric, limit, relative):
    budget = parse_budget(text)
    assert (budget.metric, budget.limit, budget.relative) == (metric, limit, relative)


@pytest.mark.parametrize(
    "text",
    ["latency>=5ms", "throughput<=10/s", "latency<5ms", "latency=5ms", "memory>=1GiB"],
)
def test_a_direction_that_makes_no_sense_is_refused(text):
    with pytest.raises(BudgetError, match="makes no sense") as caught:
        parse_budget(text)
    # the hint is itself a budget
    parse_budget(caught.value.hint.removeprefix("write "))


@pytest.mark.parametrize(
    "text",
    ["", "latency", "latency<=", "latency<=5", "latency<=5MB", "speed<=5ms", "latency<=-5ms",
     "latency<=0x", "latency<=nanx", "latency<=5ms5", "<=5ms"],
)  # fmt: skip
def test_what_is_not_a_budget_is_refused_in_one_line(text):
    with pytest.raises(BudgetError) as caught:
        parse_budget(text)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_a_budget_or_a_budget_error(text):
    try:
        assert parse_budget(text).metric in METRICS
    except BudgetError:
        pass


def test_a_relative_budget_needs_the_bases_value():
    budget = parse_budget("energy<=2x")
    with pytest.raises(BudgetError, match="unknown"):
        budget.limit_for(None)
    assert budget.limit_for(3.0) == 6.0
