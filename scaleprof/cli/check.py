"""``scaleprof check``: hold reports against a baseline and against budgets, in CI."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from ._arguments import Json, Markdown
from ._outputs import check_outputs

if TYPE_CHECKING:
    from ..records import Check

_OFF = "off"
_INDENT = 6 * " "
_STATUS = {"pass": 0, "fail": 1, "inconclusive": 3}


def check(
    reports: Annotated[
        list[str],
        typer.Argument(metavar="REPORT...", help="Reports to check; - for standard input."),
    ],
    baseline: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Report to compare with; one for each model."),
    ] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GATE",
            help="How far a quantity may move: latency.p50:+5%, memory.planned:+0, macs:-5% (must "
            "improve); repeatable.",
        ),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(metavar="BOUND", help="A bound such as latency<=5ms; repeatable."),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="A variant, base or all; the selected variant, else the base."
        ),
    ] = None,
    allow_different: Annotated[
        bool,
        typer.Option(
            "--allow-different", help="Compare reports of different devices, versions or settings."
        ),
    ] = False,
    rerun: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Where a line is undecided, measure MODEL, which REPORT is of, in more processes; "
            "off overrides the settings.",
        ),
    ] = None,
    time_limit: Annotated[
        str, typer.Option(metavar="TIME", help="Time for measuring, with --rerun.")
    ] = "120s",
    rerun_output: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Write REPORT here, with what --rerun measured."),
    ] = None,
    json: Json = None,
    markdown: Markdown = None,
    junit: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Write JUnit XML here; - for standard output."),
    ] = None,
) -> None:
    """Gate REPORTs: exit with 0 if all pass, 1 if one fails, 3 if one cannot be decided."""
    from ..errors import ScaleprofError
    from ..profiler import check as hold
    from ..reports.comparison import read_settings
    from ._parse import seconds

    paths = {
        "--json": json,
        "--markdown": markdown,
        "--junit": junit,
        "--rerun-output": rerun_output,
    }
    check_outputs(paths)
    try:
        settings = read_settings()
        model = rerun or settings.rerun
        with _progress(model) as progress:
            checked = hold(
                reports,
                baseline=tuple(baseline or settings.baselines),
                gates=tuple(gate or settings.gates),
                budgets=tuple(budget or settings.budgets),
                variant=variant or settings.variant,
                allow_different=allow_different,
                rerun=None if model == _OFF else model,
                time_limit=seconds(time_limit, "--time-limit"),
                rerun_output=rerun_output,
                progress=progress,
            )
    except ScaleprofError as error:
        _annotate_error(error)
        raise
    _write(checked, json=json, markdown=markdown, junit=junit, silent=rerun_output == "-")
    _tell_github(checked)
    raise typer.Exit(_STATUS[checked.verdict])


def _progress(model: str | None) -> AbstractContextManager[Callable[[str], None]]:
    """Show what is being measured; where nothing is, leave rich alone."""
    from ._console import status

    return nullcontext(lambda _: None) if model in (None, _OFF) else status()


def _write(
    checked: "Check",
    *,
    json: str | None,
    markdown: str | None,
    junit: str | None,
    silent: bool,
) -> None:
    from ..reports import write_json, write_text
    from ..reports.markdown import check_markdown
    from ..reports.verdicts import check_text

    if json:
        write_json(checked, json)
    if markdown:
        write_text(check_markdown(checked), markdown)
    if junit:
        from ..reports.junit import check_junit

        write_text(check_junit(checked), junit)
    if "-" not in (json, markdown, junit) and not silent:
        write_text(_fitted(check_text(checked)), "-")


def _fitted(text: str) -> str:
    """Break lines between words for a person at a terminal; a log keeps them whole."""
    if not sys.stdout.isatty():
        return text
    import shutil
    import textwrap

    width = shutil.get_terminal_size().columns
    lines = (textwrap.wrap(line, width, subsequent_indent=_INDENT) for line in text.splitlines())
    return "\n".join("\n".join(broken) for broken in lines) + "\n"


def _tell_github(checked: "Check") -> None:
    """Annotate on standard error, which GitHub Actions reads too: standard output is for data."""
    from ..reports.github import annotations, append_summary

    trouble = append_summary(checked, os.environ)
    if trouble:
        typer.echo(f"warning: {trouble}", err=True)
    if _in_github_actions():
        sys.stdout.flush()
        for annotation in annotations(checked):
            typer.echo(annotation, err=True)


def _annotate_error(error: Exception) -> None:
    from ..reports.github import error_annotation

    if _in_github_actions():
        typer.echo(error_annotation(error), err=True)


def _in_github_actions() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"
