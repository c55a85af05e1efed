"""``scaleprof knobs``: which arguments of a model's constructor scale it."""

from ._arguments import Fresh, Inputs, Json, Model
from ._console import print_data, status


def knobs(
    model: Model,
    inputs: Inputs = None,
    fresh: Fresh = False,
    json: Json = None,
) -> None:
    """Find the arguments behind width, depth, resolution, patch size and kernel size."""
    from ..profiler._scale import find_knobs_of
    from ..reports import check_writable, write_json
    from ..reports.table import knobs_table

    check_writable(json)
    with status() as show:
        show(f"probing {model}")
        found = find_knobs_of(model, inputs=tuple(inputs or ()), fresh=fresh)
    if json:
        write_json(found, json)
    if json != "-":
        print_data(knobs_table(found))
