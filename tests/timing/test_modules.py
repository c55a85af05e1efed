"""Shares of modules under a clock that the modules themselves move."""

from contextlib import suppress

import pytest
import torch
from torch import nn

from scaleprof.timing import share
from scaleprof.timing.modules import module_shares


class Clock:
    now = 0.0


class Takes(nn.Module):
    """Takes the given times, call by call, and then those of what is inside."""

    def __init__(self, clock, *seconds, inside=()):
        super().__init__()
        self.clock, self.seconds, self.calls = clock, seconds, 0
        self.inside = nn.ModuleList(inside)

    def forward(self, x):
        self.clock.now += self.seconds[self.calls % len(self.seconds)]
        self.calls += 1
        for module in self.inside:
            x = module(x)
        return x


class Fails(nn.Module):
    def forward(self, x):
        raise ValueError


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(share.time, "perf_counter", lambda: clock.now)
    return clock


def shares(model, *, depth=4, passes=3):
    return module_shares(
        lambda: model(torch.ones(1)), model, torch.device("cpu"), depth=depth, passes=passes
    )


def test_a_module_takes_its_own_time_and_that_of_what_is_inside(clock):
    block = Takes(clock, 1.0, inside=[Takes(clock, 3.0)])
    assert shares(nn.Sequential(block, Takes(clock, 4.0))) == {
        "0": 0.5, "0.inside": 0.375, "0.inside.0": 0.375, "1": 0.5,
    }  # fmt: skip


def test_calls_of_a_module_add_up_under_its_first_path(clock):
    twice = Takes(clock, 1.0)
    assert shares(nn.Sequential(twice, Takes(clock, 2.0), twice)) == {"0": 0.5, "1": 0.5}


def test_a_list_of_modules_takes_what_those_in_it_take(clock):
    model = Takes(clock, 2.0, inside=[Takes(clock, 1.0), Takes(clock, 5.0)])
    assert shares(model)["inside"] == 0.75


def test_modules_below_the_depth_are_left_out(clock):
    model = nn.Sequential(nn.Sequential(nn.Sequential(Takes(clock, 1.0))))
    assert shares(model, depth=2) == {"0": 1.0, "0.0": 1.0}


def test_a_module_that_is_not_called_has_no_share(clock):
    model = Takes(clock, 1.0)
    model.spare = Takes(clock, 1.0)
    assert shares(model) == {}


def test_one_slow_pass_changes_nothing(clock):
    # the pass that warms up, and three that count
    model = nn.Sequential(Takes(clock, 1.0, 1.0, 100.0, 1.0), Takes(clock, 3.0))
    assert shares(model) == {"0": 0.25, "1": 0.75}


def test_what_a_module_raises_and_the_model_catches_disturbs_no_other(clock):
    class Catches(Takes):
        def forward(self, x):
            with suppress(ValueError):
                self.fails(x)
            return super().forward(x)

    model = Catches(clock, 1.0, inside=[Takes(clock, 1.0)])
    model.fails = Fails()
    assert shares(model) == {"inside": 0.5, "inside.0": 0.5, "fails": 0.0}


def test_a_module_that_calls_itself_takes_no_more_than_the_whole(clock):
    class Recursive(Takes):
        def forward(self, x):
            return self(x - 1) if x > 0 else super().forward(x)

    assert shares(nn.Sequential(Recursive(clock, 1.0))) == {"0": 1.0}
