"""``scaleprof report``: show recorded reports, or write them in the formats of other programs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ._arguments import Markdown, Plot
from ._console import print_report
from ._outputs import check_outputs

if TYPE_CHECKING:
    from ..records import Report

Writer = Callable[[Sequence["Report"]], str]


def _path(text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        metavar="PATH", help=f"Write here {text}; - for standard output."
    )
    return option


def report(
    reports: Annotated[
        list[str],
        typer.Argument(metavar="REPORT...", help="Reports to show; - for standard input."),
    ],
    plot: Plot = False,
    html: Annotated[str | None, _path("a page of pictures that needs no network")] = None,
    markdown: Markdown = None,
    timm_csv: Annotated[str | None, _path("a table in the columns of timm's benchmarks")] = None,
    bencher: Annotated[str | None, _path("Bencher Metric Format")] = None,
    github_benchmark: Annotated[
        str | None, _path("JSON for github-action-benchmark (customSmallerIsBetter)")
    ] = None,
    pytest_benchmark: Annotated[str | None, _path("JSON of pytest-benchmark")] = None,
) -> None:
    """Show REPORTs, or write them in other formats: no torch, no device."""
    paths = {
        "--html": html,
        "--markdown": markdown,
        "--timm-csv": timm_csv,
        "--bencher": bencher,
        "--github-benchmark": github_benchmark,
        "--pytest-benchmark": pytest_benchmark,
    }
    check_outputs(paths | {"--plot": "-" if plot else None})
    from ..reports import read_report, write_text

    read = tuple(map(read_report, reports))
    # every text before the first file, so that an error leaves nothing half done
    texts = {path: _writer(option)(read) for option, path in paths.items() if path is not None}
    for path, text in texts.items():
        write_text(text, path)
    if not texts or plot:
        for shown in read:
            print_report(shown, plot=plot)


def _writer(option: str) -> Writer:
    """Import one format."""
    from importlib import import_module

    module, function = _WRITERS[option]
    writer: Writer = getattr(import_module(f"..reports.{module}", __package__), function)
    return writer


_WRITERS = {
    "--html": ("html", "report_html"),
    "--markdown": ("markdown", "report_markdown"),
    "--timm-csv": ("timm_csv", "timm_csv"),
    "--bencher": ("bencher", "bencher_json"),
    "--github-benchmark": ("github_benchmark", "github_benchmark_json"),
    "--pytest-benchmark": ("pytest_benchmark", "pytest_benchmark_json"),
}
