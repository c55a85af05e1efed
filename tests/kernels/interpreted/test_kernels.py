"""Every kernel against float64, element by element, on problems that differ in kind.

The launch functions are called directly: the operator would give CPU tensors to torch.
"""

import math
from dataclasses import replace

import pytest
import torch

from scaleprof_kernels import _toeplitz_weight_grad
from scaleprof_kernels._choices import can_run
from scaleprof_kernels.check import CASES, OPERATIONS, check_one, random_tensors, run_variant

# the direct kernel is unrolled, and slow to interpret: only problems that ask something new of it
DIRECT = {
    "odd-width", "more-padding-than-filter", "cropping", "one-row", "even-filter",
    "single-precision-tall-filter", "stride-2", "stride-1-by-3", "dilation-2", "dilation-7",
    "stride-and-dilation", "stride-3-even", "channels-last-single", "channels-last-stride",
}  # fmt: skip
PAIRS = [
    pytest.param(name, variant, operation, id=f"{name}-{variant}-{operation}")
    for name, problem in CASES.items()
    for variant in ("toeplitz", "direct")
    for operation in OPERATIONS
    if can_run(variant, operation, problem) and (variant == "toeplitz" or name in DIRECT)
]


@pytest.mark.parametrize(("name", "variant", "operation"), PAIRS)
def test_error_is_no_more_than_rounding_explains(name, variant, operation):
    verdict = check_one(name, CASES[name], operation, variant, device="cpu", runs=1)
    assert verdict.error <= verdict.bound


def test_a_repeated_run_gives_the_same_bits():
    verdict = check_one("odd-width", CASES["odd-width"], "weight_grad", "toeplitz", device="cpu")
    assert verdict.repeats


@pytest.mark.parametrize(("fewest", "most"), [(1, 1), (2, 2), (1, 1024)])
def test_however_steps_are_divided_among_programs_each_counts_once(fewest, most, monkeypatch):
    monkeypatch.setattr(_toeplitz_weight_grad, "_FEWEST_PROGRAMS", fewest)
    monkeypatch.setattr(_toeplitz_weight_grad, "_PROGRAMS", most)
    case = replace(CASES["blocks-of-56"], batch=32, channels=1)
    launch, _ = _toeplitz_weight_grad.plan_toeplitz_weight_grad(case, capability=90)
    assert launch.integers["chunk"] > 1
    verdict = check_one("blocks-of-56", case, "weight_grad", "toeplitz", device="cpu", runs=1)
    assert verdict.error <= verdict.bound


def test_an_image_does_not_depend_on_the_others_of_its_batch():
    many = replace(CASES["whole-rows-of-14"], batch=5)
    x, weight, bias = random_tensors(many, "forward", device="cpu")
    together = run_variant("toeplitz", "forward", many, x, weight, bias)
    alone = run_variant("toeplitz", "forward", replace(many, batch=1), x[3:4], weight, bias)
    assert torch.equal(together[3:4], alone)


# outputs beside the image, which are computed and not stored, do overflow
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_large_halves_do_not_overflow_on_the_way():
    # 21 products of 300 x 300 add up to 1.9 million, beyond float16, before 21 others take it away
    problem = replace(CASES["whole-rows-of-14"], channels=1, batch=1, padding=(0, 0, 0, 0))
    x = torch.full((1, 1, 14, 14), 300.0, dtype=torch.float16)
    weight = torch.full((1, 1, 7, 7), 300.0, dtype=torch.float16)
    weight[..., 3:] *= -1
    weight[..., 3] = 0
    y = run_variant("toeplitz", "forward", problem, x, weight, None)
    assert torch.equal(y, torch.zeros_like(y))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_stays_within_reach_of_its_filter(bad):
    problem = replace(CASES["odd-width"], channels=2)
    x, weight, bias = random_tensors(problem, "forward", device="cpu")
    x[1, 0, 5, 30] = bad
    y = run_variant("direct", "forward", problem, x, weight, bias)
    want = torch.zeros(y.shape, dtype=torch.bool)
    want[1, 0, 2:9, 27:34] = True
    assert torch.equal(~y.isfinite(), want)


def test_on_tensor_cores_it_stays_within_the_blocks_whose_windows_hold_it():
    problem = replace(CASES["odd-width"], channels=2)
    x, weight, bias = random_tensors(problem, "forward", device="cpu")
    x[1, 0, 5, 30] = math.nan
    y = run_variant("toeplitz", "forward", problem, x, weight, bias)
    hit = ~y.isfinite()
    assert hit[1, 0, 2:9, 27:34].all()
    # blocks of 4 rows and 16 columns; windows of 32 columns that start 3 before the block
    reached = torch.zeros_like(hit)
    reached[1, 0, 0:10, 0:48] = True
    assert not (hit & ~reached).any()


def test_numbers_in_strided_and_shifted_memory_are_the_same_numbers():
    problem = replace(CASES["whole-rows-of-14"], channels=2)
    x, weight, bias = random_tensors(problem, "forward", device="cpu")
    want = run_variant("toeplitz", "forward", problem, x, weight, bias)
    # storage that starts at an odd element, rows with gaps, columns first
    shifted = torch.empty(x.numel() + 1, dtype=x.dtype)[1:].view_as(x).copy_(x)
    gaps = torch.empty(2, 2, 14, 20, dtype=x.dtype)[..., :14].copy_(x)
    transposed = x.transpose(2, 3).contiguous().transpose(2, 3)
    flipped = weight.flip(-1).contiguous().flip(-1)
    for view in (shifted, gaps, transposed):
        assert torch.equal(run_variant("toeplitz", "forward", problem, view, flipped, bias), want)
