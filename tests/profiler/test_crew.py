import pytest

from scaleprof.profiler._crew import Crew
from scaleprof.workers import Done, Failure

WORKS = Done(reply=1, elapsed_s=0.0)
FAILS = Failure(status="raised", reason="CUDA error: initialization error")


class Server:
    """Stands for a worker server: it replays outcomes, the last one for ever."""

    def __init__(self, *outcomes):
        self._outcomes = list(outcomes)
        self.jobs = 0

    def run(self, job, request, reply, *, limits):
        self.jobs += 1
        return self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]

    def close(self):
        pass


def measured(device, forked, spawned, times=3):
    crew = Crew([], device=device)
    crew._forked, crew._spawned = forked, spawned
    return [crew.measure("job", None, int) for _ in range(times)]


def test_cuda_forks_where_its_driver_starts_in_a_fork():
    forked, spawned = Server(WORKS), Server(WORKS)
    assert measured("cuda:1", forked, spawned) == [WORKS] * 3
    assert (forked.jobs, spawned.jobs) == (3, 0)


def test_a_job_that_fails_in_a_fork_of_a_driver_that_works_is_not_run_again():
    forked, spawned = Server(WORKS, FAILS), Server(WORKS)
    assert measured("cuda:0", forked, spawned) == [WORKS, FAILS, FAILS]
    assert spawned.jobs == 0


def test_cuda_is_spawned_for_good_where_it_does_not():
    forked, spawned = Server(FAILS), Server(WORKS)
    assert measured("cuda:0", forked, spawned) == [WORKS] * 3
    assert (forked.jobs, spawned.jobs) == (1, 3)


def test_what_fails_either_way_says_how_it_failed_in_a_process_of_its_own():
    mine = Failure(status="raised", reason="there is no such device")
    assert measured("cuda:7", Server(FAILS), Server(mine), times=1) == [mine]


@pytest.mark.parametrize(("device", "forks"), [("cpu", True), ("xpu:0", False), ("mps", False)])
def test_a_cpu_forks_and_other_accelerators_are_spawned(device, forks):
    forked, spawned = Server(WORKS), Server(WORKS)
    measured(device, forked, spawned)
    assert (forked.jobs, spawned.jobs) == ((3, 0) if forks else (0, 3))
