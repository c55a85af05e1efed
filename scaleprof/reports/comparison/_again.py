"""What would decide a line that is undecided, if only the checked report can get more processes.

The code of the baseline is not here any more: its side stays as it was recorded.
"""

import math

from ...records import CheckLine
from ._cases import Case
from ._evidence import kind_of
from ._gate import Gate
from ._noise import Noise

# where no number of processes decides by what is known of their scatter, or none is known to be
# usable, as many show how they scatter here (`scaleprof measure` takes as many)
TO_LEARN = 6


def wanted_by(case: Case, line: CheckLine, noise: Noise | None) -> dict[str, int]:
    """Return how many more processes of which variants of the checked report a line asks for.

    Args:
        case: What the line is about.
        line: The line, judged.
        noise: Scatter of its metric, where an interval decides.

    Returns:
        Processes by variant; nothing where the line is decided, or more of them would not help:
        for what is exact or kept as one number a report, and where the baseline is what lacks.
    """
    timed = kind_of(case.rule.metric) == "latency"
    if line.verdict != "inconclusive" or not timed or case.current is None or _lacks_there(case):
        return {}
    more = TO_LEARN if case.problem is not None else _more(case, line, noise)
    relative = not isinstance(case.rule, Gate) and case.rule.relative is not None
    return dict.fromkeys((case.variant, "base") if relative else (case.variant,), more)


def _lacks_there(case: Case) -> bool:
    """Whether the baseline has nothing to hold a gate against."""
    if not isinstance(case.rule, Gate):
        return False
    return case.reference is None or case.reference.problem is not None


def _more(case: Case, line: CheckLine, noise: Noise | None) -> int:
    assert noise is not None
    assert line.limit is not None
    assert case.current is not None
    assert case.current.timing is not None
    now = case.current.timing
    if case.reference is None or case.reference.timing is None:
        return noise.estimate(now).processes_to_decide(math.log(line.limit)) or TO_LEARN
    assert line.baseline is not None
    limit = math.log(line.limit / line.baseline)
    # a base that a budget is relative to is in the same report, and grows too
    growing = 1 if isinstance(case.rule, Gate) else 2
    change = noise.estimate(case.reference.timing, now)
    return change.processes_to_decide(limit, growing=growing) or TO_LEARN
