"""The kernels of LS convolution against float64, element by element, interpreted.

The launch functions are called directly: the operator would give CPU tensors to torch.
"""

import math
from dataclasses import replace

import pytest
import torch

from scaleprof_kernels._aggregate import aggregate, can_aggregate
from scaleprof_kernels._aggregate_backward import aggregate_backward
from scaleprof_kernels.bench_aggregation import unfolded
from scaleprof_kernels.check_aggregation import (
    AGGREGATION_CASES,
    AGGREGATION_OPERATIONS,
    check_one_aggregation,
    random_aggregation,
)

PAIRS = [
    pytest.param(name, operation, id=f"{name}-{operation}")
    for name, problem in AGGREGATION_CASES.items()
    for operation in AGGREGATION_OPERATIONS
    if can_aggregate(problem)
]


@pytest.mark.parametrize(("name", "operation"), PAIRS)
def test_error_is_no_more_than_rounding_explains(name, operation):
    verdict = check_one_aggregation(name, AGGREGATION_CASES[name], operation, device="cpu", runs=1)
    assert verdict.error <= verdict.bound


@pytest.mark.parametrize("name", ["more-channels-than-a-program", "five-by-five"])
def test_a_repeated_run_gives_the_same_bits(name):
    problem = AGGREGATION_CASES[name]
    verdict = check_one_aggregation("shares", problem, "weight_grad", device="cpu")
    assert verdict.repeats


def test_channels_that_are_equal_modulo_the_weight_channels_share_weights():
    # three weight channels with the constants 1, 2 and 3 in the middle tap
    problem = replace(AGGREGATION_CASES["two-by-two"], channels=6, groups=2)
    weight = torch.zeros(2, 3, 9, 2, 2)
    weight[:, :, 4] = torch.tensor([1.0, 2.0, 3.0])[:, None, None]
    y = aggregate(problem, torch.ones(2, 6, 2, 2), weight)
    assert y[0, :, 0, 0].tolist() == [1, 2, 3, 1, 2, 3]


def test_an_image_does_not_depend_on_the_others_of_its_batch():
    many = AGGREGATION_CASES["many-images-in-a-program"]
    x, weight, _ = random_aggregation(many, device="cpu")
    together = aggregate(many, x, weight)
    alone = aggregate(replace(many, batch=1), x[7:8], weight[7:8])
    assert torch.equal(together[7:8], alone)


@pytest.mark.parametrize("wanted", [(True, False), (False, True)], ids=["x", "weight"])
@pytest.mark.parametrize(
    "name", ["two-by-two", "clamped", "more-channels-than-a-program", "five-by-five-autocast"]
)
def test_only_the_gradient_that_is_wanted_is_computed(name, wanted):
    problem = AGGREGATION_CASES[name]
    x, weight, grad = random_aggregation(problem, device="cpu")
    both = aggregate_backward(problem, grad, x, weight, (True, True))
    got = aggregate_backward(problem, grad, x, weight, wanted)
    assert [part.numel() > 0 for part in got] == list(wanted)
    index = wanted.index(True)
    assert torch.equal(got[index], both[index])


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("place", [(3, 2), (0, 0), (5, 4), (5, 0)], ids=str)
def test_a_value_that_is_not_finite_stays_within_the_windows_that_hold_it(bad, place):
    problem = replace(AGGREGATION_CASES["channels-last-single"], channels=2, groups=2)
    x, weight, _ = random_aggregation(problem, device="cpu")
    x[1, 0, place[0], place[1]] = bad
    y = aggregate(problem, x, weight)
    want = torch.zeros(y.shape, dtype=torch.bool)
    rows, columns = (slice(max(p - 1, 0), p + 2) for p in place)
    want[1, 0, rows, columns] = True
    assert torch.equal(~y.isfinite(), want)


# outputs at the border have fewer terms, and do overflow
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_large_halves_do_not_overflow_on_the_way():
    # 4 products of 300 x 300 add up beyond float16, before 4 others take them away
    problem = replace(AGGREGATION_CASES["two-by-two"], size=(3, 3), dtype=torch.float16)
    x = torch.full((2, 6, 3, 3), 300.0, dtype=torch.float16)
    weight = torch.full((2, 3, 9, 3, 3), 300.0, dtype=torch.float16)
    weight[:, :, 5:] *= -1
    weight[:, :, 4] = 0
    y = aggregate(problem, x, weight)
    assert torch.equal(y[..., 1, 1], torch.zeros_like(y[..., 1, 1]))


@pytest.mark.parametrize("name", ["lsnet-7", "channels-last", "five-by-five-channels-last"])
def test_weights_are_read_where_they_lie(name):
    problem = AGGREGATION_CASES[name]
    x, weight, grad = random_aggregation(problem, device="cpu")
    want = aggregate(problem, x, weight)
    taps_last = weight.permute(0, 3, 4, 1, 2).contiguous().permute(0, 3, 4, 1, 2)
    sliced = torch.cat([weight, weight], 2)[:, :, : problem.taps]
    expanded = weight[:1].expand_as(weight)
    for view in (taps_last, sliced):
        assert torch.equal(aggregate(problem, x, view), want)
    assert torch.equal(
        aggregate(problem, x, expanded), aggregate(problem, x, expanded.contiguous())
    )
    gradients = aggregate_backward(problem, grad, x, weight, (True, True))
    for ours, theirs in zip(
        aggregate_backward(problem, grad, x, taps_last, (True, True)), gradients, strict=True
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ["one-tap", "two-by-two", "five-by-five", "seven-by-seven"])
def test_gradients_are_those_of_unfolding(name):
    problem = replace(AGGREGATION_CASES[name], dtype=torch.float32)
    x, weight, grad = random_aggregation(problem, device="cpu")
    inputs = [tensor.double().requires_grad_() for tensor in (x, weight)]
    want = torch.autograd.grad(unfolded(*inputs), inputs, grad.double())
    got = aggregate_backward(problem, grad, x, weight, (True, True))
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5)


def test_inputs_in_strided_and_shifted_memory_are_the_same_numbers():
    problem = AGGREGATION_CASES["lsnet-14"]
    x, weight, _ = random_aggregation(problem, device="cpu")
    want = aggregate(problem, x, weight)
    shifted = torch.empty(x.numel() + 1, dtype=x.dtype)[1:].view_as(x).copy_(x)
    gaps = torch.empty(*x.shape[:3], 20, dtype=x.dtype)[..., :14].copy_(x)
    for view in (shifted, gaps, x.transpose(2, 3).contiguous().transpose(2, 3)):
        assert torch.equal(aggregate(problem, view, weight), want)
