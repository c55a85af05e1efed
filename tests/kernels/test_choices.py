import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scaleprof_kernels import Choice, read_choices, use_choices, write_choices
from scaleprof_kernels._choices import MODELLED, can_run, choose
from scaleprof_kernels._problem import Problem
from scaleprof_kernels.check import CASES, OPERATIONS


@pytest.fixture(autouse=True)
def _built_in_table():
    yield
    use_choices(None)


def problem(taps=13, **kwargs):
    defaults = {"batch": 32, "channels": 384, "size": (28, 28), "dtype": torch.float16}
    padding = (taps // 2,) * 4
    return Problem(**{**defaults, "kernel": (taps, taps), "padding": padding, **kwargs})


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param(problem(), "toeplitz", id="half-precision"),
        pytest.param(problem(dtype=torch.bfloat16), "toeplitz", id="brain-float"),
        pytest.param(problem(dtype=torch.float32), "direct", id="exact-single-precision"),
        pytest.param(problem(dtype=torch.float64), "torch", id="double-precision"),
        pytest.param(problem(taps=5), "torch", id="few-taps"),
        pytest.param(problem(batch=1, channels=16), "torch", id="little-work"),
        pytest.param(problem(stride=(2, 2)), "direct", id="stride"),
        pytest.param(problem(dilation=(40, 40)), "torch", id="inputs-that-never-meet-twice"),
        pytest.param(problem(taps=7, channels_last=True), "direct", id="channels-last-few-taps"),
        pytest.param(problem(channels_last=True), "toeplitz", id="channels-last-many-taps"),
        pytest.param(problem(taps=201, size=(300, 300)), "direct", id="larger-than-any-window"),
        pytest.param(problem(size=(40_000, 40_000)), "torch", id="offsets-beyond-32-bits"),
    ],
)
def test_the_built_in_table_chooses(given, want):
    assert choose("forward", given).variant == want


def test_the_input_gradient_at_a_stride_runs_on_kernels_of_stride_one():
    strided = problem(stride=(2, 2))
    assert choose("input_grad", strided).variant == "toeplitz"
    assert choose("input_grad", replace(strided, dtype=torch.float32)).variant == "direct"
    assert choose("weight_grad", strided).variant == "direct"
    # taps apart, or fewer than the stride, leave inputs that no kernel of ours would write
    assert choose("input_grad", problem(stride=(2, 2), dilation=(2, 2))).variant == "torch"
    assert choose("input_grad", problem(kernel=(13, 2), stride=(1, 3))).variant == "torch"


def test_every_entry_says_where_it_is_known_from():
    assert {choice.origin for choice in MODELLED} == {"modelled"}


def test_a_measured_table_goes_first_and_can_be_taken_back(tmp_path):
    measured = Choice(
        variant="direct", origin="measured on a test", operations=("forward",), taps=(13, 13),
        outputs=(20, 40), plain=True,
    )  # fmt: skip
    path = tmp_path / "choices.json"
    write_choices([measured], path)
    assert read_choices(path) == (measured,)
    use_choices(path)
    assert choose("forward", problem()) == measured
    assert choose("weight_grad", problem()).variant == "toeplitz"
    assert choose("forward", problem(taps=17)).origin == "modelled"
    use_choices(None)
    assert choose("forward", problem()).variant == "toeplitz"


def test_a_table_cannot_choose_what_cannot_run():
    use_choices([Choice(variant="toeplitz", origin="wishful", dtypes=("float32", "float64"))])
    assert choose("forward", problem(dtype=torch.float32)).variant == "direct"
    assert choose("forward", problem(dtype=torch.float64)).variant == "torch"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"choices": [{"variant": "direct"}]}'])
def test_a_file_that_is_not_a_table_is_refused(content, tmp_path):
    path = tmp_path / "choices.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="does not hold choices of kernels"):
        read_choices(path)


@given(
    size=st.tuples(*(st.integers(1, 300),) * 2),
    kernel=st.tuples(*(st.integers(1, 60),) * 2),
    stride=st.tuples(*(st.integers(1, 3),) * 2),
    dilation=st.tuples(*(st.integers(1, 3),) * 2),
    padding=st.tuples(*(st.integers(0, 60),) * 4),
    batch=st.integers(1, 200),
    dtype=st.sampled_from([torch.float16, torch.float32]),
    channels_last=st.booleans(),
)
def test_whatever_is_chosen_can_run_and_be_planned(**shape):
    any_problem = Problem(channels=64, **shape)
    if min(any_problem.out_size) < 1:
        return
    pytest.importorskip("triton")
    from scaleprof_kernels._kernels import launches

    for operation in OPERATIONS:
        variant = choose(operation, any_problem).variant
        assert can_run(variant, operation, any_problem)
        if variant != "torch":
            planned = launches(variant, operation, any_problem, capability=90)
            assert min(launch.grid for launch in planned) > 0


@pytest.mark.parametrize("name", CASES)
def test_transposing_twice_gives_the_problem_back(name):
    case = CASES[name]
    if case.stride == (1, 1):
        assert case.transposed().transposed() == case
        assert case.transposed().out_size == case.size


def test_the_cases_reach_every_kernel_with_every_operation():
    reached = {
        (variant, operation)
        for case, variant, operation in itertools.product(
            CASES.values(), ("toeplitz", "direct"), OPERATIONS
        )
        if can_run(variant, operation, case)
    }
    assert len(reached) == 6


@pytest.mark.parametrize(("stride", "variant"), [((2, 2), "toeplitz"), ((4, 4), "torch")])
def test_input_gradients_of_many_launches_go_to_torch(stride, variant):
    assert choose("input_grad", problem(size=(56, 56), stride=stride)).variant == variant
