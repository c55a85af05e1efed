"""``scaleprof fit``: predict accuracy from one's own training runs."""

from typing import Annotated

import typer

from ._arguments import Json
from ._console import print_data


def fit(
    runs: Annotated[
        str, typer.Argument(metavar="RUNS.CSV", help="Trained models: family, gmacs, metric, ….")
    ],
    json: Json = None,
    predict: Annotated[
        str | None,
        typer.Option(metavar="QUERIES.CSV", help="Predict these; CSV on standard output."),
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="PATH", help="Write the predictions there instead.")
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What the runs reached: top1_percent, error, loss, or the name of an accuracy "
            "in percent such as dice.",
        ),
    ] = "top1_percent",
) -> None:
    """Fit the accuracy law to RUNS.CSV, for scaleprof profile --accuracy, or to predict."""
    from ..errors import InputError
    from ..prediction import predict_table, read_runs
    from ..reports import check_writable, read_text, write_json, write_text
    from ..reports.accuracy import families_table

    if output and not predict:
        raise InputError("`--output` is for predictions", hint="pass --predict QUERIES.CSV")
    for path in (json, output):
        check_writable(path)
    fitted, warnings = read_runs(read_text(runs), runs, metric=metric)
    for warning in warnings:
        typer.echo(f"warning: {runs}: {warning}", err=True)
    answers = predict_table(fitted, read_text(predict), predict) if predict else None
    if json:
        write_json(fitted, json)
    if answers is not None and output and output != "-":
        write_text(answers, output)
    elif answers is not None:
        typer.echo(answers, nl=False)
    elif json != "-":
        print_data(families_table(fitted))
