import pytest
import torch
from torch import nn

from scaleprof_kernels import DepthwiseConv2d, merge_branches, merge_reparam, merge_reparam_

CHANNELS = 6


def conv(taps, *, dilation=1, padding=None, bias=False, **kwargs):
    padding = (dilation * (taps - 1) + 1) // 2 if padding is None else padding
    return nn.Conv2d(
        CHANNELS, CHANNELS, taps, padding=padding, dilation=dilation, groups=CHANNELS, bias=bias,
        **kwargs,
    )  # fmt: skip


def norm(**kwargs):
    """A batch norm as training leaves it: nothing is zero or one."""
    layer = nn.BatchNorm2d(CHANNELS, **kwargs)
    for values in (layer.running_var, layer.weight, layer.running_mean, layer.bias):
        if values is not None:
            nn.init.uniform_(values, 0.5, 2.0)
    return layer


class Dilated(nn.Module):
    """The layers of UniRepLKNet's block, under its names."""

    def __init__(self, taps, branches):
        super().__init__()
        self.lk_origin, self.origin_bn = conv(taps), norm()
        self.names = []
        for k, r in branches:
            setattr(self, f"dil_conv_k{k}_{r}", conv(k, dilation=r))
            setattr(self, f"dil_bn_k{k}_{r}", norm())
            self.names.append(f"k{k}_{r}")

    def forward(self, x):
        out = self.origin_bn(self.lk_origin(x))
        for name in self.names:
            out = out + getattr(self, f"dil_bn_{name}")(getattr(self, f"dil_conv_{name}")(x))
        return out


class Parallel(nn.Module):
    """The layers of RepLKNet's block, under its names."""

    def __init__(self, taps, small):
        super().__init__()
        self.lkb_origin = nn.Sequential()
        self.lkb_origin.add_module("conv", conv(taps))
        self.lkb_origin.add_module("bn", norm())
        if small:
            self.small_conv = nn.Sequential()
            self.small_conv.add_module("conv", conv(small))
            self.small_conv.add_module("bn", norm())

    def forward(self, x):
        out = self.lkb_origin(x)
        return out + self.small_conv(x) if hasattr(self, "small_conv") else out


# branches of the official blocks, by the size of the filter
BLOCKS = [
    pytest.param(
        lambda: Dilated(17, [(5, 1), (9, 2), (3, 4), (3, 5), (3, 7)]), 17, id="unireplknet-17"
    ),
    pytest.param(
        lambda: Dilated(13, [(5, 1), (7, 2), (3, 3), (3, 4), (3, 5)]), 13, id="unireplknet-13"
    ),
    pytest.param(lambda: Dilated(5, [(3, 1), (3, 2)]), 5, id="unireplknet-5"),
    pytest.param(lambda: Parallel(31, 5), 31, id="replknet-31"),
    pytest.param(lambda: Parallel(13, None), 13, id="replknet-without-a-small-branch"),
]


@pytest.mark.parametrize(("block", "taps"), BLOCKS)
def test_the_merged_block_equals_the_block(block, taps):
    block = block().eval()
    merged = merge_reparam(block)
    x = torch.randn(2, CHANNELS, 19, 21)
    torch.testing.assert_close(merged(x), block(x), rtol=1e-4, atol=1e-4)
    assert type(merged) is DepthwiseConv2d
    assert merged.kernel_size == (taps, taps)
    assert not merged.training


def test_merging_in_float64_is_exact_to_its_rounding():
    block = Dilated(13, [(5, 1), (7, 2), (3, 5)]).double().eval()
    x = torch.randn(1, CHANNELS, 15, 15, dtype=torch.float64)
    torch.testing.assert_close(merge_reparam(block)(x), block(x), rtol=1e-12, atol=1e-12)


def test_branches_of_different_padding_are_aligned():
    # the second filter reaches two rows up and two down, the first one up and three down
    first = conv((5, 3), padding=(1, 1))
    second = conv((3, 5), padding=(0, 2), bias=True)
    branches = [(first, norm()), (second, None)]
    x = torch.randn(1, CHANNELS, 11, 11)
    want = branches[0][1].eval()(first(x)) + second(x)
    torch.testing.assert_close(merge_branches(branches)(x), want, rtol=1e-4, atol=1e-5)


def test_norms_without_weights_and_strides_are_merged_too():
    branches = [(conv(7, stride=2), norm(affine=False)), (conv(3, stride=2), None)]
    x = torch.randn(1, CHANNELS, 11, 11)
    want = branches[0][1].eval()(branches[0][0](x)) + branches[1][0](x)
    torch.testing.assert_close(merge_branches(branches)(x), want, rtol=1e-4, atol=1e-5)


def test_a_model_is_merged_block_by_block():
    model = nn.Sequential(nn.ReLU(), Parallel(7, 3), nn.Sequential(Dilated(5, [(3, 2)]))).eval()
    x = torch.randn(1, CHANNELS, 9, 9)
    want = model(x)
    assert merge_reparam_(model) == ("1", "2.0")
    torch.testing.assert_close(model(x), want, rtol=1e-4, atol=1e-4)
    assert merge_reparam_(model) == ()


def test_a_block_of_another_kind_is_refused_with_its_layers():
    with pytest.raises(
        ValueError, match=r"`block` must have the layers of .*got Sequential with 0"
    ):
        merge_reparam(nn.Sequential(nn.Conv2d(3, 3, 1)))


@pytest.mark.parametrize(
    ("branches", "message"),
    [
        ([], "outputs of one size, got 0 sizes"),
        ([(nn.Conv2d(4, 4, 3), None)], "must be depthwise with zero padding"),
        ([(conv(5), None), (conv(3, padding=0), None)], "outputs of one size, got 2 sizes"),
        ([(conv(5), norm(track_running_stats=False, affine=False))], "running statistics"),
    ],
)
def test_branches_that_cannot_be_merged_are_refused(branches, message):
    with pytest.raises(ValueError, match=message):
        merge_branches(branches)
