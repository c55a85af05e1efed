"""The verdict on one line: exact values by comparison, timings by the interval of their ratio.

A line passes if the whole interval is on the right side of its limit, fails if the whole of it is
on the wrong side, and is inconclusive otherwise. The verdict and the interval that is shown agree.
"""

import math
from fractions import Fraction

from ...errors import GateError
from ...records import CheckLine, Verdict, replace
from ...selection import METRICS
from ...units import format_quantity
from .._text import one_line
from ._cases import Case
from ._evidence import Evidence
from ._gate import Gate
from ._noise import Estimate, Noise, Timing, bounded_exp

# what users and reports from elsewhere may ask for need not fit into a float
_LARGEST = 10**300


def line_of(case: Case, noise: Noise | None) -> CheckLine:
    """Judge one case.

    Args:
        case: The case.
        noise: Scatter of its metric, where an interval decides.

    Raises:
        GateError: If the threshold of a gate is below the noise floor.
    """
    line = _known(case)
    if case.problem is not None:
        return replace(line, reason=case.problem)
    if not case.is_timed:
        return _exact(case, line)
    assert noise is not None
    assert case.current is not None
    assert case.current.timing is not None
    if case.reference is None:
        return _bounded(line, case.current.timing, noise)
    assert case.reference.timing is not None
    return _compared(case, line, case.reference.timing, case.current.timing, noise)


def _known(case: Case) -> CheckLine:
    """Return the line without a verdict."""
    baseline, now = _value(case.reference), _value(case.current)
    return CheckLine(
        report=case.now.name,
        model=case.now.report.base.model,
        variant=case.variant,
        kind="gate" if isinstance(case.rule, Gate) else "budget",
        rule=case.rule.text,
        metric=case.rule.metric,
        bound=case.rule.bound,
        limit=_limit(case, baseline),
        baseline=baseline,
        now=now,
        change=_change(baseline, now),
    )


def _change(baseline: float | None, now: float | None) -> float | None:
    if not baseline or now is None:
        return None
    change = now / baseline - 1
    return change if math.isfinite(change) else None


def _value(found: Evidence | None) -> float | None:
    return None if found is None else found.value


def _limit(case: Case, baseline: float | None) -> float | None:
    if isinstance(case.rule, Gate):
        if baseline is None:
            return None
        return float(min(case.rule.limit(Fraction(baseline)), Fraction(_LARGEST)))
    if case.rule.relative is not None and baseline is None:
        return None
    return case.rule.limit_for(baseline)


def _exact(case: Case, line: CheckLine) -> CheckLine:
    """Compare exactly: the limit of a gate is not rounded to a float."""
    assert line.now is not None
    limit: Fraction | float | None = line.limit
    if isinstance(case.rule, Gate):
        assert line.baseline is not None
        limit = case.rule.limit(Fraction(line.baseline))
    assert limit is not None
    held = line.now <= limit if line.bound == "<=" else line.now >= limit
    return replace(line, verdict="pass" if held else "fail")


def _bounded(line: CheckLine, now: Timing, noise: Noise) -> CheckLine:
    """Hold a timing against an absolute budget."""
    assert line.limit is not None
    found, limit = noise.estimate(now), math.log(line.limit)
    half = found.half_width()
    line = replace(
        line,
        now_interval=(bounded_exp(found.centre - half), bounded_exp(found.centre + half)),
        processes=(0, now.processes),
    )
    return _decide(line, found, limit=limit)


def _compared(
    case: Case, line: CheckLine, baseline: Timing, now: Timing, noise: Noise
) -> CheckLine:
    """Hold a timing against another one."""
    assert line.limit is not None
    found = noise.estimate(baseline, now)
    half = found.half_width()
    allowed = _allowed(case, baseline.value)
    if allowed <= 0:
        raise GateError(
            f"gate `{line.rule}` asks for less than nothing of variant `{one_line(line.variant)}`",
            hint=f"write {line.metric}:-5%",
        )
    if isinstance(case.rule, Gate):
        _refuse_finer_than_noise(line, abs(allowed - 1), found.floor())
    line = replace(
        line,
        change=_relative(found.centre),
        host_change=_host_change(line.metric, found),
        change_interval=(_relative(found.centre - half), _relative(found.centre + half)),
        processes=(baseline.processes, now.processes),
    )
    return _decide(line, found, limit=math.log(allowed))


def _relative(change: float) -> float:
    return bounded_exp(change) - 1


def _host_change(metric: str, found: Estimate) -> float | None:
    if found.host_change is None:
        return None
    return _relative(-found.host_change if metric == "throughput" else found.host_change)


def _allowed(case: Case, baseline: float) -> float:
    """Return the limit over the baseline."""
    if isinstance(case.rule, Gate):
        ratio = case.rule.limit(Fraction(baseline)) / Fraction(baseline)
        return float(min(ratio, Fraction(_LARGEST)))
    assert case.rule.relative is not None
    return case.rule.relative


def _refuse_finer_than_noise(line: CheckLine, threshold: float, floor: float) -> None:
    if threshold >= floor:
        return
    # a threshold that the hint proposes is shown with one digit, and must still be above the floor
    enough = math.ceil(1000 * floor) / 10
    sign = "-" if line.rule.partition(":")[2].strip().startswith("-") else "+"
    where = one_line(line.variant)
    raise GateError(
        f"gate `{line.rule}` allows {threshold:.2%} on variant `{where}`, below the noise "
        f"floor of these two reports, {floor:.2%}",
        hint=f"write {line.metric}:{sign}{enough:.1f}% or more, or measure on a quieter machine",
    )


def _decide(line: CheckLine, found: Estimate, *, limit: float) -> CheckLine:
    half = found.half_width()
    verdict = _side(found.centre - half, found.centre + half, limit, line.bound)
    if verdict != "inconclusive":
        return replace(line, verdict=verdict)
    more = found.processes_to_decide(limit)
    hidden = more is None and found.host_error > 0 and found.hidden_by_host(limit)
    return replace(line, reason=_undecided(line, more, hidden=hidden), more_processes=more)


def _side(low: float, high: float, limit: float, bound: str) -> Verdict:
    if bound == ">=":
        low, high, limit = -high, -low, -limit
    if high <= limit:
        return "pass"
    return "fail" if low > limit else "inconclusive"


def _undecided(line: CheckLine, more: int | None, *, hidden: bool) -> str:
    assert line.limit is not None
    limit = format_quantity(line.limit, METRICS[line.metric].dimension)
    if hidden:
        assert line.host_change is not None
        how = "slower" if line.host_change > 0 else "faster"
        return (
            f"the limit, {limit}, is inside the interval: the host was {abs(line.host_change):.0%} "
            f"{how} than for the baseline, and how the model follows that is not known well "
            "enough; measure both at one speed"
        )
    if more is None:
        return f"the limit, {limit}, is inside the interval, and too near to decide"
    where = "" if line.kind == "budget" else " in each report"
    needed = f"{more} more {'process' if more == 1 else 'processes'}{where}"
    return f"the limit, {limit}, is inside the interval; about {needed} would decide"
