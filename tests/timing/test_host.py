"""Corrections by the yardstick beside a model."""

import pytest
import torch

from scaleprof.timing import FOLLOWS, all_known, host_factor, usual_behind, usual_host
from scaleprof.timing.yardstick import yardstick


def test_a_model_is_corrected_by_most_of_what_the_yardstick_shows():
    assert host_factor(1.2, 1.0) == pytest.approx(1.2**FOLLOWS)
    assert host_factor(0.8, 1.0) == pytest.approx(0.8**FOLLOWS)


@pytest.mark.parametrize("time_s", [0.99, 1.0, 1.015])
def test_on_a_steady_host_nothing_is_corrected(time_s):
    assert host_factor(time_s, 1.0) == 1.0


def test_what_was_not_timed_is_not_corrected():
    assert host_factor(None, 1.0) == host_factor(1.5, usual_host([])) == 1.0
    assert usual_behind((), ()) is None


def test_one_process_without_a_yardstick_leaves_all_unknown():
    assert all_known([1.0, 2.0]) == (1.0, 2.0)
    assert all_known([1.0, None]) == ()


def test_the_usual_time_is_found_again_from_what_was_corrected():
    times = [0.8, 1.0, 1.3]
    usual = usual_host(times)
    factors = [host_factor(time_s, usual) for time_s in times]
    assert usual_behind(times, factors) == pytest.approx(usual)


def test_the_yardstick_runs_warm_and_without_gradients():
    timer = yardstick()
    with torch.enable_grad():
        assert timer.time(2) > 0
