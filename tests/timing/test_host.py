"""How models follow the yardstick beside them."""

import math
import random

import pytest
import torch

from scaleprof.timing import FOLLOWS, FOLLOWS_ERROR, all_known, follows
from scaleprof.timing.yardstick import yardstick


def test_one_process_without_a_yardstick_leaves_all_unknown():
    assert all_known([1.0, 2.0]) == (1.0, 2.0)
    assert all_known([1.0, None]) == ()


def test_without_processes_the_slope_is_that_of_other_models():
    found = follows([], spread=0.04, degrees=3)
    assert (found.slope, found.error) == pytest.approx((FOLLOWS, FOLLOWS_ERROR))
    assert found.spread == pytest.approx(0.04)


@pytest.mark.parametrize("slope", [0.4, 0.9, 1.5])
def test_many_processes_tell_their_own_slope(slope):
    draw = random.Random(0)
    groups = []
    for centre in (0.0, 3.0):
        host = [draw.gauss(0, 0.1) for _ in range(40)]
        groups.append((host, [centre + slope * x + draw.gauss(0, 0.01) for x in host]))
    found = follows(groups, spread=0.04, degrees=3)
    assert found.slope == pytest.approx(slope, abs=4 * found.error)
    assert found.error < 0.05
    # the spread that is known beforehand weighs like three of 81
    assert found.spread == pytest.approx(math.sqrt((3 * 0.04**2 + 78 * 0.01**2) / 81), rel=0.15)


def test_the_yardstick_runs_warm_and_without_gradients():
    timer = yardstick()
    with torch.enable_grad():
        assert timer.time(2) > 0
