"""The parent's side: start a worker server, send it jobs, hold them to their limits."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import psutil

from .. import errors
from ..errors import MeasurementError, ModelError, ScaleprofError
from ..units import format_quantity
from ._messages import Ended, Job, Raised, Returned, Started, receive, send
from ._outcome import Done, Failure, Limits
from ._server import end_group

Reply = TypeVar("Reply")

# between looks at a worker's clock and memory: short against any limit, rare against its work
_POLL_SECONDS = 0.1
_LAST_WORDS = 200

_BOOT = (
    "import sys; fd, once, preload = sys.argv[1:4]; sys.path[:] = sys.argv[4:]; "
    "from scaleprof.workers._server import serve; "
    "serve(int(fd), once=once == 'once', preload=preload.split(',') if preload else [])"
)
_ENVIRONMENT = {
    # no model library may reach for the network: weights are never needed
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    # a library that asks whether there is a GPU while it is imported asks NVML: CUDA, once asked,
    # works in no fork
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}


class WorkerServer:
    """A process that runs jobs in workers, one at a time; use it as a context manager.

    A job is a function named ``module:qualname`` with one parameter, ``request``, a record; it
    returns a record. Only records cross the border between processes.

    Args:
        preload: Modules to import once, before the first job.
        spawn: Start a fresh interpreter for every job instead of forking one that has the
            imports done: slower, and needed where a driver does not survive a fork.
    """

    def __init__(self, *, preload: Sequence[str] = (), spawn: bool = False) -> None:
        self._preload = tuple(preload)
        self._spawn = spawn
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def __enter__(self) -> "WorkerServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the server's imports now, without waiting for them."""
        if self._process is not None:
            return
        ours, theirs = socket.socketpair()
        once = "once" if self._spawn else "many"
        preload = ",".join(self._preload)
        path = [entry or str(os.getcwd()) for entry in sys.path]  # noqa: PTH109
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT, str(theirs.fileno()), once, preload, *path],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=os.environ | _ENVIRONMENT,
            start_new_session=True,
        )
        theirs.close()
        self._control = ours

    def close(self) -> None:
        """End the server and whatever still runs in it."""
        if self._process is None or self._control is None:
            return
        self._control.close()
        if self._spawn:
            # it has answered, or was never asked; what it started, compilers say, ends with it
            end_group(self._process.pid)
        try:
            self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = self._control = None

    def run(
        self, function: str, request: Any, reply: type[Reply], *, limits: Limits
    ) -> Done[Reply] | Failure:
        """Run a job in a worker of its own and wait for its end.

        Args:
            function: The job, ``module:qualname``.
            request: Its argument, a record.
            reply: Type of what it returns.
            limits: Time and memory after which it is ended.

        Returns:
            The reply, or how the job failed.

        Raises:
            MeasurementError: If the server itself is gone.
        """
        self.start()
        assert self._control is not None
        fd = self._control.fileno()
        began = time.monotonic()
        try:
            send(fd, Job(function, msgspec.msgpack.encode(request)))
            started = receive(fd, Started)
            if started is None:
                raise MeasurementError("the worker server ended before the job started")
            broken = _watch(fd, started.pid, limits)
            ended = receive(fd, Ended)
        except (BrokenPipeError, ConnectionResetError):
            ended, broken = None, None
        except BaseException:
            # interrupted: whatever is still running must not outlive the command
            self._kill()
            raise
        if self._spawn or ended is None:
            self.close()
        if self._spawn:
            # the next one imports while the caller thinks about what to ask
            self.start()
        return _outcome(ended, broken, reply, time.monotonic() - began)

    def _kill(self) -> None:
        if self._process is not None:
            for child in psutil.Process(self._process.pid).children(recursive=True):
                end_group(child.pid)
            self._process.kill()
        self.close()


def _watch(fd: int, pid: int, limits: Limits) -> Failure | None:
    """Wait until the server has news; end the worker's process group at a limit."""
    deadline = time.monotonic() + limits.seconds
    while not select.select([fd], [], [], _POLL_SECONDS)[0]:
        if time.monotonic() > deadline:
            end_group(pid)
            return Failure(status="timed_out", reason=f"took more than {limits.seconds:g} s")
        used = _resident_bytes(pid)
        if limits.memory_bytes is not None and used > limits.memory_bytes:
            end_group(pid)
            limit = format_quantity(limits.memory_bytes, "bytes")
            return Failure(status="out_of_memory", reason=f"needs more than {limit}")
    return None


def _resident_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _outcome(
    ended: Ended | None, broken: Failure | None, reply: type[Reply], elapsed_s: float
) -> Done[Reply] | Failure:
    if broken is not None:
        return broken
    if ended is None:
        return Failure(status="crashed", reason="the worker process disappeared")
    if not ended.answer:
        return _died(ended)
    answer = msgspec.msgpack.decode(ended.answer, type=Returned | Raised)
    if isinstance(answer, Returned):
        return Done(reply=msgspec.msgpack.decode(answer.reply, type=reply), elapsed_s=elapsed_s)
    return _raised(answer, ended.output)


def _raised(answer: Raised, output: str) -> Failure:
    if answer.exit_status is not None:
        reason = f"called exit with status {answer.exit_status}"
        return Failure(status="exited", reason=reason, output=output)
    return Failure(
        status="out_of_memory" if answer.out_of_memory else "raised",
        reason=": ".join(part for part in (answer.exception, answer.message) if part),
        output=output,
        error=answer.error,
        hint=answer.hint,
    )


def _died(ended: Ended) -> Failure:
    if os.WIFSIGNALED(ended.wait_status):
        name = signal.Signals(os.WTERMSIG(ended.wait_status)).name
        return Failure(status="crashed", reason=f"was ended by {name}", output=ended.output)
    code = os.waitstatus_to_exitcode(ended.wait_status)
    reason = f"left its process with status {code}"
    return Failure(status="exited", reason=reason, output=ended.output)


def expect(outcome: Done[Reply] | Failure, subject: str) -> Reply:
    """Return the reply of a job, or raise what it failed with, said of its subject.

    Args:
        outcome: What `WorkerServer.run` returned.
        subject: What the job worked on, in the user's terms: `` `timm:resnet50` ``.

    Raises:
        ScaleprofError: The job's own error, or a `ModelError` that says how the job ended.
    """
    if isinstance(outcome, Done):
        return outcome.reply
    raise failure_error(outcome, subject)


def failure_error(failure: Failure, subject: str) -> ScaleprofError:
    """Return the error that a failed job is reported with."""
    if failure.error is not None:
        kind = getattr(errors, failure.error)
        return kind(failure.reason, hint=failure.hint)  # type: ignore[no-any-return]
    verbs = {"raised": "raised ", "timed_out": "did not finish: "}
    text = f"{subject} {verbs.get(failure.status, '')}{failure.reason}"
    last = failure.output.strip().splitlines()[-1:]
    if last and failure.status in ("crashed", "exited"):
        text += f"; its last words: {last[0][:_LAST_WORDS]}"
    return ModelError(text, hint=_HINTS.get(failure.status))


_HINTS = {
    "raised": "check that the model builds and runs on this input; pass --input to change it",
    "timed_out": "a constructor and a forward pass must end by themselves",
    "out_of_memory": "use a smaller batch or resolution, or a machine with more memory",
    "crashed": "run the model by itself to see the crash",
    "exited": "a model must not end its process",
}
