"""Does `scaleprof check --rerun` decide what a check leaves open, without more wrong verdicts?

    python benchmarks/does_measuring_again_decide.py

Draws latencies of processes instead of measuring them, so that the truth is known; about a minute,
no torch, no device. The table is the one of docs/design/0014-measuring-again-to-decide.md.
"""

import math
import random
from collections import Counter
from collections.abc import Callable

from scaleprof.errors import GateError
from scaleprof.profiler._decide import LOOKS, decide
from scaleprof.records import Measurement, Report, replace
from scaleprof.reports import read_report
from scaleprof.reports.comparison import Judged, Named, judge
from scaleprof.timing import summarise

EXAMPLE = "profiles/examples/convnext_atto-cpu.json"
PAIRS = 600
SAMPLES = 21
# gate, true change, spread between processes, processes of the report, of the baseline
CASES = (
    ("+5%", 0.00, 0.01, 2, 6),
    ("+5%", 0.00, 0.02, 3, 6),
    ("+10%", 0.00, 0.04, 3, 6),
    ("+10%", 0.20, 0.04, 3, 6),
    ("+10%", 0.10, 0.04, 3, 6),
    ("+10%", 0.00, 0.04, 1, 1),
    ("+10%", 0.00, 0.08, 4, 6),
)
MAY_BE_WRONG = 0.05


class Machine:
    """Draws a latency for every process."""

    def __init__(self, chance: random.Random, centre: float, spread: float) -> None:
        self._chance, self._centre, self._spread = chance, centre, spread
        self._drawn: list[float] = []

    def draw(self, processes: int) -> list[float]:
        """Return the latencies of some processes."""
        return [
            self._centre * math.exp(self._chance.gauss(0, self._spread)) for _ in range(processes)
        ]

    def __call__(self, wanted: dict[str, int]) -> dict[str, Measurement]:
        """Stand for workers."""
        self._drawn += self.draw(wanted["base"])
        return {"base": measured(self._drawn)}


def measured(latencies_s: list[float]) -> Measurement:
    """Return a measurement whose processes hardly scatter inside."""
    return Measurement(status="ok", latency_s=summarise([[t] * SAMPLES for t in latencies_s]))


def recorded(example: Report, machine: Machine, processes: int) -> Report:
    """Return a report of the base alone."""
    base = replace(example.variant("base"), measurement=measured(machine.draw(processes)))
    return replace(example, variants=(base,), selection=None, strategies=())


def judging(baseline: Report, gate: str) -> Callable[[Report], Judged]:
    """Return what holds a report against a baseline."""

    def judged(now: Report) -> Judged:
        return judge(
            [Named(name="now", report=now)],
            [Named(name="main", report=baseline)],
            gates=f"latency:{gate}",
            looks=LOOKS,
        )

    return judged


def pairs(
    gate: str, change: float, spread: float, processes: int, in_baseline: int
) -> Counter[str]:
    """Count verdicts over pairs of reports, those at once among them, and added processes."""
    example, chance = read_report(EXAMPLE), random.Random(1)
    seen: Counter[str] = Counter()
    for _ in range(PAIRS):
        machine = Machine(chance, 1 + change, spread)
        baseline = recorded(example, Machine(chance, 1.0, spread), in_baseline)
        report = recorded(example, machine, processes)
        judged = judging(baseline, gate)
        try:
            at_once = judged(report).check.verdict
            decided = decide(report, judged, machine)
        except GateError:
            # finer than what these few processes show of their scatter
            seen["refused"] += 1
            continue
        seen[f"{at_once} at once"] += 1
        seen[decided.check.verdict] += 1
        seen["added"] += decided.processes
    return seen


def main() -> None:
    """Print a row for each case."""
    print("gate  change spread processes  at once  with more  wrong  added")
    for gate, change, spread, processes, in_baseline in CASES:
        seen = pairs(gate, change, spread, processes, in_baseline)
        limit = float(gate.strip("+%")) / 100
        wrong = (seen["pass"] if change >= limit else 0) + (seen["fail"] if change <= limit else 0)
        at_once, done = seen["pass at once"] + seen["fail at once"], seen["pass"] + seen["fail"]
        shares = "".join(f"{count / PAIRS:10.1%}" for count in (at_once, done, wrong))
        print(
            f"{gate:5s} {change:6.2f} {spread:6.2f} {processes:4d}, {in_baseline:d} {shares} "
            f"{seen['added'] / PAIRS:6.1f}",
            flush=True,
        )
        assert wrong <= MAY_BE_WRONG * PAIRS
        assert done >= at_once


if __name__ == "__main__":
    main()
