import itertools

import pytest
import torch
from torch import nn

from scaleprof.timing import share
from scaleprof.timing.share import count_calls, share_of_time


class Twice(nn.Module):
    """Calls one of its layers twice, and another one once."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.second(self.first(self.first(x)))


def test_every_call_of_a_module_counts_under_its_name():
    model, x = Twice(), torch.ones(2, 4)
    modules = [model.first, model.second]
    names = {id(model.first): "first", id(model.second): "second"}
    calls = count_calls(lambda: model(x), modules, lambda module, given: names[id(module)])
    assert calls == {"first": 2, "second": 1}


def test_the_share_is_the_time_inside_modules_over_all(monkeypatch):
    model, x = Twice(), torch.ones(2, 4)
    # marks at 0, 1, 2, ...: begin, in, out, in, out, end; the two calls take 1 each of 5
    ticks = itertools.count()
    monkeypatch.setattr(share.time, "perf_counter", lambda: float(next(ticks)))
    got = share_of_time(lambda: model(x), [model.first], torch.device("cpu"))
    assert got == pytest.approx(2 / 5)


def test_nothing_is_left_behind_on_the_modules():
    model, x = Twice(), torch.ones(2, 4)
    share_of_time(lambda: model(x), [model.first], torch.device("cpu"))
    count_calls(lambda: model(x), [model.first], lambda *_: "first")
    assert not model.first._forward_hooks
    assert not model.first._forward_pre_hooks
