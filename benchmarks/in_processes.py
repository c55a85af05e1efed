"""Take the steps of a benchmark in a process that may die: the others go on in a new one.

A kernel that reads beyond its tensors makes its process useless, and one that never ends stops it.
Neither what was measured before nor what is still to come should go with it.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

# compiling takes a core for seconds, and leaves some for others
COMPILERS = max(min((os.cpu_count() or 1) - 2, 14), 1)
# of one problem, with starting a process after one that crashed, and with torch's compiler
STEP_SECONDS = 60
# exit status of a benchmark that left some of its steps out
INCOMPLETE = 3
# forking would hand on a driver that does not survive it
_CONTEXT = multiprocessing.get_context("spawn")


class Failed(NamedTuple):
    """A step that returned nothing, and why."""

    reason: str


def each_in_turn(
    function: Callable[[Any], Any], steps: Iterable[Any], *, until: float, step_seconds: float
) -> Iterator[tuple[Any, Any]]:
    """Yield steps with what a function returned for each, or a `Failed`.

    Args:
        function: Called with a step in another process; of a module, so that it can be found there.
        steps: What it is called with.
        until: Value of `time.monotonic` after which no step is begun.
        step_seconds: A step that takes longer is ended.
    """
    worker: _Worker | None = None
    try:
        for step in steps:
            if time.monotonic() > until:
                return
            worker = worker or _Worker(function)
            outcome = worker.take(step, step_seconds)
            if isinstance(outcome, Failed) and not worker.answers:
                worker = None
            yield step, outcome
    finally:
        if worker is not None:
            worker.end()


def until_interrupted(steps: Iterable[Any]) -> Iterator[Any]:
    """Yield what comes until the user has enough, and then end as if there were no more."""
    with contextlib.suppress(KeyboardInterrupt):
        yield from steps


def all_at_once(
    function: Callable[[Any], Any], steps: Iterable[Any], *, processes: int, seconds: float
) -> int:
    """Call a function with every step in several processes, and return how many calls ended well.

    Args:
        function: As above; what it returns is dropped.
        steps: What it is called with.
        processes: How many work side by side.
        seconds: What has not ended by then is given up.
    """
    until, done = time.monotonic() + seconds, 0
    with _CONTEXT.Pool(processes) as pool:
        calls = [pool.apply_async(function, (step,)) for step in steps]
        for call in calls:
            call.wait(max(until - time.monotonic(), 0.0))
            done += call.ready() and call.successful()
    return done


class _Worker:
    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._pipe, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(function, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.answers = True

    def take(self, step: Any, seconds: float) -> Any:
        try:
            self._pipe.send(step)
            if self._pipe.poll(seconds):
                return self._pipe.recv()
            reason = f"did not end within {seconds:.0f} s"
        except (EOFError, OSError):
            self._process.join(1.0)
            reason = f"its process ended with status {self._process.exitcode}"
        self.end()
        return Failed(reason)

    def end(self) -> None:
        self.answers = False
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(function: Callable[[Any], Any], pipe: Connection) -> None:
    # whoever interrupts the benchmark ends this process through it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            step = pipe.recv()
        except EOFError:
            return
        try:
            outcome = function(step)
        except Exception as error:
            first = str(error).partition("\n")[0]
            outcome = Failed(f"{type(error).__name__}: {first}" if first else type(error).__name__)
        pipe.send(outcome)
        if not _device_answers():
            # at once: leaving in an orderly way would wait for the device
            os._exit(1)


def _device_answers() -> bool:
    """Whether the GPU still does what this process asks; after some errors it never does again."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return True
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True
