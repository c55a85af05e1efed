"""``scaleprof build``: the constructor call of a recipe, checked by building it."""

import sys
from typing import Annotated

import typer


def build(
    report: Annotated[
        str, typer.Argument(metavar="REPORT", help="A report; - for standard input.")
    ],
    variant: Annotated[
        str | None, typer.Option(metavar="ID", help="Another variant than the selected one.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Call what the report names, whatever it is.")
    ] = False,
) -> None:
    """Print the constructor call of the selection in REPORT, and check that it builds."""
    from ..models import call_of, is_trusted_package, render
    from ..profiler._rebuild import check_builds, find_variant
    from ..reports import code_line, read_report
    from ..units import format_quantity

    found = find_variant(read_report(report), variant)
    recipe = found.recipe
    # what is built, rather than the text that the report says it is
    imports, call = render(call_of(recipe))
    for line in (*imports, call):
        typer.echo(code_line(line))
    trusted = trust or (not is_trusted_package(recipe.target) and _ask(recipe.target))
    cost = check_builds(found, trust=trusted)
    size = "×".join(map(str, cost.input_shape))
    typer.echo(
        f"builds: {format_quantity(cost.params, 'count')} parameters, input {size}", err=True
    )


def _ask(target: str) -> bool:
    """Ask a person at a terminal; nobody else can consent."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    from ..reports import one_line

    return typer.confirm(f"The report wants to call `{one_line(target)}`. Do that?", err=True)
