"""Settings of a check that a repository keeps in a file.

In ``scaleprof.toml`` of the working directory, or under ``tool.scaleprof`` in ``pyproject.toml``::

    [check]
    gates = ["latency.p50:+5%", "memory.planned:+0"]
    budgets = ["latency<=5ms"]
    variant = "base"
    baseline = "main.json"
    rerun = "nets.py:Net"
"""

from pathlib import Path

import msgspec

from ...errors import InputError
from ...project import project_tables


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file says of a check; flags win.

    Attributes:
        gates: Gates, as in ``--gate``.
        budgets: Budgets, as in ``--budget``.
        variant: As ``--variant``.
        baseline: Path, or paths, as ``--baseline``; relative to the file.
        rerun: Model reference, as ``--rerun``.
    """

    gates: tuple[str, ...] = ()
    budgets: tuple[str, ...] = ()
    variant: str | None = None
    baseline: str | tuple[str, ...] = ()
    rerun: str | None = None

    @property
    def baselines(self) -> tuple[str, ...]:
        """All baselines."""
        return (self.baseline,) if isinstance(self.baseline, str) else self.baseline


def read_settings(folder: Path | None = None) -> Settings:
    """Read the settings of a folder; empty ones if it has none.

    Args:
        folder: Where the files are; None is the working directory.

    Raises:
        InputError: If a file is not TOML, or its table has other keys or values of other types.
    """
    # where both files hold the table, the first is taken
    for where, table in project_tables("check", folder):
        try:
            return msgspec.convert(table, Settings)
        except msgspec.ValidationError as error:
            raise InputError(
                f"{where}: {error}",
                hint="it takes gates and budgets (lists of strings), variant, baseline and rerun",
            ) from None
    return Settings()
