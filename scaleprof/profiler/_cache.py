"""What probing found, kept on disk until something changes that it depends on.

An entry's name is a hash of the job, its request, the versions of the libraries and the source of
scaleprof itself. Inside are the reply and hashes of the user's own files that the model was built
from: an entry whose files changed is not used.
"""

import contextlib
import hashlib
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..models import TRUSTED_PACKAGES
from ..project import project_text

Reply = TypeVar("Reply")

VARIABLE = "SCALEPROF_CACHE"
"""Environment variable: a folder of one's own for the cache, or ``off``."""

# of entries, the oldest go once all take more; a model with eight strategies takes about 1 MB
_MAX_BYTES = 256 * 2**20


class _Entry(msgspec.Struct, frozen=True):
    """One reply, and the files it depends on with their hashes."""

    files: dict[str, str]
    reply: msgspec.Raw


class Cache:
    """Replies of jobs by their requests.

    Args:
        fresh: Answer nothing; what is put replaces what was there.
    """

    def __init__(self, *, fresh: bool = False) -> None:
        self._fresh = fresh

    def get(self, job: str, request: Any, reply: type[Reply]) -> Reply | None:
        """Return what a job replied to this request, if nothing has changed since."""
        path = _path(job, request)
        if self._fresh or path is None:
            return None
        # another version's entry, a broken file: whatever cannot be read was never there
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            entry = msgspec.msgpack.decode(path.read_bytes(), type=_Entry)
            if all(_digest(name) == known for name, known in entry.files.items()):
                return msgspec.msgpack.decode(entry.reply, type=reply)
        return None

    def put(self, job: str, request: Any, reply: Any, files: Iterable[str]) -> None:
        """Keep a reply; a disk that is full or read-only is no error.

        Args:
            job: What ran.
            request: What it was asked.
            reply: What it answered, a record.
            files: Files of the user's that the answer depends on.
        """
        path = _path(job, request)
        if path is None:
            return
        digests = {name: _digest(name) or "" for name in files}
        entry = _Entry(digests, msgspec.Raw(msgspec.msgpack.encode(reply)))
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, msgspec.msgpack.encode(entry))
            _prune(path.parent)


def cache_folder() -> Path | None:
    """Return the folder of the cache; None if it is switched off."""
    named = os.environ.get(VARIABLE)
    if named == "off":
        return None
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "scaleprof" / "knobs"


def _path(job: str, request: Any) -> Path | None:
    folder = cache_folder()
    if folder is None:
        return None
    here = (str(Path.cwd()), project_text(), *sys.path)
    key = msgspec.msgpack.encode([job, request, _versions(), _own_source(), here])
    return folder / f"{hashlib.sha256(key).hexdigest()[:32]}.msgpack"


@cache
def _versions() -> tuple[str, ...]:
    found = [sys.version]
    for package in TRUSTED_PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    return tuple(found)


@cache
def _own_source() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _digest(name: str) -> str | None:
    with contextlib.suppress(OSError):
        return hashlib.sha256(Path(name).read_bytes()).hexdigest()
    return None


def _write(path: Path, content: bytes) -> None:
    """Write a file that is there as a whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    Path(file.name).replace(path)


def _prune(folder: Path) -> None:
    entries = [(entry.stat(), entry.path) for entry in os.scandir(folder)]
    excess = sum(stat.st_size for stat, _ in entries) - _MAX_BYTES
    for stat, path in sorted(entries, key=lambda entry: entry[0].st_mtime):
        if excess <= 0:
            return
        Path(path).unlink(missing_ok=True)
        excess -= stat.st_size
