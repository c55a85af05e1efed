"""What is made of timings and verdicts, on timings made by hand: no clock is read here."""

import math

import pytest
import torch

from scaleprof_kernels import use_choices
from scaleprof_kernels._choices import choose
from scaleprof_kernels._table import failures, timings_table, verdicts_table
from scaleprof_kernels.bench import Timing, chosen, contenders, measured_choices
from scaleprof_kernels.check import CASES, OPERATIONS, Verdict, random_tensors, same_size

PROBLEM = same_size(
    batch=32, channels=384, size=(28, 28), kernel=(13, 13), dtype=torch.float16
)  # fmt: skip


@pytest.fixture(autouse=True)
def _built_in_table():
    yield
    use_choices(None)


def timings(problem=PROBLEM, operation="forward", **seconds):
    names = {"NCHW": "torch NCHW", "NHWC": "torch NHWC"}
    return [
        Timing(
            operation=operation, problem=problem, contender=names.get(name, name),
            samples_s=(value,) * 5 if value else (), failure=None if value else "it broke",
        )
        for name, value in seconds.items()
    ]  # fmt: skip


def test_the_statistic_is_the_median_and_its_spread_the_quartiles():
    timing = Timing(
        operation="forward",
        problem=PROBLEM,
        contender="copy",
        samples_s=(1.0, 2.0, 3.0, 4.0, 100.0),
    )
    assert timing.median_s == 3.0
    # quartiles of five samples, exclusive: 1.5 and 52
    assert timing.spread == pytest.approx((52 - 1.5) / 3)


def test_the_table_shows_our_choice_beside_the_floor_and_the_better_of_torch():
    rows = timings_table(
        timings(copy=10e-6, toeplitz=20e-6, direct=50e-6, NCHW=300e-6, NHWC=100e-6)
    ).splitlines()
    assert len(rows) == 2
    assert rows[1].split() == [
        "forward", "32×384×28×28", "13×13", "float16", "10.0", "20.0", "toeplitz", "0%", "50%",
        "300.0", "100.0", "5.0×",
    ]  # fmt: skip


def test_what_did_not_run_is_blank_in_the_table_and_named_below():
    given = timings(copy=10e-6, toeplitz=None, NCHW=300e-6)
    row = timings_table(given).splitlines()[1]
    assert "10.0" in row
    assert "%" not in row
    assert failures(given) == ["toeplitz did not run forward of 32×384×28×28, 13×13 taps: it broke"]


def test_measured_choices_take_the_fastest_in_the_order_of_memory_of_the_input():
    # torch is faster in the other order of memory, which is not the input's
    entries = measured_choices(
        timings(copy=1e-6, toeplitz=20e-6, direct=15e-6, NCHW=30e-6, NHWC=5e-6), origin="measured"
    )
    assert [entry.variant for entry in entries] == ["direct"]
    use_choices(entries)
    assert choose("forward", PROBLEM) == entries[0]
    assert choose("input_grad", PROBLEM).origin == "modelled"


def test_what_the_table_chooses_is_what_is_reported():
    given = timings(copy=1e-6, toeplitz=20e-6, NCHW=2e-6)
    assert chosen("forward", PROBLEM, given).contender == "toeplitz"
    use_choices(measured_choices(given, origin="measured"))
    assert chosen("forward", PROBLEM, given).contender == "torch NCHW"
    assert chosen("weight_grad", PROBLEM, given) is None


@pytest.mark.parametrize("operation", OPERATIONS)
def test_contenders_include_torch_which_computes_the_right_shape(operation):
    case = CASES["channels-last-stride"]
    tensors = random_tensors(case, operation, device="cpu")
    found = contenders(operation, case)
    shapes = {
        "forward": (2, 40, *case.out_size), "input_grad": (2, 40, *case.size),
        "weight_grad": (40, 1, *case.kernel),
    }  # fmt: skip
    assert {"torch NCHW", "torch NHWC"} <= set(found)
    assert "direct" in found
    assert found["torch NCHW"](*tensors).shape == shapes[operation]


def test_verdicts_show_the_worst_of_each_kernel_and_every_failure():
    def verdict(case, error, **kwargs):
        fields = {"operation": "forward", "variant": "direct", "bound": 4.0, "repeats": True}
        return Verdict(case=case, error=error, **{**fields, **kwargs})

    table = verdicts_table(
        [verdict("a", 1.0), verdict("b", 3.0), verdict("c", math.nan, variant="toeplitz")]
    )
    rows = [row.split() for row in table.splitlines()[1:]]
    assert rows[0] == ["direct", "forward", "2", "0", "3.00", "/", "4", "b"]
    assert rows[1] == ["toeplitz", "forward", "1", "1", "nan", "/", "4", "c"]
    assert rows[2] == ["toeplitz", "forward", "failed", "nan", "/", "4", "c"]


def test_a_verdict_fails_on_error_on_nan_and_on_bits_that_change():
    def passes(error, repeats=True):
        return Verdict(
            case="", operation="forward", variant="direct", error=error, bound=1.0, repeats=repeats
        ).passed

    assert passes(1.0)
    assert not passes(1.01)
    assert not passes(math.nan)
    assert not passes(0.5, repeats=False)
