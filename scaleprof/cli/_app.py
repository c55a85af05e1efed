"""The application: its commands, and how errors become messages and exit statuses."""

import os
import signal
import sys
from typing import Annotated, NoReturn

import typer

from ..errors import ScaleprofError
from . import (
    build,
    check,
    count,
    devices,
    fit,
    kernels,
    knobs,
    measure,
    profile,
    report,
    scale,
    schema,
    select,
)

app = typer.Typer(
    name="scaleprof",
    help="Measure scaled variants of a torch model, and pick the best under a budget.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# in the order in which a new user meets them
app.command()(profile.profile)
app.command()(select.select)
app.command()(build.build)
app.command()(measure.measure)
app.command()(check.check)
app.command()(report.report)
app.command()(fit.fit)
app.command()(count.count)
app.command()(knobs.knobs)
app.command()(scale.scale)
app.command()(devices.devices)
app.add_typer(kernels.app, name="kernels")
app.command()(schema.schema)

PROGRAM_FAILED = 4


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"scaleprof {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Say which version."
        ),
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Run the command line and exit.

    An error that scaleprof raises on purpose is one line and perhaps a hint; any other ends with
    a traceback and status 4, because it is a defect of the program.
    """
    # ended by CI or a closed terminal, the command still ends its workers and keeps its results
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        app()
    except ScaleprofError as error:
        sys.exit(_report(error))
    except BrokenPipeError:
        # the reader of our output has gone, as in `| head`; there is nobody left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception:
        import traceback

        traceback.print_exc()
        sys.exit(PROGRAM_FAILED)
    sys.exit(0)


def _report(error: ScaleprofError) -> int:
    from ..reports import one_line

    typer.echo(f"error: {one_line(str(error))}", err=True)
    if error.hint:
        typer.echo(f"\nhint: {one_line(error.hint)}", err=True)
    return error.exit_status
