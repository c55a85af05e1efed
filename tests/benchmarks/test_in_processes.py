import time

import in_processes
import psutil
import pytest
from in_processes import Failed, all_at_once, each_in_turn, until_interrupted
from scripted_steps import take


def taken(steps, *, step_seconds=20.0, seconds=60.0):
    until = time.monotonic() + seconds
    return list(each_in_turn(take, steps, until=until, step_seconds=step_seconds))


def test_steps_share_a_process_until_one_of_them_ends_it():
    (_, first), (_, second), (died, why), (_, third) = taken(["works", "works", "dies", "works"])
    assert first == second != third
    assert (died, why) == ("dies", Failed("its process ended with status -9"))
    assert not any(psutil.pid_exists(pid) for pid in (first, third))


def test_what_raises_leaves_its_process_to_the_next():
    (_, why), (_, after) = taken(["raises", "works"])
    assert why == Failed("ValueError: the first line")
    assert isinstance(after, int)


def test_what_hangs_is_ended_and_the_rest_goes_on():
    began = time.monotonic()
    outcomes = taken(["works", "hangs", "works"], step_seconds=5.0)
    assert time.monotonic() - began < 60
    assert outcomes[1] == ("hangs", Failed("did not end within 5 s"))
    assert isinstance(outcomes[2][1], int)


def test_nothing_begins_after_the_time_is_over():
    assert taken(["works"], seconds=-1.0) == []


def test_a_process_whose_device_does_not_answer_is_replaced(monkeypatch):
    class Torch:
        class cuda:  # noqa: N801 - as torch names it
            is_initialized = staticmethod(lambda: True)

            @staticmethod
            def synchronize():
                raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setitem(in_processes.sys.modules, "torch", Torch)
    assert not in_processes._device_answers()


def test_steps_at_once_are_given_up_when_the_time_is_over(tmp_path):
    notes = [tmp_path / str(i) for i in range(3)]
    steps = ["raises", "hangs", *(f"notes {note}" for note in notes)]
    assert all_at_once(take, steps, processes=2, seconds=8.0) == 3
    assert all(note.exists() for note in notes)


def test_an_interruption_ends_the_steps_and_not_the_benchmark():
    def steps():
        yield 1
        raise KeyboardInterrupt

    assert list(until_interrupted(steps())) == [1]


@pytest.fixture(autouse=True)
def _no_process_left_behind():
    # other tests of this process share worker servers
    before = psutil.Process().children()
    yield
    left = [child for child in psutil.Process().children() if child not in before]
    assert left == [] or _only_trackers(left)


def _only_trackers(children):
    """Python keeps one process for what others leave behind."""
    commands = [" ".join(child.cmdline()) for child in children]
    return all("resource_tracker" in command for command in commands)
