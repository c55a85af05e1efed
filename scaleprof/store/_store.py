"""One SQLite file with every block of samples that was ever measured.

A block is what one worker process measured. It is written as soon as it is there, in a transaction
of its own, so that whatever ends the program later takes nothing with it. Several programs may use
one file at the same time. A store that cannot be used is no reason to measure nothing: `problem`
says what is wrong, reading finds nothing, and writing keeps nothing.
"""

import contextlib
import datetime as dt
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ..records import Record

VARIABLE = "SCALEPROF_STORE"
"""Environment variable: path of the store, or ``off``."""

# another program's transaction is over in milliseconds; a network drive may take longer
_WAIT_SECONDS = 20.0

# each brings a store from the version of its position to the next
_MIGRATIONS = (
    """
    CREATE TABLE blocks (
        id INTEGER PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        measured_at TEXT NOT NULL,
        model TEXT NOT NULL,
        variant TEXT NOT NULL,
        device TEXT NOT NULL,
        status TEXT NOT NULL,
        p50_s REAL,
        content BLOB NOT NULL
    );
    CREATE INDEX blocks_by_fingerprint ON blocks (fingerprint, id);
    """,
    """
    CREATE TABLE calibrations (
        id INTEGER PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        measured_at TEXT NOT NULL,
        device TEXT NOT NULL,
        content BLOB NOT NULL
    );
    CREATE INDEX calibrations_by_fingerprint ON calibrations (fingerprint, id);
    """,
)
VERSION = len(_MIGRATIONS)


class Block(Record, frozen=True, kw_only=True):
    """What one worker process measured of one variant, as it is kept.

    Attributes:
        fingerprint: What can change the measurement, see `fingerprint`.
        measured_at: Time at which it was kept, ISO 8601, UTC.
        model: Reference of the model that was scaled.
        variant: Identifier of the variant.
        device: Name of the device.
        status: ``ok``, or how the process ended.
        p50_s: Median latency; None when there is none.
        content: The whole reply, as the caller encodes it.
        id: Number of the block in its store; None for one that is not kept.
    """

    fingerprint: str
    measured_at: str
    model: str
    variant: str
    device: str
    status: str
    p50_s: float | None
    content: bytes
    id: int | None = None


class Store:
    """A store of measurements; use it as a context manager.

    Args:
        path: The file, made where there is none; None to keep nothing.

    Attributes:
        problem: What keeps it from reading or writing, in one line; None if nothing does.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.problem: str | None = None
        self._connection: sqlite3.Connection | None = None
        if path is not None:
            with self._noting("cannot be opened"):
                self._connection = _opened(path)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def blocks(self, fingerprint: str) -> list[Block]:
        """Return all blocks with a fingerprint, the oldest first."""
        columns = ", ".join(Block.__struct_fields__)
        with self._noting("cannot be read"):
            if self._connection is not None:
                query = f"SELECT {columns} FROM blocks WHERE fingerprint = ? ORDER BY id"
                rows = self._connection.execute(query, (fingerprint,))
                return [
                    Block(**dict(zip(Block.__struct_fields__, row, strict=True))) for row in rows
                ]
        return []

    def keep(self, block: Block) -> int | None:
        """Write a block at once, so that nothing that happens later loses it; return its number."""
        names = tuple(name for name in Block.__struct_fields__ if name != "id")
        values = [getattr(block, name) for name in names]
        statement = f"INSERT INTO blocks ({', '.join(names)}) VALUES ({_marks(names)})"
        return self._write(statement, values)

    def calibration(self, fingerprint: str) -> bytes | None:
        """Return the latest calibration of a device, as its caller encoded it."""
        query = "SELECT content FROM calibrations WHERE fingerprint = ? ORDER BY id DESC LIMIT 1"
        with self._noting("cannot be read"):
            if self._connection is not None:
                row = self._connection.execute(query, (fingerprint,)).fetchone()
                return bytes(row[0]) if row else None
        return None

    def keep_calibration(self, fingerprint: str, device: str, content: bytes) -> None:
        """Write a calibration of a device."""
        names = ("fingerprint", "measured_at", "device", "content")
        statement = f"INSERT INTO calibrations ({', '.join(names)}) VALUES ({_marks(names)})"
        self._write(statement, [fingerprint, now(), device, content])

    def _write(self, statement: str, values: list[object]) -> int | None:
        with self._noting("cannot be written"):
            if self._connection is not None:
                with self._connection:
                    return self._connection.execute(statement, values).lastrowid
        return None

    @contextlib.contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """Turn errors of the file into a line about it."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            self.problem = f"the store `{self.path}` {what}: {reason}"


def now() -> str:
    """Return the present time, ISO 8601, UTC."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def store_path(given: str | None = None) -> Path | None:
    """Return the path of the store: what is given, else the environment's, else the user's cache.

    Args:
        given: A path, or ``off`` for none.
    """
    named = given or os.environ.get(VARIABLE)
    if named:
        return None if named == "off" else Path(named).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "scaleprof" / "store.sqlite"


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_WAIT_SECONDS)
    try:
        _migrate(connection)
        # readers and one writer at a time do not wait for each other; a commit survives a crash
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to this version, in one transaction that two programs cannot both run."""
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)
        if version > VERSION:
            raise sqlite3.DatabaseError(
                f"it has version {version}, made by a newer scaleprof; this one knows {VERSION}"
            )
        for migration in _MIGRATIONS[version:]:
            for statement in filter(str.strip, migration.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _marks(names: tuple[str, ...]) -> str:
    return ", ".join("?" * len(names))
