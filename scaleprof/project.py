"""What a project says of itself to scaleprof: tables of a file in its folder.

In ``scaleprof.toml``, or under ``tool.scaleprof`` in ``pyproject.toml``. Who reads a table says
what it may hold.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import InputError

# a file, and the keys that lead to our tables in it
_FILES = {"scaleprof.toml": (), "pyproject.toml": ("tool", "scaleprof")}


def project_tables(key: str, folder: Path | None = None) -> Iterator[tuple[str, Any]]:
    """Yield what the files of a folder hold under a key, reading one when its turn comes.

    Args:
        key: Name of a table of scaleprof's: ``models`` or ``check``.
        folder: Where the files are; None is the working directory.

    Yields:
        For each file that has it, where it stands there, and its value, ``scaleprof.toml`` first.

    Raises:
        InputError: If a file cannot be read as TOML, or what should hold tables is no table.
    """
    for path in _present(folder):
        above = _FILES[path.name]
        tables = _tables(path, above)
        if key in tables:
            yield f"`{path.name}`: {'.'.join((*above, key))}", tables[key]


def project_text() -> str:
    """Return the files of the working directory as they are, to notice when they change."""
    return "\n".join(path.read_text("utf-8", errors="replace") for path in _present(None))


def _present(folder: Path | None) -> list[Path]:
    return [path for name in _FILES if (path := (folder or Path()) / name).is_file()]


def _tables(path: Path, above: tuple[str, ...]) -> dict[str, Any]:
    """Return our tables of a file."""
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read `{path.name}`: {error}", hint="check its syntax") from None
    for key in above:
        found = found.get(key, {})
        if not isinstance(found, dict):
            raise InputError(
                f"`{path.name}`: expected `{key}` to be a table, got {found!r}",
                hint=f"write [{'.'.join((*above, '…'))}]",
            )
    return found
