"""The fused tail with its 1×1 convolution against float64, interpreted."""

from dataclasses import replace

import pytest
import torch

from scaleprof_kernels._ls_choices import choose_tail
from scaleprof_kernels._ls_conv_tail import fused_conv_tail
from scaleprof_kernels.ls_conv_tail import conv_problem_of, ls_conv_tail_reference

HALVES = [torch.float16, torch.bfloat16]
# batch, channels, hidden channels, height and width
SIZES = [
    pytest.param(2, 24, 12, (7, 7), id="lsnet-7"),
    pytest.param(1, 16, 40, (14, 14), id="lsnet-14"),
    pytest.param(1, 136, 70, (7, 7), id="more-filters-than-a-program"),
    pytest.param(2, 8, 4, (1, 1), id="one-pixel"),
    pytest.param(1, 72, 33, (9, 3), id="rows-to-spare"),
    pytest.param(2, 8, 16, (3, 19), id="wide"),
]


def tensors(batch, channels, inner, size, dtype):
    filters = channels // 8

    def normal(*shape):
        return torch.randn(shape).to(dtype)

    convolution = [normal(filters, 9, inner) / inner**0.5, normal(9 * filters)]
    group_norm = [normal(9 * filters) for _ in range(2)]
    batch_norm = [*(normal(channels) for _ in range(3)), torch.rand(channels).add(0.5).to(dtype)]
    x, hidden = normal(batch, channels, *size), normal(batch, inner, *size)
    return x, hidden, convolution, group_norm, batch_norm


def doubled(value):
    return [doubled(v) for v in value] if isinstance(value, list) else value.double()


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize(("batch", "channels", "inner", "size"), SIZES)
def test_agrees_with_all_parts_one_after_the_other(batch, channels, inner, size, dtype):
    given = tensors(batch, channels, inner, size, dtype)
    problem = conv_problem_of(*given[:2], given[2][0], 1e-3, 1e-3)
    assert choose_tail(problem).variant == "product"
    got = fused_conv_tail(problem, *given)
    want = ls_conv_tail_reference(*(doubled(value) for value in given), 1e-3, 1e-3)
    # the output is rounded once, whatever is computed on the way in float32
    rounding = torch.finfo(dtype).eps * want.abs()
    sums = 64 * torch.finfo(torch.float32).eps * want.abs().max()
    assert ((got.double() - want).abs() <= rounding + sums).all()


def test_a_large_bias_does_not_drown_the_variance():
    x, hidden, (filters, bias), *norms = tensors(1, 8, 16, (7, 7), torch.float16)
    given = x, hidden, [filters, bias + 1000], *norms
    problem = conv_problem_of(x, hidden, filters, 1e-5, 1e-5)
    got = fused_conv_tail(problem, *given)
    want = ls_conv_tail_reference(*(doubled(value) for value in given), 1e-5, 1e-5)
    assert (got.double() - want).abs().max() <= 2e-3 * want.abs().max()


def test_an_image_does_not_depend_on_the_others_of_its_batch():
    x, hidden, *others = tensors(3, 24, 12, (7, 7), torch.float16)
    problem = conv_problem_of(x, hidden, others[0][0], 1e-5, 1e-5)
    together = fused_conv_tail(problem, x, hidden, *others)
    alone = fused_conv_tail(replace(problem, batch=1), x[2:], hidden[2:], *others)
    assert torch.equal(together[2:], alone)


@pytest.mark.parametrize(
    ("change", "variant"),
    [
        ({}, "product"),
        ({"dtype": torch.float32}, "norm"),
        ({"dtype": torch.float64}, "parts"),
        ({"size": (28, 28)}, "norm"),
        ({"inner": 0}, "norm"),
        ({"inner": 512}, "norm"),
        ({"kernel_size": 5}, "parts"),
        ({"size": (65, 64)}, "parts"),
    ],
    ids=str,
)
def test_what_a_kernel_cannot_hold_is_left_to_the_next(change, variant):
    x, hidden, (filters, _), *_ = tensors(1, 16, 8, (7, 7), torch.float16)
    problem = replace(conv_problem_of(x, hidden, filters, 1e-5, 1e-5), **change)
    assert choose_tail(problem).variant == variant
