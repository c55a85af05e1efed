"""Tables of trained models: read, checked, and the accuracy law fitted to each family of them.

Widths and depths are factors relative to a family's base; sizes are in pixels. Families may be ones
that nobody has heard of: names only group rows, as does the training regime.
"""

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..records import Accuracy, AccuracyRuns, FittedFamily, TrainedRun
from ._accuracy import fit_accuracy_law, leave_largest_out
from ._accuracy_query import AccuracyQuery, TrainedModel

if TYPE_CHECKING:
    from ._accuracy_law import AccuracyLaw

NUMBERS = (
    "width",
    "depth",
    "resolution",
    "patch_size",
    "gmacs",
    "params_m",
    "macts_m",
    "kernel_size",
)
COLUMNS = ("family", *NUMBERS[:-1], "metric", "regime", "kernel_size")
ANSWER = ("mean", "p05", "p95", "status", "reason")
# a file of runs is typed by people or written by a sweep; beyond this it is something else
MAX_ROWS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A CSV file as text.

    Attributes:
        name: What to call it in messages.
        columns: Its header.
        rows: Line number and cells of each row.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyLaw:
    """The law of one family under one regime.

    Attributes:
        law: The fitted law.
        reference: The run that factors are relative to.
        gmacs: Compute of the reference in GMACs.
    """

    law: "AccuracyLaw"
    reference: TrainedRun
    gmacs: float


def read_table(text: str, name: str, *, needed: Sequence[str]) -> Table:
    """Split a CSV file into cells.

    Raises:
        InputError: If it has no rows, or a column that is unknown, missing or there twice.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    try:
        columns = tuple(cell.strip() for cell in next(reader, []))
        _check_columns(columns, name, needed)
        rows = tuple(_rows(reader, columns, name))
    except csv.Error as error:
        raise InputError(f"{name} is not a CSV file: {error}") from None
    if not rows:
        raise InputError(f"{name} has a header but no rows")
    return Table(name=name, columns=columns, rows=rows)


def _check_columns(columns: Sequence[str], name: str, needed: Sequence[str]) -> None:
    hint = f"the columns are {', '.join(COLUMNS)}"
    if not any(columns):
        raise InputError(f"{name} is empty", hint=hint)
    unknown = [column for column in columns if column not in COLUMNS]
    if unknown:
        raise InputError(f"{name} has an unknown column `{unknown[0]}`", hint=hint)
    twice = [column for column in columns if columns.count(column) > 1]
    if twice:
        raise InputError(f"{name} has the column `{twice[0]}` twice", hint="leave one of them out")
    missing = [column for column in needed if column not in columns]
    if missing:
        raise InputError(f"{name} has no column `{missing[0]}`", hint=hint)


def _rows(
    reader: Iterator[list[str]], columns: Sequence[str], name: str
) -> Iterator[tuple[int, dict[str, str]]]:
    for number, cells in enumerate(reader, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(columns):
            raise InputError(
                f"{name} line {number} has {len(cells)} cells, the header has {len(columns)}"
            )
        if number > MAX_ROWS:
            raise InputError(f"{name} has over {MAX_ROWS} rows")
        yield number, dict(zip(columns, (cell.strip() for cell in cells), strict=True))


def read_runs(text: str, name: str, *, metric: str) -> tuple[AccuracyRuns, tuple[str, ...]]:
    """Read a table of trained models and fit the law to each of its families.

    Args:
        text: Content of the CSV file.
        name: What to call it in messages.
        metric: What its column ``metric`` is.

    Returns:
        The runs with what the law makes of them, and warnings.

    Raises:
        InputError: If a column, a number or a metric is not as it should be; with its line.
    """
    table = read_table(text, name, needed=("family", "gmacs", "metric"))
    runs = [_run(cells, f"{name} line {line}") for line, cells in table.rows]
    kept = tuple(dict.fromkeys(runs))
    copies = len(runs) - len(kept)
    unfitted = AccuracyRuns(metric=metric, runs=kept, source=name)
    laws = fit_families(unfitted)
    families = tuple(_describe(key, laws[key], _members(kept, key)) for key in laws)
    warnings = [f"{copies} of {len(runs)} rows repeat another and count once"] if copies else []
    lonely = [family.family for family in families if family.runs == 1]
    if lonely:
        more = f" and {len(lonely) - 1} others" if len(lonely) > 1 else ""
        warnings.append(
            f"family `{lonely[0]}`{more} has one run: a band within 4 times its compute, no more"
        )
    fitted = AccuracyRuns(metric=metric, runs=kept, families=families, source=name)
    return fitted, tuple(warnings)


def _run(cells: Mapping[str, str], where: str) -> TrainedRun:
    try:
        if not cells["family"]:
            raise ValueError("`family` is empty")
        metric = _number(cells, "metric")
        if metric is None:
            raise ValueError("`metric` is empty")
        return TrainedRun(
            family=cells["family"],
            metric=metric,
            regime=cells.get("regime") or None,
            **_sizes(cells),
        )
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None


def _sizes(cells: Mapping[str, str]) -> dict[str, float | None]:
    sizes = {column: _number(cells, column) for column in NUMBERS}
    for column, value in sizes.items():
        if value is not None and value <= 0:
            raise ValueError(f"`{column}` must be positive, got {value:g}")
    return sizes


def _number(cells: Mapping[str, str], column: str) -> float | None:
    text = cells.get(column, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"`{column}` must be a number, got `{text[:40]}`") from None
    if not math.isfinite(value):
        raise ValueError(f"`{column}` must be a finite number, got `{text[:40]}`")
    return value


Key = tuple[str, str | None]


def _members(runs: Sequence[TrainedRun], key: Key) -> list[TrainedRun]:
    return [run for run in runs if (run.family, run.regime) == key]


def fit_families(runs: AccuracyRuns) -> dict[Key, FamilyLaw]:
    """Fit the law to each family under each regime.

    Raises:
        InputError: If a run has a metric that is impossible, or no compute.
    """
    keys = dict.fromkeys((run.family, run.regime) for run in runs.runs)
    return {key: _fit(_members(runs.runs, key), runs.metric) for key in keys}


def fit_family(
    members: Sequence[TrainedRun], metric: str, *, reference: TrainedRun, transformer: bool
) -> FamilyLaw:
    """Fit the law to the runs of one family.

    Args:
        members: Its runs, of one regime.
        metric: What their metric is.
        reference: What factors are relative to; its compute must be known.
        transformer: Whether the family mixes positions by attention.

    Raises:
        InputError: If a run has a metric that is impossible.
    """
    gmacs = reference.gmacs or 1.0
    try:
        law = fit_accuracy_law(
            [_trained(run, reference, gmacs) for run in members],
            regime=reference.regime,
            metric=metric,
            family_is_transformer=transformer,
        )
    except ValueError as error:
        raise InputError(
            f"family `{reference.family}`: {error}", hint="say what the metric is with --metric"
        ) from None
    return FamilyLaw(law=law, reference=reference, gmacs=gmacs)


def _fit(members: Sequence[TrainedRun], metric: str) -> FamilyLaw:
    known = [run for run in members if run.gmacs is not None]
    if not known:
        raise InputError(
            f"family `{members[0].family}` has no run with `gmacs`",
            hint="count its models with scaleprof count",
        )
    return fit_family(
        members,
        metric,
        reference=max(known, key=_likeness_to_base),
        transformer=any(run.patch_size for run in members),
    )


def _likeness_to_base(run: TrainedRun) -> tuple[float, float]:
    """Order runs: factors of 1 first, and among those the largest."""
    unlike = abs(math.log(run.width or 1.0)) + abs(math.log(run.depth or 1.0))
    return -unlike, run.gmacs or 0.0


def _trained(run: TrainedRun, reference: TrainedRun, gmacs: float) -> TrainedModel:
    query = relative_query(run, reference, gmacs)
    return TrainedModel(
        gmacs=query.gmacs,
        metric=run.metric,
        width=query.width,
        depth=query.depth,
        resolution=query.resolution,
        patch_size=query.patch_size,
        kernel_size=query.kernel_size,
        params_m=query.params_m,
    )


def relative_query(run: TrainedRun, reference: TrainedRun, gmacs: float) -> AccuracyQuery:
    """Place a model relative to a reference; a size that either lacks counts as equal.

    Args:
        run: The model; its metric does not matter.
        reference: What its factors are relative to.
        gmacs: Compute of the reference, from which that of a model without any follows.
    """

    def factor(column: str) -> float:
        own, base = getattr(run, column), getattr(reference, column)
        return own / base if own is not None and base is not None else 1.0

    sizes: dict[str, Any] = {
        column: factor(column)
        for column in ("width", "depth", "resolution", "patch_size", "kernel_size")
    }
    explained = AccuracyQuery(gmacs=1.0, **sizes).explained_compute
    return AccuracyQuery(gmacs=run.gmacs or gmacs * explained, params_m=run.params_m, **sizes)


def _describe(key: Key, fitted: FamilyLaw, members: Sequence[TrainedRun]) -> FittedFamily:
    compute = [anchor.gmacs for anchor in fitted.law.anchors]
    return FittedFamily(
        family=key[0],
        regime=key[1],
        runs=len(members),
        gmacs=(min(compute), max(compute)),
        leave_largest_out=leave_largest_out(fitted.law),
        regime_posterior=fitted.law.regime_posterior,
        notes=fitted.law.notes,
    )


def predict_table(runs: AccuracyRuns, text: str, name: str) -> str:
    """Predict every row of a table of queries.

    Args:
        runs: What the law is fitted to.
        text: Content of the CSV file of queries.
        name: What to call it in messages.

    Returns:
        CSV: the queries' columns and `ANSWER`, one row a query, in order. A query that cannot be
        answered is ``refused``, with empty numbers and the reason.

    Raises:
        InputError: If the file has no rows, or a column is unknown or missing.
    """
    table = read_table(text, name, needed=("family",))
    laws = fit_families(runs)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*table.columns, *ANSWER])
    for _, cells in table.rows:
        answer = _answer(cells, laws)
        numbers = ("" if v is None else f"{v:.6g}" for v in (answer.mean, answer.p05, answer.p95))
        row = [cells[column] for column in table.columns]
        writer.writerow([*row, *numbers, answer.status, answer.reason or ""])
    return out.getvalue()


def _answer(cells: Mapping[str, str], laws: Mapping[Key, FamilyLaw]) -> Accuracy:
    try:
        query = TrainedRun(
            family=cells["family"], metric=0.0, regime=cells.get("regime") or None, **_sizes(cells)
        )
        fitted, note = _law_for(query, laws)
        answer = _predict(fitted, query)
    except ValueError as error:
        return Accuracy(
            metric="", mean=None, p05=None, p95=None, status="refused", reason=str(error)
        )
    reason = "; ".join(text for text in (note, answer.reason) if text)
    return Accuracy(
        metric=answer.metric,
        mean=answer.mean,
        p05=answer.p05,
        p95=answer.p95,
        status=answer.status,
        reason=reason or None,
    )


def _predict(fitted: FamilyLaw, query: TrainedRun) -> Accuracy:
    placed = relative_query(query, fitted.reference, fitted.gmacs)
    sizes: Callable[[str], bool] = lambda column: getattr(query, column) is not None  # noqa: E731
    if query.gmacs is None and not any(map(sizes, ("width", "depth", "resolution", "patch_size"))):
        raise ValueError("`gmacs` is empty, and no size from which it would follow is given")
    return fitted.law.predict(placed)


def _law_for(query: TrainedRun, laws: Mapping[Key, FamilyLaw]) -> tuple[FamilyLaw, str]:
    """Return the law of a query's family and regime, and what to know about that choice."""
    own = {key: law for key, law in laws.items() if key[0] == query.family}
    if not query.family:
        raise ValueError("`family` is empty")
    if not own:
        raise ValueError(f"no run of family `{query.family}`: nothing to start from")
    if (query.family, query.regime) in own:
        return own[query.family, query.regime], ""
    if query.regime is None:
        key = max(own, key=lambda key: len(own[key].law.anchors))
        return own[key], f"predicted as trained under regime {key[1]}"
    if (query.family, None) in own:
        return own[query.family, None], "from runs whose regime is not stated"
    stated = ", ".join(sorted(str(key[1]) for key in own))
    raise ValueError(f"no run of family `{query.family}` under {query.regime}; there is {stated}")
