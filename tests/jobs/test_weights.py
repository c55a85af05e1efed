import pytest
import torch
from torch import nn

from scaleprof.jobs._weights import RepeatedDraws

PERIOD = 2**16


@pytest.mark.parametrize("numel", [PERIOD + 1, 2 * PERIOD, 5 * PERIOD + 7])
def test_a_long_tensor_repeats_the_numbers_it_drew(numel):
    torch.manual_seed(0)
    with RepeatedDraws():
        got = torch.empty(numel).normal_(1.0, 0.5)
    torch.manual_seed(0)
    drawn = torch.empty(PERIOD).normal_(1.0, 0.5)
    assert torch.equal(got, drawn.repeat(numel // PERIOD + 1)[:numel])


def test_other_tensors_are_drawn_as_ever():
    def draw():
        torch.manual_seed(0)
        columns = torch.zeros(PERIOD, 2)
        # every other number: not in one piece
        columns[:, 0].normal_()
        return torch.empty(PERIOD).normal_(), torch.empty(4, 4).uniform_(), columns

    with RepeatedDraws():
        got = draw()
    assert all(torch.equal(left, right) for left, right in zip(got, draw(), strict=True))


@pytest.mark.parametrize("name", ["kaiming_normal_", "xavier_uniform_", "trunc_normal_"])
def test_weights_keep_their_distribution(name):
    initialise = getattr(nn.init, name)
    with RepeatedDraws():
        got = initialise(nn.Linear(700, 500).weight).detach()
    want = initialise(nn.Linear(700, 500).weight).detach()
    assert got.std() == pytest.approx(float(want.std()), rel=0.02)
    assert float(got.mean()) == pytest.approx(0.0, abs=float(want.std()) / 50)
    assert got.abs().max() <= 1.2 * want.abs().max()


def test_only_draws_of_the_cpu_are_repeated():
    with RepeatedDraws():
        meta = torch.empty(2 * PERIOD, device="meta").normal_()
    assert meta.is_meta
