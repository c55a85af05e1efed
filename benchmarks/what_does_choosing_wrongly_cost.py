"""What does choosing by parameters, MACs or activations cost, in points of accuracy?

On each device of timm's published speed tables, and for budgets from the fastest to the slowest of
its models, every rule picks the model with the highest published top-1 that it believes to meet
the budget, knowing the latency of ten models alone. What it loses against the best model that
truly meets the budget is its regret, in points.

A pick is measured before it is used, as `scaleprof profile` does: one that misses the budget is
dropped for the next, three times at most. A rule that has found nothing by then takes the best of
the ten that holds the budget, and if none of them does, the model that it believes to be fastest.

Usage:
    python benchmarks/what_does_choosing_wrongly_cost.py TABLES COUNTS

``TABLES`` and ``COUNTS`` are as in `count_the_published_models.py`, which makes the counts.
"""

import argparse
import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import NormalDist

import msgspec
import numpy as np
from count_the_published_models import Counted
from does_the_latency_law_predict import (
    GPU_BATCH,
    MACHINES,
    Measured,
    learn,
    others,
    read,
    vague,
)
from rich.console import Console
from rich.table import Table
from scipy.special import stdtr

from scaleprof.prediction._rates import RatePrior, prior_from
from scaleprof.selection import CONFIDENCE, Quantity

ANCHORS = 10
DRAWS = 10
BUDGETS = 40
TRIES = 3
# budgets reach from this share of a device's models being fast enough to that one
REACH = (0.05, 0.95)
Z90 = NormalDist().inv_cdf(0.95)
Rule = tuple[str, str]
PROXIES = ("MACs", "parameters", "activations")
LAW = "latency law"
# chances of holding the budget that a rule wants; at an even one it goes by its best guess
WANTED = {"50 %": 0.5, "95 %": CONFIDENCE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """All models of a device, in one order.

    Attributes:
        measured: Their work and latency.
        top1: Published top-1 in percent, of the best training of each.
        proxies: Logarithms of MACs, parameters and activations.
    """

    measured: Measured
    top1: np.ndarray
    proxies: dict[str, np.ndarray]

    @property
    def log_seconds(self) -> np.ndarray:
        """Natural logarithm of the latency of each."""
        return self.measured.log_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """What a rule believes after seeing the anchors.

    Attributes:
        chance: For ln of a budget, the chance of each model to meet it, as the rule sees it.
        log_seconds: Its best guess of each latency.
        needed: Chance that it wants.
        anchors: Models whose latency it knows.
    """

    chance: Callable[[float], np.ndarray]
    log_seconds: np.ndarray
    needed: float = 0.5
    anchors: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=int))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one pick came to.

    Attributes:
        regret: Points below the best model that meets the budget.
        broken: Whether the first pick missed the budget.
        excess: By how much, as a share of the budget; 0 if it held.
        tries: Picks until one held.
    """

    regret: float
    broken: bool
    excess: float
    tries: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path)
    parser.add_argument("counts", type=Path)
    args = parser.parse_args()
    devices = [m for m in MACHINES if m.type == "gpu"]
    measured = {m.name: read(m, args.tables, args.counts) for m in devices}
    fitted = {name: one.fit(range(len(one.models)), vague(one)) for name, one in measured.items()}
    top1, counts = published_top1(args.tables), counted(args.counts)
    outcomes: dict[str, dict[Rule, list[Outcome]]] = {}
    for name, one in measured.items():
        # nothing of a device is in what its law starts from
        learned = learn(
            {n: fitted[n] for n in others(one.machine, measured)}, measured, one.machine.type
        )
        prior = prior_from(learned, one.machine.ceilings)
        outcomes[name] = on_device(with_top1(one, top1, counts), prior)
    show(outcomes, {name: len(one.models) for name, one in measured.items()})
    check(outcomes)


def published_top1(tables: Path) -> dict[tuple[str, int], float]:
    """Top-1 by model and size, of its best training."""
    best: dict[tuple[str, int], float] = {}
    for row in csv.DictReader((tables / "timm_joined.csv").open()):
        key = row["arch"], int(row["img_size"])
        best[key] = max(best.get(key, 0.0), float(row["top1"]))
    return best


def counted(counts: Path) -> dict[tuple[str, int], Counted]:
    """What every model does, by model and size."""
    content = (counts / f"batch{GPU_BATCH}.json").read_bytes()
    return {(c.model, c.size): c for c in msgspec.json.decode(content, type=list[Counted])}


def with_top1(
    one: Measured,
    top1: dict[tuple[str, int], float],
    counts: dict[tuple[str, int], Counted],
) -> Models:
    """Join measured models with their accuracy and the proxies."""
    rows = [counts[key] for key in one.models]
    proxies = ([r.macs for r in rows], [r.params for r in rows], [r.activations for r in rows])
    return Models(
        measured=one,
        top1=np.array([top1[key] for key in one.models]),
        proxies={name: np.log(values) for name, values in zip(PROXIES, proxies, strict=True)},
    )


def on_device(models: Models, prior: RatePrior) -> dict[Rule, list[Outcome]]:
    """Let every rule choose under every budget, from several draws of anchors."""
    low, high = np.quantile(models.log_seconds, REACH)
    outcomes: dict[Rule, list[Outcome]] = {}
    for draw in range(DRAWS):
        generator = np.random.default_rng(draw)
        anchors = generator.choice(len(models.top1), ANCHORS, replace=False)
        for name, ignorant in beliefs(models, anchors, prior).items():
            belief = knowing(ignorant, models, anchors)
            picks = [choose(belief, models, b) for b in np.linspace(low, high, BUDGETS)]
            outcomes.setdefault(name, []).extend(picks)
    return outcomes


def beliefs(models: Models, anchors: np.ndarray, prior: RatePrior) -> dict[Rule, Belief]:
    """Return what each rule makes of the same anchors."""
    rules = {}
    by_law = by_the_law(models, anchors, prior)
    for wanted, needed in WANTED.items():
        rules[LAW, f"fitted, {wanted}"] = replace(by_law, needed=needed)
    columns = {name: values[:, None] for name, values in models.proxies.items()}
    columns["MACs and activations"] = np.stack(
        [models.proxies["MACs"], models.proxies["activations"]], axis=1
    )
    for name, values in columns.items():
        if values.shape[1] == 1:
            rules[name, "in proportion"] = in_proportion(models, anchors[0], values[:, 0])
        by_line = by_a_line(models, anchors, values)
        for wanted, needed in WANTED.items():
            rules[name, f"fitted, {wanted}"] = replace(by_line, needed=needed)
    return rules


def by_the_law(models: Models, anchors: np.ndarray, prior: RatePrior) -> Belief:
    """Our law, with the spread and the confidence that `scaleprof profile` goes by."""
    one = models.measured
    law = one.fit(anchors, prior)
    bands = law.bands(one.workloads)
    spread = [np.log(band.p95 / band.p05) / (2 * Z90) for band in bands]
    known = [
        Quantity(value=band.p50, spread=float(s), source="predicted")
        for band, s in zip(bands, spread, strict=True)
    ]
    return Belief(
        chance=lambda budget: np.array([q.chance("<=", float(np.exp(budget))) for q in known]),
        log_seconds=np.log([band.p50 for band in bands]),
    )


def in_proportion(models: Models, anchor: int, proxy: np.ndarray) -> Belief:
    """Latency grows as the proxy does, from one measured model."""
    believed = models.log_seconds[anchor] + proxy - proxy[anchor]
    return Belief(chance=lambda budget: (believed <= budget).astype(float), log_seconds=believed)


def by_a_line(models: Models, anchors: np.ndarray, values: np.ndarray) -> Belief:
    """Ln latency is linear in ln of the proxies; least squares, with Student's band."""
    inputs = np.column_stack([np.ones(len(values)), values])
    held = inputs[anchors]
    fitted, *_ = np.linalg.lstsq(held, models.log_seconds[anchors], rcond=None)
    degrees = ANCHORS - held.shape[1]
    left = models.log_seconds[anchors] - held @ fitted
    leverage = np.einsum("qi,ij,qj->q", inputs, np.linalg.inv(held.T @ held), inputs)
    spread = np.sqrt(left @ left / degrees * (1 + leverage))
    believed = inputs @ fitted
    return Belief(
        chance=lambda budget: stdtr(degrees, (budget - believed) / spread),
        log_seconds=believed,
    )


def knowing(belief: Belief, models: Models, anchors: np.ndarray) -> Belief:
    """Return a belief that knows the latency of the anchors."""
    believed = belief.log_seconds.copy()
    believed[anchors] = models.log_seconds[anchors]

    def chance(budget: float) -> np.ndarray:
        chances = belief.chance(budget).copy()
        chances[anchors] = models.log_seconds[anchors] <= budget
        return chances

    return replace(belief, chance=chance, log_seconds=believed, anchors=anchors)


def choose(belief: Belief, models: Models, budget: float) -> Outcome:
    """Pick, measure, and pick again where that missed; see the top of this file."""
    holds = models.log_seconds <= budget
    fit = np.flatnonzero(belief.chance(budget) >= belief.needed)
    ranked = fit[np.argsort(-models.top1[fit], kind="stable")][:TRIES]
    # the anchors were measured before: those that hold are known to
    known = belief.anchors[holds[belief.anchors]]
    fallback = known[np.argsort(-models.top1[known], kind="stable")]
    picks = [*ranked, *fallback, *np.argsort(belief.log_seconds)]
    tries = next(i for i, pick in enumerate(picks) if holds[pick])
    excess = float(np.exp(models.log_seconds[picks[0]] - budget) - 1)
    return Outcome(
        regret=float(models.top1[holds].max() - models.top1[picks[tries]]),
        broken=not holds[picks[0]],
        excess=max(excess, 0.0),
        tries=tries + 1,
    )


def show(outcomes: dict[str, dict[Rule, list[Outcome]]], sizes: dict[str, int]) -> None:
    """Print mean regrets by device, and over all of them what else there is to say."""
    table = Table(title=f"regret in points of top-1, {BUDGETS} budgets × {DRAWS} draws of anchors")
    table.add_column("latency from")
    table.add_column("how")
    for name, size in sizes.items():
        table.add_column(f"{name} ({size})", justify="right")
    for heading in ("mean", "median", "p90", "breaks budget", "by", "picks"):
        table.add_column(heading, justify="right")
    for rule in outcomes[next(iter(outcomes))]:
        means = [mean_regret(of_device[rule]) for of_device in outcomes.values()]
        everything = [o for of_device in outcomes.values() for o in of_device[rule]]
        broken = [o.excess for o in everything if o.broken]
        table.add_row(
            *rule,
            *(f"{mean:.2f}" for mean in means),
            f"{mean_regret(everything):.2f}",
            *(f"{np.quantile([o.regret for o in everything], q):.2f}" for q in (0.5, 0.9)),
            f"{len(broken) / len(everything):.1%}",
            f"{np.median(broken):.0%}" if broken else "",
            f"{np.mean([o.tries for o in everything]):.1f}",
        )
    Console(width=150).print(table)


def mean_regret(outcomes: Sequence[Outcome]) -> float:
    """Mean regret in points."""
    return float(np.mean([outcome.regret for outcome in outcomes]))


def check(outcomes: dict[str, dict[Rule, list[Outcome]]]) -> None:
    """On every device the law must lose least of the rules that want the same chance.

    And with the chance that `scaleprof profile` wants, less than any rule by one proxy, over all.
    """
    for device, of_device in outcomes.items():
        for wanted in WANTED:
            how = f"fitted, {wanted}"
            means = {name: mean_regret(of_device[name, h]) for name, h in of_device if h == how}
            assert min(means, key=lambda name: means[name]) == LAW, (device, how, means)
    overall = {
        rule: np.mean([mean_regret(of_device[rule]) for of_device in outcomes.values()])
        for rule in outcomes[next(iter(outcomes))]
    }
    ours = overall[LAW, "fitted, 95 %"]
    assert all(ours < mean for rule, mean in overall.items() if rule[0] in PROXIES), overall


if __name__ == "__main__":
    main()
