"""Which rules apply to which variants of which reports: the lines of a check before verdicts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...errors import InputError
from ...records import Report
from ...selection import Budget
from ._environment import differences
from ._evidence import Evidence, evidence
from ._gate import Gate

Rule = Gate | Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A report and the name that people know it by."""

    name: str
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One rule on one variant.

    Attributes:
        now: The report that is checked.
        against: The report that its reference is in: the baseline of a gate, the report itself
            for a relative budget, None for an absolute budget.
        rule: The gate or budget.
        variant: Identifier of the variant.
        reference: What the quantity was; None if there is no reference, or not there.
        current: What it is; None if the variant is not there.
        problem: Why there can be no verdict; None if there can.
    """

    now: Named
    against: Report | None
    rule: Rule
    variant: str
    reference: Evidence | None
    current: Evidence | None
    problem: str | None

    @property
    def is_timed(self) -> bool:
        """Whether an interval decides."""
        timed = self.current is not None and self.current.timing is not None
        return self.problem is None and timed and not self.is_itself

    @property
    def is_itself(self) -> bool:
        """Whether a base is held against itself, which no noise disturbs."""
        relative = isinstance(self.rule, Budget) and self.rule.relative is not None
        return relative and self.variant == "base"


def cases(
    now: Named,
    baseline: Named | None,
    *,
    gates: Sequence[Gate],
    budgets: Sequence[Budget],
    variant: str | None,
) -> Iterator[Case]:
    """List the rules that apply to a report.

    Args:
        now: The report.
        baseline: What gates compare it with; None without gates.
        gates: Gates.
        budgets: Budgets.
        variant: ``all``, an identifier, or None for the selected variant, else the base.
    """
    if baseline is not None:
        names = _variants(now.report, baseline.report, variant)
        alike = not differences(baseline.report, now.report)
        for gate in gates:
            yield from (_gate_case(now, baseline, gate, name, alike=alike) for name in names)
    for budget in budgets:
        names = _variants(now.report, now.report, variant)
        yield from (_budget_case(now, budget, name) for name in names)


def _variants(report: Report, baseline: Report, wanted: str | None) -> tuple[str, ...]:
    here = [variant.id for variant in report.variants]
    there = [variant.id for variant in baseline.variants]
    if wanted == "all":
        return tuple(dict.fromkeys(here + there))
    if wanted is None:
        return (report.selection.variant if report.selection is not None else "base",)
    if wanted not in here and wanted not in there:
        raise InputError(
            f"no report holds a variant `{wanted}`", hint="use base, all, or an id from the report"
        )
    return (wanted,)


def that_matter(found: Sequence[Case]) -> tuple[Case, ...]:
    """Leave out variants that nobody measured on either side, unless a rule has no others."""
    rules = {(case.now.name, case.rule.text) for case in found if not _unmeasured(case)}
    return tuple(
        case
        for case in found
        if not _unmeasured(case) or (case.now.name, case.rule.text) not in rules
    )


def _unmeasured(case: Case) -> bool:
    sides = [case.current, *([case.reference] if isinstance(case.rule, Gate) else [])]
    return all(side is not None and side.value is None for side in sides)


def _gate_case(now: Named, baseline: Named, gate: Gate, variant: str, *, alike: bool) -> Case:
    sides = (baseline.report, now.report)
    reference, current = (_look(report, variant, gate.metric, beside=alike) for report in sides)
    # across machines and versions the yardstick says nothing (not alike), and the middle of one is
    # not held against the median of the other
    if not (_has_yardstick(reference) and _has_yardstick(current)):
        reference, current = (_look(report, variant, gate.metric, beside=False) for report in sides)
    problem = (
        _problem(reference, "in the baseline")
        or _problem(current, f"in `{now.name}`")
        or _sources(reference, current)
    )
    return Case(
        now=now,
        against=baseline.report,
        rule=gate,
        variant=variant,
        reference=reference,
        current=current,
        problem=problem,
    )


def _budget_case(now: Named, budget: Budget, variant: str) -> Case:
    # budgets are about the machine as it is, as those of a profile are
    current = _look(now.report, variant, budget.metric, beside=False)
    problem = _problem(current, f"in `{now.name}`")
    reference = None
    if budget.relative is not None:
        reference = _look(now.report, "base", budget.metric, beside=False)
        problem = problem or _problem(reference, "for the base")
    return Case(
        now=now,
        against=now.report if budget.relative is not None else None,
        rule=budget,
        variant=variant,
        reference=reference,
        current=current,
        problem=problem,
    )


def _has_yardstick(found: Evidence | None) -> bool:
    return found is not None and found.timing is not None and bool(found.timing.host)


def _look(report: Report, identifier: str, metric: str, *, beside: bool) -> Evidence | None:
    for variant in report.variants:
        if variant.id == identifier:
            return evidence(report, variant, metric, beside=beside)
    return None


def _problem(found: Evidence | None, where: str) -> str | None:
    if found is None:
        return f"there is no such variant {where}"
    return f"{found.problem} ({where})" if found.problem else None


def _sources(reference: Evidence | None, current: Evidence | None) -> str | None:
    if reference is None or current is None or reference.source == current.source:
        return None
    return f"its memory was {reference.source} in the baseline and is {current.source} now"
