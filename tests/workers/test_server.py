import os
import subprocess
import sys
import time

import psutil
import pytest

from scaleprof.errors import ModelError
from scaleprof.workers import Done, Failure, Limits, WorkerServer, expect

from workers import jobs  # isort: skip - from the tests' own folder

LIMITS = Limits(seconds=30.0)


@pytest.fixture(params=[False, True], ids=["forked", "spawned"])
def server(request):
    with WorkerServer(spawn=request.param) as running:
        yield running


@pytest.fixture
def forked():
    with WorkerServer() as running:
        yield running


def run(server, name, *, limits=LIMITS, **request):
    return server.run(f"workers.jobs:{name}", jobs.Request(**request), jobs.Reply, limits=limits)


def test_a_job_runs_in_another_process_and_returns_its_record(server):
    outcome = run(server, "double", number=21, text="é")
    assert isinstance(outcome, Done)
    assert (outcome.reply.number, outcome.reply.text) == (42, "é")
    assert outcome.reply.pid != os.getpid()


def test_what_a_job_prints_stays_out_of_our_output(server, capfd):
    assert isinstance(run(server, "noisy"), Done)
    assert capfd.readouterr() == ("", "")


def test_a_job_has_no_standard_input(server):
    assert run(server, "reads_input").reply.number == 0


def test_an_exception_is_reported_in_one_line(server):
    outcome = run(server, "raises")
    assert (outcome.status, outcome.reason) == ("raised", "ValueError: the first line")


def test_our_own_errors_come_back_as_themselves(server):
    outcome = run(server, "raises_ours")
    with pytest.raises(ModelError, match="no such model") as caught:
        expect(outcome, "`m`")
    assert caught.value.hint == "use another"


@pytest.mark.parametrize("name", ["exits", "exits_hard"])
def test_leaving_the_process_is_an_outcome(forked, name):
    outcome = run(forked, name, number=3)
    assert outcome.status == "exited"
    assert "3" in outcome.reason


def test_a_crash_names_its_signal(forked):
    outcome = run(forked, "crashes")
    assert (outcome.status, outcome.reason) == ("crashed", "was ended by SIGSEGV")


def test_a_job_that_hangs_is_ended_at_its_limit(server):
    outcome = run(server, "hangs", limits=Limits(seconds=0.3))
    assert (outcome.status, outcome.reason) == ("timed_out", "took more than 0.3 s")


def test_a_job_that_eats_memory_is_ended_at_its_limit(server):
    outcome = run(server, "eats_memory", limits=Limits(seconds=60.0, memory_bytes=300 * 2**20))
    assert (outcome.status, outcome.reason) == ("out_of_memory", "needs more than 300 MiB")


def test_a_memory_error_is_out_of_memory(server):
    assert run(server, "runs_out_of_memory").status == "out_of_memory"


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes",
    ],
)
def test_what_torch_says_of_memory_in_other_words_is_out_of_memory(forked, text):
    assert run(forked, "raises_in_torch", text=text).status == "out_of_memory"
    assert run(forked, "raises_in_torch", text="CUDA error: misaligned").status == "raised"


@pytest.mark.parametrize("name", ["raises", "crashes", "exits_hard", "hangs"])
def test_the_server_goes_on_after_any_failure(server, name):
    limits = Limits(seconds=0.5 if name == "hangs" else 30.0)
    assert isinstance(run(server, name, limits=limits), Failure)
    assert run(server, "double", number=1).reply.number == 2


def test_a_job_leaves_no_state_to_the_next(server):
    run(server, "leaves_state", number=5)
    assert run(server, "reads_state").reply.text == "clean"


def test_processes_that_a_job_started_end_with_it(forked, tmp_path):
    note = tmp_path / "group"
    outcome = run(forked, "hangs_with_children", text=str(note), limits=Limits(seconds=1.0))
    assert outcome.status == "timed_out"
    group = int(note.read_text())
    for _ in range(50):
        alive = [p for p in psutil.process_iter() if _group(p) == group]
        if not alive:
            break
        time.sleep(0.02)
    assert not alive


def _group(process):
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getpgid(process.pid)
    except (psutil.Error, ProcessLookupError):
        return None


@pytest.mark.parametrize("spawn", [False, True], ids=["forked", "spawned"])
def test_a_job_ends_with_a_parent_that_was_killed(tmp_path, spawn):
    note = tmp_path / "group"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(spawn), str(note), *sys.path])
    while not (note.exists() and note.read_text()):
        assert parent.poll() is None
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    group = int(note.read_text())
    for _ in range(250):
        if not (alive := [p for p in psutil.process_iter() if _group(p) == group]):
            break
        time.sleep(0.02)
    assert not alive


# a process that waits for a job that hangs
PARENT = """
import sys
spawn, note, *sys.path[:] = sys.argv[1:]
from scaleprof.workers import Limits, WorkerServer
from workers import jobs
request, limits = jobs.Request(text=note), Limits(seconds=600.0)
server = WorkerServer(spawn=spawn == "True")
server.run("workers.jobs:hangs_with_children", request, jobs.Reply, limits=limits)
"""


def test_processes_that_a_job_leaves_behind_end_with_it(forked):
    outcome = run(forked, "leaves_a_child")
    child = int(outcome.reply.text)
    for _ in range(100):
        if not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie":
            break
        time.sleep(0.02)
    else:
        pytest.fail("the child outlived its job")


def test_closing_ends_the_server():
    server = WorkerServer()
    assert run(server, "double").reply.number == 2
    pid = server._process.pid
    server.close()
    assert not psutil.pid_exists(pid)
    server.close()


def test_models_are_kept_from_the_network(forked):
    assert "HF_HUB_OFFLINE" not in os.environ or os.environ["HF_HUB_OFFLINE"] == "1"
    outcome = forked.run("workers.jobs:reads_offline", jobs.Request(), jobs.Reply, limits=LIMITS)
    assert outcome.reply.text == "1"
