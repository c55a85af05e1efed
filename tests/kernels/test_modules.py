import copy

import pytest
import torch
from torch import nn

from scaleprof_kernels import DepthwiseConv2d, replace_depthwise_, restore_depthwise_


class Lazy(nn.Conv2d):
    """A convolution of another class, which may compute anything."""


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [0, 3, (2, 1), "same"])
def test_equals_the_layer_it_replaces(mode, padding):
    theirs = nn.Conv2d(6, 6, (7, 5), padding=padding, groups=6, padding_mode=mode)
    ours = DepthwiseConv2d(6, 6, (7, 5), padding=padding, groups=6, padding_mode=mode)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 6, 12, 11)
    torch.testing.assert_close(ours(x), theirs(x))


def test_swaps_what_is_eligible_and_says_why_it_left_the_rest():
    model = nn.ModuleDict(
        {
            "large": nn.Conv2d(8, 8, 13, padding=6, groups=8),
            "tall": nn.Conv2d(8, 8, (51, 5), groups=8),
            "small": nn.Conv2d(8, 8, 5, groups=8),
            "dense": nn.Conv2d(8, 8, 7),
            "grouped": nn.Conv2d(8, 8, 7, groups=2),
            "multiplied": nn.Conv2d(8, 16, 7, groups=8),
            "other": Lazy(8, 8, 7, groups=8),
        }
    )
    got = replace_depthwise_(model)
    assert got.swapped == ("large", "tall")
    assert got.left == {
        "small": "5×5 taps, which torch does well",
        "dense": "1 group of 8 channels",
        "grouped": "2 groups of 8 channels",
        "multiplied": "2 filters per channel",
        "other": "a Lazy, which may compute something else",
    }
    assert type(model["large"]) is DepthwiseConv2d
    assert replace_depthwise_(model).swapped == ()


def test_a_swapped_model_computes_and_keeps_what_it_did():
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 7, padding=3, groups=8), nn.ReLU())
    x = torch.randn(1, 3, 9, 9)
    want, state = model(x), copy.deepcopy(model.state_dict())
    parameters = list(model.parameters())
    calls = []
    model[1].register_forward_hook(lambda *_: calls.append(1))
    replace_depthwise_(model)
    torch.testing.assert_close(model(x), want)
    assert calls == [1]
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    assert list(model.state_dict()) == list(state)


def test_a_swapped_model_can_be_saved_and_exported():
    model = nn.Sequential(nn.Conv2d(4, 4, 7, padding=3, groups=4))
    replace_depthwise_(model)
    x = torch.randn(1, 4, 9, 9)
    exported = torch.export.export(model, (x,))
    torch.testing.assert_close(exported.module()(x), model(x))
    assert isinstance(copy.deepcopy(model)[0], DepthwiseConv2d)


def test_what_was_swapped_is_torchs_again():
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 7, padding=3, groups=8))
    replace_depthwise_(model)
    assert restore_depthwise_(model) == ("1",)
    assert [type(layer) for layer in model] == [nn.Conv2d, nn.Conv2d]
    assert restore_depthwise_(model) == ()


def test_a_layer_without_data_gives_shapes():
    layer = DepthwiseConv2d(8, 8, 7, padding=3, groups=8, device="meta")
    assert layer(torch.empty(2, 8, 9, 9, device="meta")).shape == (2, 8, 9, 9)
