import pytest
import torch
from torch import nn

from scaleprof.costs import count_module
from scaleprof.records import InputSpec, Work


def work(module, *shape):
    return count_module(module, [InputSpec(shape=shape)]).work


class Everything(nn.Module):
    """Convolutions of several kinds, norms, attention by hand, copies and views."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 5, 1, 2, groups=8)
        self.point = nn.Conv2d(8, 16, 1)
        self.linear = nn.Linear(16, 16)

    def forward(self, x):
        x = torch.relu_(self.norm(self.stem(x)))
        x = self.point(torch.cat([self.depthwise(x)[:, :4], x[:, 4:]], 1))
        x = self.linear(x.flatten(2).transpose(1, 2))
        return (x @ x.transpose(1, 2)).softmax(-1).mean((1, 2))


@pytest.mark.parametrize(
    ("module", "shape", "kind"),
    [
        (nn.Conv2d(3, 8, 3), (1, 3, 16, 16), "stem"),
        (nn.Conv2d(3, 8, 4, 4), (1, 3, 16, 16), "patch"),
        (nn.Conv2d(8, 8, 2, 2), (1, 8, 16, 16), "patch"),
        (nn.Conv2d(8, 8, 1), (1, 8, 16, 16), "conv_1"),
        (nn.Conv2d(8, 8, 3), (1, 8, 16, 16), "conv_k"),
        (nn.Conv2d(8, 8, 3, groups=4), (1, 8, 16, 16), "conv_grouped"),
        (nn.Conv2d(8, 8, 3, groups=8), (1, 8, 16, 16), "depthwise_3"),
        (nn.Conv2d(8, 8, 7, groups=8), (1, 8, 16, 16), "depthwise_7"),
        (nn.Linear(8, 4), (2, 8), "linear"),
        (nn.GELU(), (2, 8), "elementwise"),
        (nn.LayerNorm(8), (2, 8), "norm"),
        (nn.Softmax(-1), (2, 8), "softmax"),
        (nn.MaxPool2d(2), (1, 8, 16, 16), "window_pool"),
    ],
)
def test_each_layer_is_work_of_its_kind(module, shape, kind):
    assert [row.kind for row in work(module, *shape)] == [kind]


def test_a_linear_layer_by_hand():
    # 6 rows of 3 features become 5: 90 MACs; 18 numbers in and 30 out, 15 weights and 5 biases
    got = work(nn.Linear(3, 5), 6, 3)
    assert got == (Work("linear", 1, 90, (18 + 30) * 4, 20 * 4, width=5, depth=3),)


def test_calls_of_one_size_are_one_row():
    layers = nn.Sequential(*(nn.Linear(4, 4, bias=False) for _ in range(3)))
    assert [row.calls for row in work(layers, 2, 4)] == [3]


def test_work_adds_up_to_the_totals():
    cost = count_module(Everything(), [InputSpec(shape=(2, 3, 32, 32))])
    assert sum(row.calls * row.macs for row in cost.work) == cost.macs
    moved = sum(row.calls * (row.moved_bytes + row.weight_bytes) for row in cost.work)
    assert moved == cost.traffic_bytes
