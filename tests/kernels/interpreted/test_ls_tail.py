"""The fused tail of LS convolution against float64, interpreted."""

import pytest
import torch

from scaleprof_kernels._ls_tail import can_fuse, fused_tail
from scaleprof_kernels.ls_tail import ls_tail_reference, problem_of

SIZES = [
    pytest.param(2, 24, (7, 7), id="lsnet-7"),
    pytest.param(1, 16, (14, 14), id="lsnet-14"),
    pytest.param(2, 8, (1, 5), id="one-row"),
    pytest.param(1, 72, (3, 4), id="more-channels-than-a-program"),
    pytest.param(1, 8, (28, 28), id="lsnet-28"),
]


def tensors(batch, channels, size, dtype):
    filters = channels // 8
    shapes = [(batch, channels, *size), (batch, filters, 9, *size)]
    x, weight = (torch.randn(shape).to(dtype) for shape in shapes)
    group_norm = [torch.randn(9 * filters).to(dtype) for _ in range(2)]
    batch_norm = [torch.randn(channels).to(dtype) for _ in range(3)]
    return x, weight, group_norm, [*batch_norm, torch.rand(channels).add(0.5).to(dtype)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize(("batch", "channels", "size"), SIZES)
def test_agrees_with_norm_aggregation_norm_and_residual(batch, channels, size, dtype):
    x, weight, *norms = tensors(batch, channels, size, dtype)
    got = fused_tail(problem_of(x, weight, 1e-5, 1e-3), x, weight, *norms)
    doubles = (x.double(), weight.double(), *([t.double() for t in norm] for norm in norms))
    want = ls_tail_reference(*doubles, 1e-5, 1e-3)
    # the output is rounded once, whatever is computed on the way in float32
    rounding = torch.finfo(dtype).eps * want.abs()
    sums = 16 * torch.finfo(torch.float32).eps * want.abs().max()
    assert ((got.double() - want).abs() <= rounding + sums).all()


def test_maps_that_one_program_cannot_hold_are_left():
    x, weight, *_ = tensors(1, 8, (7, 7), torch.float16)
    assert can_fuse(problem_of(x, weight, 1e-5, 1e-5))
    large = torch.empty(1, 8, 65, 64), torch.empty(1, 1, 9, 65, 64)
    assert not can_fuse(problem_of(*large, 1e-5, 1e-5))
    wide = torch.empty(1, 8, 7, 7), torch.empty(1, 1, 25, 7, 7)
    assert not can_fuse(problem_of(*wide, 1e-5, 1e-5))
