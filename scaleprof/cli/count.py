"""``scaleprof count``: what models need, without running them."""

from typing import Annotated

import typer

from ._arguments import Json
from ._console import print_data, progress_bar

COUNT_FAILED = 1


def count(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...", help="timm:NAME, 'timm:*', pkg.mod:callable, file.py:callable."
        ),
    ],
    json: Json = None,
    input: Annotated[  # noqa: A002 - the option is --input
        list[str] | None,
        typer.Option(
            metavar="SPEC", help="An input without its batch, such as 3x224x224; repeatable."
        ),
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", help="Batch in front of every input.")] = 1,
    dtype: Annotated[str, typer.Option(help="float32, float16 or bfloat16.")] = "float32",
    modules: Annotated[
        int | None, typer.Option(metavar="DEPTH", help="Also count by module, down to this depth.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="COUNTER", help="fvcore: set its count beside ours.")
    ] = None,
) -> None:
    """Count parameters, MACs, activations and memory of models, without running them."""
    from ..errors import InputError
    from ..profiler._count import count_models
    from ..profiler._options import check_count_options
    from ..reports import check_writable, write_json
    from ..reports.table import counts_table, modules_table

    check_count_options(batch=batch, dtype=dtype, module_depth=modules, against=against)
    check_writable(json)
    with progress_bar() as progress:
        counts = count_models(
            models,
            inputs=tuple(input or ()),
            batch=batch,
            dtype=dtype,
            module_depth=modules,
            against=against,
            progress=progress,
        )
    if json:
        write_json(counts, json)
    if len(counts.failures) == 1 and not counts.models:
        raise InputError(counts.failures[0].reason, hint=counts.failures[0].hint)
    if json != "-":
        print_data(counts_table(counts))
        if modules is not None:
            print_data(modules_table(counts))
    for failure in counts.failures:
        typer.echo(f"error: {failure.reason}", err=True)
    if counts.failures:
        raise typer.Exit(COUNT_FAILED)
