"""Does the latency law predict, on the machine at hand, what it has not measured?

    python benchmarks/does_the_law_predict_this_machine.py --record profiles/cpu
    python benchmarks/does_the_law_predict_this_machine.py profiles/cpu/*.json

``--record`` profiles five families with `scaleprof.profile`: all variants in fresh processes, the
base in between as a sentinel. It wants a quiet machine and takes up to four minutes a family; what
was measured is in the store, so that the same command goes on where it was. It writes one report a
family, and replaces those that are there.

The evaluation takes 30 variants of each report, the base among them, keeps the measurements of 8
and predicts the other 22: with the 8 that a profile without a budget measures first, and with
random ones. Beside the law is the log fit on MACs and activations from the same 8.
"""

import argparse
import random
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

import scaleprof
from scaleprof.profiler._predict import latency_law, with_predictions
from scaleprof.records import Report, Variant, replace
from scaleprof.reports.json import read_report, write_text
from scaleprof.selection import widest_bands

FAMILIES = (
    "timm:convnext_atto",
    "timm:mobilenetv3_small_100",
    "timm:resnet18",
    "timm:vit_tiny_patch16_224",
    "timm:efficientnet_b0",
)
# enough for 30 different variants where depth has few values
MULTIPLIERS = (0.4, 0.65, 1.5, 2.2, 3.2)
SECONDS = 240.0
VARIANTS = 30
MEASURED = 8
DRAWS = 20
# median error, and what the 90 % band must cover
MUST_ERROR = 0.11
MUST_COVER = (0.85, 0.95)


class Guess(NamedTuple):
    """One variant that was predicted.

    Attributes:
        error: Relative error of the law's median.
        covered: Whether what was measured is within the 90 % band.
        log_fit_error: Relative error of the log fit.
    """

    error: float
    covered: bool
    log_fit_error: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("reports", nargs="*", help="recorded profiles")
    parser.add_argument("--record", metavar="FOLDER", help="measure here, and write reports there")
    parser.add_argument("--families", default=",".join(FAMILIES), help="what to record")
    options = parser.parse_args()
    paths = list(options.reports)
    if options.record:
        folder = Path(options.record)
        folder.mkdir(parents=True, exist_ok=True)
        paths += [record(model, folder) for model in options.families.split(",")]
    if not paths:
        parser.error("give reports, or --record FOLDER")
    evaluate([read_report(path) for path in paths])


def record(model: str, folder: Path) -> str:
    """Measure all variants of a model; return the path of the report."""
    report = scaleprof.profile(
        model, device="cpu", multipliers=MULTIPLIERS, time_limit=SECONDS, progress=say
    )
    done = [v for v in report.variants if v.measurement is not None]
    if len(done) < len(report.variants):
        raise SystemExit(
            f"{model}: {len(done)} of {len(report.variants)} variants measured in {SECONDS:.0f} s; "
            "run the same command again, it goes on from there"
        )
    path = folder / f"{model.replace(':', '-')}.json"
    write_text(msgspec.json.encode(report).decode(), str(path))
    print(f"{path}: {report.context.elapsed_s:.0f} s", *report.notes, sep="\n  ", flush=True)
    return str(path)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def evaluate(reports: Sequence[Report]) -> None:
    print(f"{MEASURED} of {VARIANTS} variants measured; errors in %: median (90th percentile)")
    print(f"{'family':32} {'8 chosen':>13} {'covered':>8} {'random 8':>13} {'covered':>8} log fit")
    chosen: list[Guess] = []
    drawn: list[Guess] = []
    for report in reports:
        variants = thinned(report)
        of_chosen = guesses(variants, widest_first(variants, report), report)
        of_drawn = [g for names in draws(variants) for g in guesses(variants, names, report)]
        print_row(report.base.model, of_chosen, of_drawn)
        disturbed = sum(v.measurement.contended for v in variants if v.measurement)
        if disturbed:
            print(f"  {disturbed} of {len(variants)} were measured while others took the cores")
        chosen += of_chosen
        drawn += of_drawn
    print_row("all", chosen, drawn)
    error = statistics.median(g.error for g in chosen)
    cover = statistics.fmean(g.covered for g in chosen)
    assert error <= MUST_ERROR, f"median error {error:.1%}, must be {MUST_ERROR:.0%}"
    assert MUST_COVER[0] <= cover <= MUST_COVER[1], f"bands cover {cover:.0%}, not 85 to 95 %"


def thinned(report: Report) -> list[Variant]:
    """The base and 29 others that were measured, evenly from all strategies."""
    base, *others = [v for v in report.variants if v.measurement and v.measurement.latency_s]
    wanted = VARIANTS - 1
    if len(others) < wanted:
        raise SystemExit(f"{report.base.model}: {len(others) + 1} variants, {VARIANTS} are needed")
    return [base, *(others[i * len(others) // wanted] for i in range(wanted))]


def widest_first(variants: Sequence[Variant], report: Report) -> set[str]:
    """What a profile without a budget measures first."""
    known = {"base"}
    while len(known) < MEASURED:
        known.add(widest_bands(predicted(variants, known, report))[0].variant)
    return known


def draws(variants: Sequence[Variant]) -> Iterator[set[str]]:
    for seed in range(DRAWS):
        others = [variant.id for variant in variants[1:]]
        yield {"base", *random.Random(seed).sample(others, MEASURED - 1)}


def predicted(variants: Sequence[Variant], known: set[str], report: Report) -> list[Variant]:
    """The variants, of which only some are measured, with what the law says of each."""
    device = report.context.device
    hidden = [v if v.id in known else replace(v, measurement=None) for v in variants]
    return with_predictions(hidden, on_cpu=device.type == "cpu", device=device.name)


def guesses(variants: Sequence[Variant], known: set[str], report: Report) -> list[Guess]:
    log_fit = latency_law([v for v in variants if v.id in known])
    assert log_fit is not None
    found = []
    for variant, guess in zip(variants, predicted(variants, known, report), strict=True):
        if variant.id in known:
            continue
        assert variant.measurement is not None
        assert variant.measurement.latency_s is not None
        assert guess.prediction is not None
        band, truth = guess.prediction.latency_s, variant.measurement.latency_s.p50
        assert band is not None
        cost = variant.cost
        line = log_fit.predict(macs=cost.macs, activations=cost.activations)
        covered = band.p05 <= truth <= band.p95
        found.append(Guess(abs(band.p50 / truth - 1), covered, abs(line.p50 / truth - 1)))
    return found


def print_row(name: str, chosen: Sequence[Guess], drawn: Sequence[Guess]) -> None:
    cells = [
        f"{errors([g.error for g in rows])} {statistics.fmean(g.covered for g in rows):8.2f}"
        for rows in (chosen, drawn)
    ]
    log_fit = " / ".join(
        errors([g.log_fit_error for g in rows]).strip() for rows in (chosen, drawn)
    )
    print(f"{name:32} {' '.join(cells)} {log_fit}", flush=True)


def errors(values: Sequence[float]) -> str:
    tenth = statistics.quantiles(values, n=10)[-1]
    return f"{100 * statistics.median(values):5.1f} ({100 * tenth:5.1f})"


if __name__ == "__main__":
    main()
