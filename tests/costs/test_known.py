"""Costs are the same whether or not calls of the same shapes were counted before."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import flop_registry

from scaleprof.costs import _counter, count_module
from scaleprof.costs._direct import upsampling
from scaleprof.costs._known import call_key
from scaleprof.records import InputSpec

aten = torch.ops.aten


class Mixed(nn.Module):
    """Views, copies, in-place operators, several outputs, concatenation and attention."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, stride=2)
        self.norm = nn.BatchNorm2d(16)
        self.qkv = nn.Linear(16, 48)
        self.table = nn.Parameter(torch.zeros(1, 5, 16))

    def forward(self, x):
        x = functional.relu_(self.norm(self.conv(x))).roll(1, dims=3)
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([self.table.expand(x.shape[0], -1, -1), x], dim=1)
        q, k, v = self.qkv(x).reshape(*x.shape[:2], 3, 16).unbind(2)
        best, _ = functional.scaled_dot_product_attention(q, k, v).topk(2, dim=1)
        return best.to(torch.float16).add_(1).float() * 2 + best.sum(1, keepdim=True)


def count(module, *shape):
    return count_module(module, [InputSpec(shape=shape)])


@pytest.mark.parametrize("inplace", [False, True])
def test_a_model_costs_the_same_before_and_after_it_was_counted(inplace):
    model = nn.Sequential(Mixed(), nn.Dropout(inplace=inplace), nn.SiLU(inplace=inplace))
    _counter._KNOWN._calls.clear()
    new = count(model, 2, 3, 20, 20)
    assert _counter._KNOWN._calls
    assert count(model, 2, 3, 20, 20) == new
    other = count(model, 2, 3, 28, 20)
    _counter._KNOWN._calls.clear()
    assert count(model, 2, 3, 28, 20) == other


class Adds(nn.Module):
    """Adds a number to what it is given."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def forward(self, x):
        return x + self.number


def test_equal_numbers_of_other_types_are_other_calls():
    written = []
    for number in (1, 1.0, 1, True):
        spec = InputSpec(shape=(4,), dtype="int64", high=9)
        cost = count_module(Adds(number), [spec])
        written.append(cost.activation_bytes + cost.traffic_bytes)
    # an integer plus 1.0 is a float of 4 bytes
    assert written == [64, 48, 64, 64]


def test_what_a_call_may_depend_on_besides_shapes_is_not_remembered():
    x = torch.empty(4, 3, device="meta")
    assert call_key(aten.relu.default, (x,), {}) is not None
    assert call_key(aten.relu.default, (torch.zeros(4, 3),), {}) is None
    assert call_key(aten.relu.default, (x.to(torch.complex64),), {}) is None
    assert call_key(aten.relu.default, (nn.Buffer(x),), {"other": object()}) is None


def test_strides_tell_calls_apart():
    model = Adds(1.0)
    x = torch.empty(2, 3, 4, 4, device="meta")
    keys = {
        call_key(aten.add.Tensor, (y, model.number), {})
        for y in (x, x.to(memory_format=torch.channels_last), x.transpose(2, 3))
    }
    assert len(keys) == 3


def test_another_formula_is_used_from_the_next_count_on(monkeypatch):
    class Square(nn.Module):
        def forward(self, x):
            return torch.mm(x, x)

    assert count(Square(), 4, 4).macs == 64
    monkeypatch.setitem(flop_registry, aten.mm, lambda *_, out_val=None, **__: 2)
    assert count(Square(), 4, 4).macs == 1


class Broadcast(nn.Module):
    """Adds one number for all, which is a tensor of its own or a part of a larger one."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        return x + x.new_zeros(self.size)[:1].expand(x.shape)


def test_a_broadcast_tensor_has_the_bytes_of_its_storage():
    read = []
    for size in (1, 64, 1):
        rows = count(Broadcast(size), 8, 4).operators
        read += [row.read_bytes for row in rows if row.operator == "aten::add"]
    # 32 elements of x, and at most 32 of the other
    assert read == [132, 256, 132]


def images(batch, channels, layout):
    if layout == "tokens":
        tokens = torch.empty(batch, 60, channels, device="meta")
        return tokens.transpose(1, 2).reshape(batch, channels, 6, 10)
    x = torch.empty(batch, channels, 6, 10, device="meta")
    return x.to(memory_format=layout)


# a single image of tokens is last in channels, but torch does not say so of it
LAYOUTS = (torch.contiguous_format, torch.channels_last, "tokens")


@pytest.mark.parametrize("op", [aten.upsample_bilinear2d.vec, aten.upsample_bicubic2d.vec])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_are_resized_as_torch_does_it(op, layout):
    sizes = (([7, 9], None), ([16, 3], None), (None, [0.5, 2.0]), (None, [1 / 3, 1.7]))
    for batch, channels, (size, scales) in itertools.product((1, 2), (2, 64), sizes):
        x = images(batch, channels, layout)
        expected = op(x, size, False, scales)
        got = upsampling(x, size, False, scales).output
        assert (got.shape, got.stride()) == (expected.shape, expected.stride())


class TakesApart(nn.Module):
    """Products that torch expresses through others, on what some were computed from."""

    def forward(self, x):
        y = torch.einsum("bhc,kc->bhk", x * 2, x[0])
        return torch.einsum("bhc,kc->bhk", x * 2, x[0]) + y


def test_an_operator_that_torch_takes_apart_costs_the_same_every_time():
    _counter._KNOWN.forget_if(())
    assert not _counter._KNOWN._apart
    first = count(TakesApart(), 3, 5, 4)
    assert _counter._KNOWN._apart
    # one product of 15 rows by 5 columns over 4 channels, twice
    assert first.macs == 2 * 3 * 5 * 5 * 4
    assert count(TakesApart(), 3, 5, 4) == first


def test_bytes_while_an_operator_is_taken_apart_are_at_their_peak_again():
    class Both(nn.Module):
        def forward(self, x):
            # the larger one is known by the second count, which must see its peak as well
            return torch.einsum("bhc,bkc->hk", x, x)

    _counter._KNOWN.forget_if(())
    peaks = {count(Both(), 8, 64, 32).peak_bytes for _ in range(3)}
    assert len(peaks) == 1
    # x is 64 KiB, and what is computed comes on top of it
    assert peaks.pop() > 8 * 64 * 32 * 4 + 64 * 64 * 4
