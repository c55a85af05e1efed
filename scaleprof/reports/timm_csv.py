"""Reports as a table of results in the columns of timm's ``benchmark.py``.

Columns, units (milliseconds a step; millions of parameters and activations and thousands of
millions of MACs for one image), digits and order are those of ``results/benchmark-infer-*.csv``,
https://github.com/huggingface/pytorch-image-models/tree/main/results.
"""

import csv
import io
from collections.abc import Sequence

from ..records import Report
from ._measured import Measured, measured_variants

COLUMNS = (
    "model", "infer_img_size", "infer_samples_per_sec", "infer_step_time", "infer_batch_size",
    "param_count", "infer_gmacs", "infer_macts",
)  # fmt: skip


def timm_csv(reports: Sequence[Report]) -> str:
    """Show what was measured, the highest throughput first.

    Args:
        reports: One or more reports.

    Raises:
        ReportError: If nothing was measured.
        InputError: If two reports measured the same variant.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    fastest_first = sorted(
        measured_variants(reports), key=lambda m: m.report.context.batch / m.latency.p50
    )
    writer.writerows(_row(measured) for measured in reversed(fastest_first))
    return file.getvalue()


def _row(measured: Measured) -> tuple[str | int | float, ...]:
    cost, batch = measured.variant.cost, measured.report.context.batch
    return (
        _model(measured),
        cost.input_shape[-1] if cost.input_shape else "",
        round(batch / measured.latency.p50, 2),
        round(1e3 * measured.latency.p50, 3),
        batch,
        round(cost.params / 1e6, 2),
        round(cost.macs / batch / 1e9, 2),
        round(cost.activations / batch / 1e6, 2),
    )


def _model(measured: Measured) -> str:
    """Return timm's own name for a base of timm's; nothing that a spreadsheet would compute."""
    name = measured.name.removeprefix("timm:").removesuffix("/base")
    return f"'{name}" if name.startswith(("=", "+", "-", "@")) else name
