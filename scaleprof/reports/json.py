"""Reports as files: written whole or not at all, read with suspicion."""

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..errors import InputError, ReportError
from ..records import ACCURACY_SCHEMA, REPORT_SCHEMA, AccuracyRuns, Report

Decoded = TypeVar("Decoded")

# no honest report comes near them: 600 variants with 900 samples each take 12 MB. Together
# they keep what a file can make of memory below 200 MB: a value takes 120 bytes at most, a
# character four
MAX_BYTES = 24 * 2**20
MAX_VALUES = 600_000
_VERSION_DIGITS = 6


class _Header(msgspec.Struct):
    schema: str | None = None


def read_report(path: str) -> Report:
    """Read a report.

    Fields that this version does not know are ignored.

    Args:
        path: File that ``scaleprof profile --json`` wrote, or ``-`` for standard input.

    Raises:
        ReportError: If it cannot be read, is damaged, is something else, or is of a newer major
            version of the schema.
    """
    content = _read(path)
    _check_schema(_decode(content, _Header, path).schema, path)
    report = _decode(content, Report, path)
    _check_references(report, path)
    return report


def read_accuracy(path: str) -> AccuracyRuns:
    """Read the runs that ``scaleprof fit --json`` wrote.

    Raises:
        InputError: If it cannot be read, is damaged, or is something else.
    """
    content = _read(path)
    hint = "make one with scaleprof fit RUNS.CSV --json PATH"
    if (schema := _decode(content, _Header, path).schema) != ACCURACY_SCHEMA:
        raise InputError(
            f"`{path}` holds no trained runs: its schema is `{schema}`, not `{ACCURACY_SCHEMA}`",
            hint=hint,
        )
    try:
        runs = msgspec.json.decode(content, type=AccuracyRuns)
    except msgspec.ValidationError as error:
        raise InputError(f"`{path}` holds no trained runs: {error}", hint=hint) from None
    if not runs.runs:
        raise InputError(f"`{path}` holds no trained runs", hint=hint)
    return runs


def read_text(path: str) -> str:
    """Read a text file in UTF-8.

    Args:
        path: The file, or ``-`` for standard input.

    Raises:
        InputError: If it cannot be read, or is not text.
    """
    try:
        return _read(path).decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"`{path}` is not text in UTF-8") from None


def _check_references(report: Report, path: str) -> None:
    """Refuse a report without a base, or one that speaks of variants it does not hold."""
    known = {variant.id for variant in report.variants}
    selection = report.selection
    named: set[str | None] = {"base", *(row.variant for row in report.strategies)}
    if selection is not None:
        named |= {selection.variant, *selection.runners_up}
        named |= {selection.more.variant} if selection.more else set()
    named |= {rung.variant for rung in report.ladder.rungs} if report.ladder else set()
    missing = sorted(name for name in named if name is not None and name not in known)
    if missing:
        raise ReportError(f"`{path}` is not a scaleprof report: it holds no variant `{missing[0]}`")


def _read(path: str) -> bytes:
    try:
        if path == "-":
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ReportError(f"cannot read `{path}`: {reason}") from None
    if len(content) > MAX_BYTES:
        raise ReportError(f"`{path}` is larger than any report ({MAX_BYTES // 2**20} MiB)")
    # every value but the first of a list or a mapping has a comma before it
    if sum(map(content.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise ReportError(f"`{path}` holds more values than any report ({MAX_VALUES:,})")
    return content


def _decode(content: bytes, kind: type[Decoded], path: str) -> Decoded:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise ReportError(f"`{path}` is not a scaleprof report: {error}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        hint = "the file may be truncated: write it again with scaleprof profile --json"
        raise ReportError(f"`{path}` is not valid JSON: {error}", hint=hint) from None


def _check_schema(schema: str | None, path: str) -> None:
    name, _, version = (schema or "").partition("/")
    ours, _, supported = REPORT_SCHEMA.partition("/")
    if name != ours or not (version.isdecimal() and len(version) <= _VERSION_DIGITS):
        raise ReportError(
            f"`{path}` is not a scaleprof report: its schema is `{schema}`, not `{REPORT_SCHEMA}`",
            hint="make one with scaleprof profile MODEL --json PATH",
        )
    if int(version) > int(supported):
        raise ReportError(
            f"`{path}` has schema `{schema}`; this version reads up to `{REPORT_SCHEMA}`",
            hint="pip install --upgrade scaleprof",
        )


def write_json(record: Any, path: str) -> None:
    """Write a record as indented JSON; the file appears whole, or stays as it was.

    Args:
        record: Any record.
        path: File to write, or ``-`` for standard output.

    Raises:
        InputError: If the file cannot be written.
    """
    _write(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n", path)


def write_text(text: str, path: str) -> None:
    """Write text in UTF-8; the file appears whole, or stays as it was.

    Args:
        text: The text.
        path: File to write, or ``-`` for standard output.

    Raises:
        InputError: If the file cannot be written.
    """
    _write(text.encode("utf-8", errors="replace"), path)


def _write(content: bytes, path: str) -> None:
    if path == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        _replace(Path(path), content)
    except OSError as error:
        raise InputError(f"cannot write `{path}`: {error.strerror}") from None


def check_writable(path: str | None) -> None:
    """Refuse a path that could not be written, before the work that would be lost.

    Raises:
        InputError: If its folder does not exist or does not take files.
    """
    if path is None or path == "-":
        return
    folder = Path(path).resolve().parent
    if not folder.is_dir():
        raise InputError(f"cannot write `{path}`: there is no folder `{Path(path).parent}`")
    if Path(path).is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"cannot write `{path}`: it is a folder, or its folder is read-only")


def _replace(path: Path, content: bytes) -> None:
    if path.exists() and not path.is_file():
        # a pipe or device, such as /dev/stdout: there is nothing to rename over
        path.write_bytes(content)
        return
    # a link stays a link to the new content
    path = path.resolve()
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
