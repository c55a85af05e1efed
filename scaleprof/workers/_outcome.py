"""How a job in a worker process can end."""

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Reply = TypeVar("Reply")
FailureStatus = Literal["raised", "exited", "timed_out", "out_of_memory", "crashed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a job may take before its process group is ended.

    Attributes:
        seconds: Wall-clock time.
        memory_bytes: Resident memory of the worker process; None for no limit.
    """

    seconds: float
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Generic[Reply]):
    """The job returned.

    Attributes:
        reply: What it returned.
        elapsed_s: Time from sending the request to receiving the reply.
    """

    reply: Reply
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The job did not return.

    Attributes:
        status: ``raised`` an exception, ``exited`` the process, ``timed_out`` or went
            ``out_of_memory`` under its limits, or ``crashed`` by a signal.
        reason: What happened, in one line.
        output: The last lines that the job printed.
        error: Name of the `scaleprof.errors` class, if the job raised one of those.
        hint: The hint of that error.
    """

    status: FailureStatus
    reason: str
    output: str = ""
    error: str | None = None
    hint: str | None = None
