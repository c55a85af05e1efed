"""A check: every gate and budget on every variant that was asked for, under one error rate.

The chance of a wrong verdict is divided by the number of lines that an interval decides
(Bonferroni). Holm's procedure would decide a little more, but has no intervals that agree with its
verdicts, and nobody believes a line whose interval says otherwise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from ...errors import GateError, InputError, ReportError
from ...records import (
    Calibration,
    Check,
    CheckLine,
    GraphChange,
    Report,
    TimeChange,
    Variant,
    Verdict,
    replace,
)
from ...selection import Budget, parse_budgets
from .._text import one_line, signed_time
from ._again import wanted_by
from ._cases import Case, Named, cases, that_matter
from ._environment import differences
from ._evidence import rank_of, timings
from ._gate import Gate, parse_gate
from ._graph import graph_change
from ._modules import time_changes
from ._noise import Noise, noise_of
from ._verdict import line_of

# chance that all intervals of a check hold at once
CONFIDENCE = 0.95
# spread of the logarithm of what fresh processes grow by: 0.008 over 12 of convnext_atto on 2 cores
BETWEEN_GROWTHS = 0.01
_GROWTH_DEGREES = 11

# a host that differs by less is not worth a note
_TOLD = 0.01

Pairing = tuple[Named, Named | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A check, and what would help to decide the rest of it.

    Attributes:
        check: The check.
        wanted: Worker processes to add to the checked report, by variant; see `wanted_by`.
    """

    check: Check
    wanted: dict[str, int]


def judge_reports(
    reports: Sequence[Named],
    baselines: Sequence[Named],
    *,
    gates: Sequence[str],
    budgets: Sequence[str],
    variant: str | None,
    allow_different: bool,
    looks: int = 1,
) -> Judged:
    """Hold reports against gates and budgets; see `scaleprof.check`.

    Args:
        reports: Reports to check.
        baselines: What gates compare with.
        gates: Gates as text.
        budgets: Budgets as text.
        variant: See `scaleprof.check`.
        allow_different: Compare reports of different devices, versions or settings.
        looks: How often the same lines are judged while processes are added: whoever looks again
            until a line is decided errs more often than one look says, so that all looks share
            the chance of error.
    """
    parsed = tuple(parse_gate(text) for text in gates)
    bounds = parse_budgets(budgets)
    _refuse_nothing(reports, baselines, parsed, bounds)
    pairs = [(now, _baseline_of(now, baselines) if parsed else None) for now in reports]
    differing = _differences(pairs, allow_different=allow_different)
    listed = [
        case
        for now, baseline in pairs
        for case in cases(now, baseline, gates=parsed, budgets=bounds, variant=variant)
    ]
    found = that_matter(listed)
    timed = sum(case.is_timed for case in found)
    confidence = 1 - (1 - CONFIDENCE) / (max(timed, 1) * looks)
    noises = _Noises(confidence)
    graphs = _graphs(pairs, found)
    changed = {(graph.report, graph.variant) for graph in graphs}
    times = {(time.report, time.variant): time for time in time_changes(found)}
    judged = [(case, noises.of(case) if case.is_timed else None) for case in found]
    lines = [line_of(case, noise) for case, noise in judged]
    wanted: dict[str, int] = {}
    for (case, noise), line in zip(judged, lines, strict=True):
        for identifier, more in wanted_by(case, line, noise).items():
            wanted[identifier] = max(more, wanted.get(identifier, 0))
    check = Check(
        verdict=_overall(lines),
        lines=tuple(
            _beside_graph(
                line,
                changed=(line.report, line.variant) in changed,
                time=times.get((line.report, line.variant)),
            )
            for line in lines
        ),
        graphs=graphs,
        times=tuple(times.values()),
        differences=differing,
        notes=(
            *_notes(pairs, variant),
            *_host_notes(lines),
            *_left_out(len(listed) - len(found)),
        ),
        confidence=CONFIDENCE,
        timed_lines=timed,
    )
    return Judged(check=check, wanted=wanted)


def _refuse_nothing(
    reports: Sequence[Named],
    baselines: Sequence[Named],
    gates: Sequence[Gate],
    budgets: Sequence[Budget],
) -> None:
    if not reports:
        raise InputError("there is no report to check", hint="pass the path of a report")
    if not (gates or budgets):
        raise InputError(
            "there is nothing to check",
            hint="pass --gate 'latency.p50:+5%' with --baseline PATH, or --budget 'latency<=5ms'",
        )
    if gates and not baselines:
        raise GateError(
            f"gate `{gates[0].text}` has no baseline to compare with", hint="pass --baseline PATH"
        )


def _baseline_of(now: Named, baselines: Sequence[Named]) -> Named:
    """Return the baseline of the same model, or the only one there is."""
    matching = [named for named in baselines if named.report.base.model == now.report.base.model]
    if len(matching) == 1 or len(baselines) == 1:
        return (matching or list(baselines))[0]
    several = "several baselines are" if matching else "no baseline is"
    raise ReportError(
        f"{several} of the model of `{now.name}`, `{one_line(now.report.base.model)}`",
        hint="pass one --baseline for each model",
    )


def _differences(pairs: Sequence[Pairing], *, allow_different: bool) -> tuple[str, ...]:
    found = []
    for now, baseline in pairs:
        here = differences(baseline.report, now.report) if baseline is not None else ()
        if here and baseline is not None and not allow_different:
            raise ReportError(
                f"`{now.name}` and `{baseline.name}` were not recorded under the same conditions: "
                f"{'; '.join(here)}",
                hint="record the baseline anew, or pass --allow-different",
            )
        prefix = f"{now.name}: " if len(pairs) > 1 else ""
        found += [f"{prefix}{difference}" for difference in here]
    return tuple(found)


class _Noises:
    """The scatter of each metric in the reports that a case is about, found once."""

    def __init__(self, confidence: float) -> None:
        self._confidence = confidence
        self._found: dict[tuple[str, bool, frozenset[int]], Noise] = {}

    def of(self, case: Case) -> Noise:
        metric = case.rule.metric
        if metric == "memory.process":
            # a report keeps the largest of all processes, which more of them make no surer
            return Noise(
                spread=BETWEEN_GROWTHS,
                degrees=_GROWTH_DEGREES,
                confidence=self._confidence,
                most=1,
            )
        # energy is observed once: what is known of its scatter is that of the time it takes
        percentile = f"latency.p{rank_of(metric)}"
        reports = {id(report): report for report in (case.now.report, case.against) if report}
        timing = case.current.timing if case.current is not None else None
        beside = timing is not None and bool(timing.host)
        key = percentile, beside, frozenset(reports)
        if key not in self._found:
            observed = [timings(report, percentile, beside=beside) for report in reports.values()]
            self._found[key] = noise_of(
                chain.from_iterable(observed),
                confidence=self._confidence,
                calibrations=_calibrations(reports.values()) if percentile == "latency.p50" else (),
                beside=beside,
            )
        return self._found[key]


def _calibrations(reports: Iterable[Report]) -> list[Calibration]:
    """What reports say of their machines; two of one machine, said twice, count once."""
    known = [report.context.calibration for report in reports]
    return list(dict.fromkeys(calibration for calibration in known if calibration is not None))


def _beside_graph(line: CheckLine, *, changed: bool, time: TimeChange | None) -> CheckLine:
    """Tell a model that changed from one that only got slower, and where."""
    if line.verdict != "fail" or line.kind != "gate" or line.change_interval is None:
        return line
    if changed:
        return replace(line, reason="its graph changed")
    low, high = line.change_interval
    slower = low > 0 if line.bound == "<=" else high < 0
    timed = line.metric.startswith(("latency", "throughput"))
    got = f": it got slower{_most_in(time)}" if slower and timed else ""
    return replace(line, reason=f"its graph is the same{got}")


def _most_in(time: TimeChange | None) -> str:
    """Name the module that takes most more, if it is known."""
    slower = [module for module in time.modules if module.change_s > 0] if time else []
    if not slower:
        return ""
    return f", most in `{one_line(slower[0].path)}` ({signed_time(slower[0].change_s)})"


def _overall(lines: Sequence[CheckLine]) -> Verdict:
    verdicts = {line.verdict for line in lines}
    if "fail" in verdicts:
        return "fail"
    return "inconclusive" if "inconclusive" in verdicts else "pass"


def _graphs(pairs: Sequence[Pairing], found: Sequence[Case]) -> tuple[GraphChange, ...]:
    changes = []
    for now, baseline in pairs:
        if baseline is None:
            continue
        here = dict.fromkeys(case.variant for case in found if case.now is now)
        for name in here:
            then, current = _variant(baseline.report, name), _variant(now.report, name)
            if then is not None and current is not None:
                changes.append(graph_change(now.name, then, current))
    return tuple(change for change in changes if change is not None)


def _variant(report: Report, identifier: str) -> Variant | None:
    return next((variant for variant in report.variants if variant.id == identifier), None)


def _notes(pairs: Sequence[Pairing], variant: str | None) -> tuple[str, ...]:
    notes = []
    for now, baseline in pairs:
        if baseline is None:
            continue
        if variant is None:
            notes += _choices(now, baseline)
        then, ours = (named.report.context.versions.get("scaleprof") for named in (baseline, now))
        if then != ours:
            notes.append(f"`{now.name}` was recorded by scaleprof {ours}, its baseline by {then}")
    return tuple(notes)


def _host_notes(lines: Sequence[CheckLine]) -> list[str]:
    """Say of each report how much slower or faster the host was than for its baseline."""
    changes: dict[str, list[float]] = {}
    for line in lines:
        if line.kind == "gate" and line.host_change is not None:
            changes.setdefault(line.report, []).append(line.host_change)
    largest = {report: max(found, key=abs) for report, found in changes.items()}
    return [
        f"the host was {abs(change):.0%} {'slower' if change > 0 else 'faster'} for "
        f"`{one_line(report)}` than for its baseline, as the yardstick beside the model shows: "
        "changes are told without that"
        for report, change in largest.items()
        if abs(change) >= _TOLD
    ]


def _left_out(lines: int) -> tuple[str, ...]:
    if lines == 0:
        return ()
    what = "1 line is" if lines == 1 else f"{lines} lines are"
    return (f"{what} left out, of variants that were not measured on either side",)


def _choices(now: Named, baseline: Named) -> list[str]:
    chosen, before = now.report.selection, baseline.report.selection
    if chosen is None or before is None or chosen.variant == before.variant:
        return []
    return [
        f"`{now.name}` selects `{chosen.variant}`, its baseline `{before.variant}`: "
        f"`{chosen.variant}` is compared in both"
    ]
