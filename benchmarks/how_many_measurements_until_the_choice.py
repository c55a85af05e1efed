"""How many measurements does the choice need, beside measuring everything?

    python benchmarks/how_many_measurements_until_the_choice.py profiles/cpu/*.json

Replays recorded profiles in which every variant was measured. The loop of `scaleprof profile` asks
for one measurement after the other and is handed the recorded one, under many budgets on latency
between the fastest and the slowest variant. The choice after measuring everything is what it must
come to. For every budget it counts measurements, the base's among them, until the choice holds the
budget and is within 1 % in latency or 0.1 points of accuracy of that one, and stays so; and until
the loop stops by itself. A replay that ends with another choice counts as if everything had had to
be measured. The sentinel, and the check of the choice, come on top of either.

Under some budgets the base is all that must be measured, since what the law says of the others is
enough: they flatter the ratio, and are counted apart and left out of it. And fewer than all are
enough in any order: beside the loop is a random order under the same rule.
"""

import argparse
import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scaleprof.jobs import KnobsReply
from scaleprof.models import call_of
from scaleprof.profiler._options import Options
from scaleprof.profiler._spend import spend
from scaleprof.profiler._sweep import Sweep
from scaleprof.records import Report, Variant, replace
from scaleprof.reports.json import read_report
from scaleprof.selection import Budget, select_variant
from scaleprof.timing import Drift

BUDGETS = 40
SAME_LATENCY = math.log(1.01)
SAME_ACCURACY = 0.1
# at least so many times fewer
MUST = 4.0


class RecordedBench:
    """Hands out recorded measurements, one process at a time. There is always time for more."""

    noise = None
    seconds_left = math.inf

    def __init__(self, report: Report) -> None:
        self._recorded = {variant.id: variant.measurement for variant in report.variants}
        self.taken = dict.fromkeys(["base"])

    def run(self, variant: Variant, **_: object) -> None:
        """Measure a variant: what was recorded is known from now on."""
        self.taken[variant.id] = None

    def blocks(self, variant: Variant) -> int:
        """Processes that measured a variant."""
        return int(variant.id in self.taken)

    def measured(self, variant: Variant) -> Variant:
        """The variant with its measurement, if it was measured."""
        known = self._recorded[variant.id] if variant.id in self.taken else None
        return replace(variant, measurement=known)

    def has_time_for(self, _processes: float) -> bool:
        """Always."""
        return True

    def watch_drift(self, _sentinel: Variant) -> Drift:
        """None: what was recorded is corrected already."""
        return Drift()


@dataclass(frozen=True, slots=True)
class Replay:
    """One budget on one profile.

    Attributes:
        variants: Variants of the profile.
        settled: Measurements until the choice is right and stays so; all of them if it never is.
        stopped: Measurements until the loop stopped.
        right: Whether the choice was right then.
        shuffled: As `settled`, with all variants measured in a random order.
    """

    variants: int
    settled: int
    stopped: int
    right: bool
    shuffled: int

    @property
    def easy(self) -> bool:
        """Whether the base was all that had to be measured."""
        return self.settled == 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("reports", nargs="+", help="profiles in which everything was measured")
    print(
        f"{'profile':28} budgets  easy  variants  until right  until stop  right then  random order"
    )
    found: list[Replay] = []
    for path in parser.parse_args().reports:
        report = read_report(path)
        missing = [
            v.id for v in report.variants if v.measurement is None or not v.measurement.latency_s
        ]
        if missing:
            raise SystemExit(f"{path}: {len(missing)} variants were not measured")
        replays = [replay(report, limit_s) for limit_s in budgets(report)]
        print_row(report.base.model, replays)
        found += replays
    print_row("all", found)
    hold_to_what_is_claimed([r for r in found if not r.easy])


def hold_to_what_is_claimed(hard: Sequence[Replay]) -> None:
    assert hard, "the base alone was enough under every budget: nothing is shown"
    everything = statistics.fmean(r.variants for r in hard)
    fewer = everything / statistics.fmean(r.settled for r in hard)
    shuffled = everything / statistics.fmean(r.shuffled for r in hard)
    ratio = statistics.median(r.variants / r.settled for r in hard)
    print(
        f"without the easy ones, times fewer than all: {fewer:.1f} (of means), {ratio:.1f} (median "
        f"of ratios); in random order {shuffled:.1f} (of means)"
    )
    assert fewer >= MUST, f"{fewer:.2f} times fewer; must be {MUST:g}"
    assert fewer > shuffled, "no better than a random order"


def budgets(report: Report) -> Iterator[float]:
    """Latencies in seconds, evenly in their logarithm between the fastest and the slowest."""
    known = [math.log(latency(v)) for v in report.variants]
    for step in range(BUDGETS):
        yield math.exp(min(known) + (max(known) - min(known)) * (step + 0.5) / BUDGETS)


def latency(variant: Variant) -> float:
    """Median latency as recorded, in seconds."""
    assert variant.measurement is not None
    assert variant.measurement.latency_s is not None
    return variant.measurement.latency_s.p50


def replay(report: Report, limit_s: float) -> Replay:
    """Run the loop on what was recorded."""
    budget = Budget(text=f"latency<={limit_s:.9f}s", metric="latency", bound="<=", limit=limit_s)
    sweep = RecordedSweep(report, Options(budgets=(budget,), batch=report.context.batch))
    spend(sweep, sweep.options)
    stopped, right = sweep.history[-1]
    shuffled = RecordedSweep(report, sweep.options)
    shuffled.measure_in_random_order()
    return Replay(
        variants=len(report.variants),
        settled=sweep.settled,
        stopped=stopped,
        right=right,
        shuffled=shuffled.settled,
    )


class RecordedSweep(Sweep):
    """The variants of a report, of which only the base is measured at first.

    Attributes:
        history: How much was measured at every step, and whether the choice was right then.
    """

    def __init__(self, report: Report, options: Options) -> None:
        base = report.variants[0]
        knobs = KnobsReply(
            call=call_of(base.recipe),
            inputs=base.cost.inputs,
            axes=report.axes,
            cost=base.cost,
            arguments={},
            callables=(),
            library=None,
            base=base,
        )
        self._recorded_bench = RecordedBench(report)
        super().__init__(
            model=report.base.model,
            knobs=knobs,
            options=options,
            crew=None,  # nothing is probed: the variants are there
            bench=self._recorded_bench,
            progress=lambda _: None,
            device_name=report.context.device.name,
        )
        self.options = options
        self.history: list[tuple[int, bool]] = []
        self._report = report
        bare = (replace(variant, prediction=None) for variant in report.variants)
        self.variants = {v.id: self._recorded_bench.measured(v) for v in bare}
        self._best = self._choice(report.variants)

    def predict(self) -> None:
        """Predict, and look at what would be chosen now."""
        super().predict()
        chosen = self._choice(list(self.variants.values()))
        right = is_right(chosen, self._best, self.limits[0].value)
        self.history.append((len(self._recorded_bench.taken), right))

    def measure_in_random_order(self) -> None:
        """Measure everything, and look at the choice after each."""
        rest = [name for name in self.variants if name != "base"]
        random.Random(0).shuffle(rest)
        self.predict()
        for name in rest:
            self.measure(self.variants[name])
            self.predict()

    @property
    def settled(self) -> int:
        """Measurements after which the choice was right and stayed so; all if it never was."""
        count = len(self.variants)
        for measured, right in reversed(self.history):
            if not right:
                break
            count = measured
        return count

    def _choice(self, variants: Sequence[Variant]) -> Variant | None:
        """What is chosen of the variants, as it was recorded."""
        selection = select_variant(variants, self.limits, batch=self.options.batch)
        return None if selection is None else self._report.variant(selection.variant)


def is_right(chosen: Variant | None, best: Variant | None, limit_s: float) -> bool:
    """Whether a choice is as good as that after measuring everything, going by the recording."""
    if chosen is None or best is None:
        return chosen is best
    if latency(chosen) > limit_s:
        return False
    if abs(math.log(latency(chosen) / latency(best))) <= SAME_LATENCY:
        return True
    assert chosen.accuracy is not None
    assert best.accuracy is not None
    return abs(chosen.accuracy.mean - best.accuracy.mean) <= SAME_ACCURACY


def print_row(name: str, replays: Sequence[Replay]) -> None:
    """Medians, and means in brackets, over the budgets that are not easy."""
    hard = [r for r in replays if not r.easy]
    settled, stopped, shuffled = (
        typical([getattr(r, key) for r in hard]) for key in ("settled", "stopped", "shuffled")
    )
    print(
        f"{name:28} {len(replays):7} {len(replays) - len(hard):5} "
        f"{statistics.fmean(r.variants for r in replays):9.0f} {settled:>12} {stopped:>11} "
        f"{statistics.fmean(r.right for r in replays):11.0%} {shuffled:>13}",
        flush=True,
    )


def typical(counts: Sequence[int]) -> str:
    return f"{statistics.median(counts):.0f} ({statistics.fmean(counts):.1f})" if counts else "–"


if __name__ == "__main__":
    main()
