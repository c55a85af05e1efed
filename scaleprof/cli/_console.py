"""Where things are printed: data on stdout, progress on stderr, and only to a person."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from ..records import Report

# a table in a file or a pipe is not cut to a terminal that is not there
_FILE_WIDTH = 150
# wider than this, a front is only further from its labels
_PLOT_WIDTH = 100


def print_data(renderable: Any) -> None:
    """Print a table on standard output."""
    _console().print(renderable)


def print_report(report: "Report", *, plot: bool) -> None:
    """Print a report as a table on standard output, and perhaps its front below it."""
    from ..reports.table import profile_table

    console = _console()
    console.print(profile_table(report))
    if plot:
        from ..reports.plot import front_plot

        console.print()
        console.print(front_plot(report, width=min(console.width, _PLOT_WIDTH)))


def _console() -> "Console":
    from rich.console import Console

    width = None if sys.stdout.isatty() else _FILE_WIDTH
    return Console(width=width, highlight=False, markup=False)


@contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """Show what is going on, on standard error, while a terminal looks on."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as shown:
        yield shown.update


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error, while a terminal looks on."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("counting", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
