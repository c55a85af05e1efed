"""The worker server: imports what jobs need once, then forks a worker for every job.

It has imported torch but used no device and started no thread, so that a fork of it is a clean
start that costs milliseconds instead of the seconds that the imports take. A one-shot server runs a
single job in its own process instead, for devices whose drivers do not survive a fork.
"""

import contextlib
import gc
import importlib
import os
import select
import signal
import sys
import tempfile
import threading
import typing
from collections.abc import Callable
from typing import Any, BinaryIO

import msgspec

from ..errors import ScaleprofError
from ._messages import Ended, Job, Raised, Returned, Started, receive, receive_bytes, send

_OUTPUT_TAIL_BYTES = 4096
# what torch raises as a plain RuntimeError: of a CPU, of CUDA itself, of cuBLAS and of cuDNN
_NO_MEMORY = ("not enough memory", "out of memory", "STATUS_ALLOC_FAILED")


def serve(control_fd: int, *, once: bool, preload: list[str]) -> typing.NoReturn:
    """Run jobs until the parent closes the connection."""
    for name in preload:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # what is imported stays: collecting garbage in a fork would copy the pages of all of it
    gc.freeze()
    while (job := receive(control_fd, Job)) is not None:
        _run_here(control_fd, job) if once else _run_in_fork(control_fd, job)
    # nothing here needs an orderly end, and libraries take time for theirs or complain in it
    os._exit(0)


def _run_in_fork(control_fd: int, job: Job) -> None:
    answer_out, answer_in = os.pipe()
    with tempfile.TemporaryFile() as output:
        pid = os.fork()
        if pid == 0:
            os.close(control_fd)
            os.close(answer_out)
            _become_worker(job, answer_in, output)
        os.close(answer_in)
        send(control_fd, Started(pid))
        ready, _, _ = select.select([control_fd, answer_out], [], [])
        if control_fd in ready:
            # the parent says nothing while a job runs: it has gone, and nobody waits for the job
            end_group(pid)
            os._exit(1)
        answer = receive_bytes(answer_out)
        os.close(answer_out)
        _, status = os.waitpid(pid, 0)
        # what the job started and left behind ends with it
        end_group(pid)
        send(control_fd, Ended(answer or b"", status, _tail(output)))


def end_group(pid: int) -> None:
    """End a worker and everything that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _run_here(control_fd: int, job: Job) -> typing.NoReturn:
    threading.Thread(target=_end_with_parent, args=(control_fd,), daemon=True).start()
    send(control_fd, Started(os.getpid()))
    with tempfile.TemporaryFile() as output:
        _redirect(output)
        answer = msgspec.msgpack.encode(_answer(job))
        sys.stdout.flush()
        sys.stderr.flush()
        send(control_fd, Ended(answer, 0, _tail(output)))
    # nothing that a driver or a library would do on leaving is worth waiting for
    os._exit(0)


def _end_with_parent(control_fd: int) -> None:
    """End this process when its parent has gone, which says nothing while a job runs."""
    select.select([control_fd], [], [])
    end_group(os.getpid())


def _become_worker(job: Job, answer_fd: int, output: BinaryIO) -> typing.NoReturn:
    """Run the job in this freshly forked process and leave without any clean-up of the server."""
    status = 1
    try:
        # its own group, so that whatever the job starts can be ended with it
        os.setsid()
        _redirect(output)
        send(answer_fd, _answer(job))
        status = 0
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _redirect(output: BinaryIO) -> None:
    """Send what the job prints to a file: the parent's streams carry data."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)


def _answer(job: Job) -> Returned | Raised:
    try:
        function = _resolve(job.function)
        request_type = typing.get_type_hints(function)["request"]
        request = msgspec.msgpack.decode(job.request, type=request_type)
        return Returned(msgspec.msgpack.encode(function(request)))
    except ScaleprofError as error:
        return Raised("", str(error), error=type(error).__name__, hint=error.hint)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        return Raised("SystemExit", str(error.code), exit_status=code)
    except BaseException as error:
        return Raised(type(error).__name__, _first_line(error), out_of_memory=_ran_out(error))


def _resolve(name: str) -> Callable[[Any], Any]:
    module, _, qualname = name.partition(":")
    return typing.cast("Callable[[Any], Any]", getattr(importlib.import_module(module), qualname))


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else ""


def _ran_out(error: BaseException) -> bool:
    """Tell running out of memory, which torch reports in several ways, from other errors."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)


def _tail(output: BinaryIO) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _OUTPUT_TAIL_BYTES))
    return output.read().decode(errors="replace")
