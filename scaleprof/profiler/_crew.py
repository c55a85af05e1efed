"""The workers of one command: who counts, and who touches the device."""

import contextlib
import math
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import psutil

from ..models import Reference
from ..workers import Done, Failure, Limits, WorkerServer, expect
from ._cache import Cache

Reply = TypeVar("Reply")

# a constructor and a forward pass on the meta device take well under a second; probing takes some
COUNT_LIMITS_S = 120.0
MEASURE_LIMITS_S = 180.0
# a job that starts near the deadline still gets this long, so that a tight limit profiles the base
MIN_LIMIT_S = 20.0
# share of the memory that is free now which one worker may use
_MEMORY_SHARE = 0.8
# but a process on an accelerator, whose libraries alone take gigabytes, may always use this much;
# what is free says little on a virtual machine that is given memory as it asks for it
_LEAST_ON_ACCELERATOR = 16 * 2**30

_LIBRARIES = ("timm", "torchvision", "transformers", "diffusers")


def libraries_of(references: Iterable[Reference]) -> tuple[str, ...]:
    """Return the model libraries that references name, to be imported once and forked."""
    names = {"transformers" if r.source == "hf" else r.source for r in references}
    return tuple(sorted(names.intersection(_LIBRARIES)))


def has_nvidia_gpu() -> bool:
    """Tell whether there is an NVIDIA GPU, without torch and without starting it."""
    import pynvml

    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        return bool(pynvml.nvmlDeviceGetCount())
    return False


class Crew:
    """Worker servers for counting and for measuring; use it as a context manager.

    Args:
        libraries: Model libraries to import beforehand.
        device: Device that will be measured; None if none will.
        deadline: Value of `time.monotonic` after which no worker goes on.
        cache: Replies of probing that need no worker.
    """

    def __init__(
        self,
        libraries: Iterable[str],
        *,
        device: str | None = None,
        deadline: float = math.inf,
        cache: Cache | None = None,
    ) -> None:
        libraries = tuple(libraries)
        counting = ["torch", *libraries, "scaleprof.jobs._count", "scaleprof.jobs._scale"]
        measuring = ["scaleprof.jobs._measure", "scaleprof_kernels.ls_conv"]
        self._forked = WorkerServer(preload=[*counting, *measuring, "scaleprof.jobs._warm"])
        self._spawned = WorkerServer(preload=["torch", *libraries, *measuring], spawn=True)
        self._deadline = deadline
        self._cache = cache or Cache()
        self._type = (device or "cpu").partition(":")[0]
        if self._type == "auto":
            self._type = "cuda" if has_nvidia_gpu() else "cpu"
        # whether CUDA starts in a fork of a server that never touched it; None until it is tried
        self._forks: bool | None = None

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        self._forked.close()
        self._spawned.close()

    def start(self) -> None:
        """Let those who count and fork import, while other things are seen to."""
        self._forked.start()

    def uses(self, device_type: str) -> None:
        """Say which type of device was found."""
        self._type = device_type
        if device_type == "cpu":
            # one that waits for a job may still be importing, which would disturb what is measured
            self._spawned.close()

    def count(self, job: str, request: object, reply: type[Reply], subject: str) -> Reply:
        """Run a job that touches no device.

        Args:
            job: One of the names in `scaleprof.jobs`.
            request: Its argument.
            reply: Type of its result.
            subject: What it works on, for errors.

        Raises:
            ScaleprofError: If the job fails.
        """
        return expect(self.try_count(job, request, reply), subject)

    def try_count(self, job: str, request: object, reply: type[Reply]) -> Done[Reply] | Failure:
        """Run a job that touches no device and return how it ended."""
        return self._forked.run(job, request, reply, limits=self._limits(COUNT_LIMITS_S))

    def probe(
        self, job: str, request: Any, reply: type[Reply], files: Callable[[Reply], Iterable[str]]
    ) -> Done[Reply] | Failure:
        """Run a job that touches no device, or return what it replied before.

        Args:
            job: One of the names in `scaleprof.jobs`.
            request: Its argument.
            reply: Type of its result.
            files: Files of the user's that a reply depends on.
        """
        known = self._cache.get(job, request, reply)
        if known is not None:
            return Done(reply=known, elapsed_s=0.0)
        outcome = self.try_count(job, request, reply)
        if isinstance(outcome, Done):
            self._cache.put(job, request, outcome.reply, files(outcome.reply))
        return outcome

    def measure(self, job: str, request: object, reply: type[Reply]) -> Done[Reply] | Failure:
        """Run a job that touches the device and return how it ended.

        Workers fork for a CPU and are spawned for accelerators, whose drivers do not survive a
        fork. CUDA may start in a fork of a process that never touched it: the first job shows
        whether it does here, and is spawned if not.
        """
        if self._type == "cpu":
            limits = self._limits(MEASURE_LIMITS_S)
            return self._forked.run(job, request, reply, limits=limits)
        if self._type == "cuda" and self._forks is not False:
            limits = self._limits(MEASURE_LIMITS_S, least_memory=_LEAST_ON_ACCELERATOR)
            outcome = self._forked.run(job, request, reply, limits=limits)
            if self._forks or isinstance(outcome, Done):
                self._forks = True
                return outcome
        limits = self._limits(MEASURE_LIMITS_S, least_memory=_LEAST_ON_ACCELERATOR)
        outcome = self._spawned.run(job, request, reply, limits=limits)
        if isinstance(outcome, Done):
            self._forks = False
        return outcome

    def _limits(self, seconds: float, *, least_memory: int = 0) -> Limits:
        left = max(self._deadline - time.monotonic(), MIN_LIMIT_S)
        memory = int(_MEMORY_SHARE * psutil.virtual_memory().available)
        seconds = round(min(seconds, left), 1)
        return Limits(seconds=seconds, memory_bytes=max(memory, least_memory))
