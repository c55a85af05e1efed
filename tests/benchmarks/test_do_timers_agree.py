"""Whose turn it is, and what is made of what they measured."""

import do_timers_agree as timers
import pytest


def row(model="a", process=0, **seconds):
    given = {"scaleprof": 1.0, "mean of 40": 1.0} | seconds
    return {
        "model": model, "dtype": "float16", "batch": 1, "process": process, "latency_s": given,
    }  # fmt: skip


def test_each_model_has_three_processes_and_large_batches_come_last_in_the_others():
    turns = timers.turns_on("cuda:0")
    for model in timers.MODELS:
        mine = [turn for turn in turns if turn.model == model]
        batches = sorted((batch, turn.number) for turn in mine for batch in turn.batches)
        assert batches == [(b, n) for b in (1, 32, 256) for n in range(timers.PROCESSES)]
    assert [turn.batches for turn in turns[-6:]] == [timers.LARGE] * 6
    assert {turn.batches for turn in timers.turns_on("cpu")} == {(1,)}


def test_every_process_begins_with_another_timer(monkeypatch):
    order = []
    stand_ins = {name: lambda function, place, name=name: order.append(name) for name in "abc"}
    monkeypatch.setattr(timers, "timers", lambda place: stand_ins)
    for first in range(3):
        assert list(timers.by_all(print, None, first)) == ["a", "b", "c"]
    assert "".join(order) == "abc" + "bca" + "cab"


def test_one_process_says_nothing_of_the_spread(capsys):
    timers.show([row(), row("b"), row("b", 1, scaleprof=1.1)])
    cells = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert cells[0][4] == "1e+03"
    assert cells[1][4] == "1.05e+03 ±4.8%"


def test_agreement_is_with_the_mean_of_40():
    found = [row(), row(scaleprof=0.9), row(scaleprof=1.02)]
    assert timers.agreement(found) == (
        "ours from the mean of 40: 2.0% in the median, -10.0% at most"
    )


def test_processes_that_cannot_measure_are_not_all_tried(monkeypatch):
    started = []

    class Child:
        returncode = 1

        def __init__(self, *_, **__):
            started.append(self)
            self.stdout = self.stdin = self

        def readline(self):
            return ""

        def __iter__(self):
            return iter(())

        def write(self, text):
            raise BrokenPipeError

        def wait(self):
            return self.returncode

        def kill(self):
            pass

        def communicate(self):
            pass

    monkeypatch.setattr(timers.subprocess, "Popen", Child)
    monkeypatch.setattr(timers, "AT_ONCE", 4)
    assert list(timers.rows_of(timers.turns_on("cuda:0"), "cuda:0", float("inf"))) == []
    assert len(started) == 4


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_only_a_gpu_has_tritons_timer(device):
    import torch

    assert ("do_bench" in timers.timers(torch.device(device))) == (device != "cpu")
