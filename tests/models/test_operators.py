"""Who runs the operators of a model that torch and our kernels both have."""

import torch
from torch import nn

from scaleprof.models import kernel_name, use_kernels
from scaleprof.models.lsnet import lsnet_t
from scaleprof.models.unireplknet import unireplknet_t
from scaleprof_kernels import DepthwiseConv2d

LSNET = {"dims": (16, 32, 48, 64), "depths": (1, 2, 3, 2), "img_size": 64}
UNIREPLKNET = {"dims": (8, 16, 24, 32), "depths": (1, 2, 2, 1), "deploy": True}


def test_large_depthwise_kernels_and_the_parts_of_ls_convolution_are_found():
    found = use_kernels(lsnet_t(**LSNET), "torch")
    # two of LSConv's blocks, each with a 7×7 kernel, an aggregation and two tails
    names = sorted(path.split(".", 2)[2] for path in found)
    assert names == sorted(["mixer.lkp.cv2.c", "mixer.ska", "mixer.tail", "mixer.conv_tail"] * 2)
    found = use_kernels(unireplknet_t(**UNIREPLKNET), "torch")
    # the first stage and every second block of the third have 3×3 kernels
    assert len(found) == 2 + 1 + 1
    assert use_kernels(nn.Sequential(nn.Conv2d(8, 8, 3, groups=8)), "triton") == {}


def test_a_model_can_be_swapped_back_and_forth_and_computes_the_same():
    model = unireplknet_t(**UNIREPLKNET).eval()
    x = torch.randn(1, 3, 64, 64)
    want = model(x)
    for kernels, kind in (("triton", DepthwiseConv2d), ("torch", nn.Conv2d), ("triton", None)):
        found = use_kernels(model, kernels)
        assert len(found) == 4
        assert kind is None or {type(part) for part in found.values()} == {kind}
        torch.testing.assert_close(model(x), want)


def test_what_runs_an_operator_is_named():
    model = lsnet_t(**LSNET).eval()
    found = use_kernels(model, "triton")
    x, weight = torch.ones(1, 16, 7, 7), torch.ones(1, 2, 9, 7, 7)
    # on a CPU torch does it, whoever was asked
    filters = torch.ones(2, 9, 9)
    names = {kernel_name(operator, x, weight, filters) for operator in found.values()}
    assert names == {
        "depthwise_conv2d: torch", "small_kernel_aggregation: torch", "ls_tail: torch",
        "ls_conv_tail: torch",
    }  # fmt: skip
    assert kernel_name(nn.Conv2d(8, 8, 7, groups=8), x) == "depthwise_conv2d: torch"
