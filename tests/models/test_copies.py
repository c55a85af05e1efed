"""Copies of modules are what copy.deepcopy makes."""

from copy import deepcopy

import torch
from torch import nn

from scaleprof.models._copies import copy_of


class Net(nn.Module):
    """Shared weights, lists of modules, and attributes of many kinds."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.BatchNorm1d(4)])
        self.again = nn.Sequential(self.layers[0], nn.ReLU())
        self.layers[0].weight.mark = "kept"
        self.register_buffer("table", torch.arange(4.0), persistent=False)
        self.plain = [1, {"sizes": (2, 3), "inner": [self.again]}]
        self.pair = (nn.Identity(), self.table)
        self.act = torch.relu
        self.register_forward_hook(print)


class Careful(nn.Linear):
    """A module that is copied in its own way."""

    def __deepcopy__(self, memo):
        return Careful(1, 1)


def test_a_copy_without_data_has_the_same_shapes_and_types():
    with torch.device("meta"):
        net = nn.Sequential(nn.Conv2d(3, 4, 3, dtype=torch.float16), nn.BatchNorm2d(4))
    net[0].bias.requires_grad_(requires_grad=False)
    net[0].weight.data = net[0].weight.data.to(memory_format=torch.channels_last)
    copy, expected = copy_of(net), deepcopy(net)
    assert copy[0].weight.stride() == expected[0].weight.stride()
    for a, b in zip(copy.parameters(), expected.parameters(), strict=True):
        assert (a.shape, a.dtype, a.device) == (b.shape, b.dtype, b.device)
        assert a.requires_grad is b.requires_grad
        assert type(a) is type(b)


def test_a_copy_has_the_values_and_the_sharing_of_the_original():
    net = Net()
    copy, expected = copy_of(net), deepcopy(net)
    assert list(copy.__dict__) == list(expected.__dict__)
    for (name, a), (other, b) in zip(
        copy.state_dict().items(), expected.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(a, b)
    assert copy.again[0] is copy.layers[0]
    assert copy.plain[1]["inner"][0] is copy.again
    assert copy.pair[1] is copy.table
    assert copy.plain[1]["sizes"] == (2, 3)
    assert copy.act is torch.relu
    assert copy.layers[0].weight.requires_grad
    assert list(copy._forward_hooks.values()) == [print]
    assert copy._non_persistent_buffers_set == {"table"}


def test_a_copy_shares_nothing_that_can_change():
    net = Net()
    copy = copy_of(net)
    ours = {t.untyped_storage()._cdata for t in (*net.parameters(), *net.buffers())}
    assert not ours & {t.untyped_storage()._cdata for t in (*copy.parameters(), *copy.buffers())}
    assert not set(map(id, net.modules())) & set(map(id, copy.modules()))
    copy.plain[1]["inner"].clear()
    copy._non_persistent_buffers_set.clear()
    copy._forward_hooks.clear()
    assert net.plain[1]["inner"] == [net.again]
    assert net._non_persistent_buffers_set == {"table"}
    assert net._forward_hooks


def test_a_module_that_is_copied_in_its_own_way_is():
    copy = copy_of(nn.Sequential(Careful(4, 4), nn.Linear(4, 4)))
    assert copy[0].in_features == 1
    assert copy[1].in_features == 4
