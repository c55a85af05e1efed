"""Messages between the parent, the worker server and its workers: length-prefixed msgpack."""

import os
import struct
from typing import Any, TypeVar

import msgspec

_LENGTH = struct.Struct("<Q")
Message = TypeVar("Message")


class Job(msgspec.Struct, frozen=True):
    """A function to call: ``module:qualname``, and its one argument as msgpack."""

    function: str
    request: bytes


class Started(msgspec.Struct, frozen=True):
    """A worker process runs the job."""

    pid: int


class Returned(msgspec.Struct, frozen=True, tag=True):
    """The job returned this, as msgpack."""

    reply: bytes


class Raised(msgspec.Struct, frozen=True, tag=True):
    """The job raised an exception."""

    exception: str
    message: str
    out_of_memory: bool = False
    exit_status: int | None = None
    error: str | None = None
    hint: str | None = None


class Ended(msgspec.Struct, frozen=True):
    """The worker process is gone.

    Attributes:
        answer: What it sent, as msgpack of `Returned` or `Raised`; empty if nothing.
        wait_status: What `os.waitpid` gave.
        output: The last lines that it printed.
    """

    answer: bytes
    wait_status: int
    output: str


def send(fd: int, message: Any) -> None:
    """Write one message."""
    payload = message if isinstance(message, bytes) else msgspec.msgpack.encode(message)
    data = memoryview(_LENGTH.pack(len(payload)) + payload)
    while data:
        data = data[os.write(fd, data) :]


def receive(fd: int, kind: type[Message]) -> Message | None:
    """Read one message; None at the end of the stream."""
    payload = receive_bytes(fd)
    return None if payload is None else msgspec.msgpack.decode(payload, type=kind)


def receive_bytes(fd: int) -> bytes | None:
    """Read one message without decoding it; None at the end of the stream."""
    header = _read_exactly(fd, _LENGTH.size)
    return None if header is None else _read_exactly(fd, _LENGTH.unpack(header)[0])


def _read_exactly(fd: int, size: int) -> bytes | None:
    chunks = bytearray()
    while len(chunks) < size:
        chunk = os.read(fd, min(size - len(chunks), 1 << 20))
        if not chunk:
            return None
        chunks += chunk
    return bytes(chunks)
