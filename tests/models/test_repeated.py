import pytest
import torch
from torch import nn

from scaleprof.models.scaled import block_rows, build_scaled


class Block(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.first, self.second = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x, seen=None):
        if seen is not None:
            seen.append(x)
            assert len(seen) == 1, "each copy gets a list of its own"
        return x + self.second(self.first(x).relu())


class Net(nn.Module):
    """Blocks behind names of their own; the second pair has another size."""

    def __init__(self, size=4):
        super().__init__()
        self.a, self.b = Block(size), Block(size)
        self.between = nn.Linear(size, 2 * size)
        self.c = Block(2 * size)
        self.tail = nn.Sequential(nn.Linear(2 * size, 2 * size), nn.ReLU(), nn.Linear(2 * size, 3))

    def forward(self, x):
        return self.tail(self.c(self.between(self.b(self.a(x, []), []))))


NAMES = ("a", "b", "c", "tail.0..1")


def blocks_in(net):
    return sum(isinstance(module, Block) for module in net.modules())


def test_neighbours_of_one_kind_are_a_row():
    assert block_rows(Net(), NAMES) == [2, 1, 1]


@pytest.mark.parametrize(("depth", "blocks", "tails"), [(0.5, 2, 1), (1.0, 3, 1), (2.0, 6, 2)])
def test_rows_are_scaled_and_the_net_still_runs(depth, blocks, tails):
    net = build_scaled(Net, depth=depth, blocks=NAMES)
    assert blocks_in(net) == blocks
    assert sum(isinstance(m, nn.ReLU) for m in net.tail.modules()) == tails
    assert net(torch.zeros(2, 4)).shape == (2, 3)


def test_copies_have_weights_of_their_own_and_are_trained():
    net = build_scaled(Net, depth=3.0, blocks=NAMES)
    net(torch.randn(2, 4)).sum().backward()
    weights = {id(parameter) for parameter in net.parameters()}
    assert len(weights) == len(list(net.parameters(recurse=True)))
    assert all(parameter.grad is not None for parameter in net.parameters())
