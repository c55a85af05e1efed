"""Does the accuracy law predict members of families whose whole lineage it never saw?

Families are sizes of one design under one training recipe in one table. For each tenth of the
lineages (all copies of a design across tables go together) the prior is learned anew from the
others, then each task hides members of a family and predicts them from what is left.

Baselines in the same script: least squares of the floor law (three points and more), and one
fixed ratio of error to compute (fewer), its exponent learned from the same training lineages.

Families of the timm table whose lineage is in no other table played no part in any choice of the
law's form or constants; they are scored apart, as "fresh".

Usage:
    python benchmarks/does_the_accuracy_law_predict_left_out_families.py [--tables DIR]

``DIR`` may hold, besides ``imagenet.csv``, the wider tables named in `WIDER_TABLES`; which are
missing is said.
"""

import argparse
import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import nnls

from scaleprof.prediction._accuracy import (
    AccuracyLaw,
    AccuracyQuery,
    TrainedModel,
    fit_accuracy_law,
)
from scaleprof.prediction._prior_learning import learn_prior
from scaleprof.prediction._priors import FloorPrior
from scaleprof.prediction._published import profiles_folder

FOLDS = 10
SAME = 1.3
WIDER_TABLES = (
    "paddleclas_imagenet.csv",
    "imgclsmob_gluon_imagenet.csv",
    "mmpretrain_metafiles.csv",
    "efficientnet_papers.csv",
    "mobile_grids.csv",
)

# Compute in these rows contradicts the same model in two other tables.
WRONG_COMPUTE = {
    "regnetx-3.2gf_8xb64_in1k",
    "repvgg-B0_8xb32_in1k",
    "res2net50-w26-s8_3rdparty_8xb32_in1k",
    "resnet50_spark-pre_300e_in1k",
}
# Pretraining without labels and linear probes are not sizes of one recipe.
SELF_SUPERVISED = re.compile(
    r"BarlowTwins|BEiT|BYOL|CAE|DenseCL|EVA|MAE|MaskFeat|MFF|MILAN|MixMIM|MoCo|SimCLR|SimMIM"
    r"|SimSiam|SparK|SwAV|CLIP|HiViT"
)
MOBILE = re.compile(
    r"mobilenet|mnasnet|ghostnet|shufflenet|lcnet|(?<!r)esnet|squeezenet|dice|espnet|igcv|menet|sqnxt"
    r"|tinynet|starnet|fd-mobile"
)
STRONG = re.compile(
    r"deit|swin|cswin|pvt|convnext|efficientnet|nextvit|twins|pcpvt|svt|uniformer|van|levit|xcit"
    r"|vig|poolformer|riformer|mvit|hornet|davit|edgenext|efficientformer|mobileone|mobilevit"
    r"|tinyvit|conformer|t2t|vit|cait|tnt|hgnet|rexnet|mixnet|rdnet|coatnet|maxvit|dsnet"
)
# Designs by the stem of their names, longest first, so that copies in all tables go together.
LINEAGES = (
    "efficientnetv2 efficientnet efficientformer efficientvit mobilenetv1 mobilenetv2 mobilenetv3 "
    "mobilenetv4 mobilenet mobileone mobilevit repghostnet ghostnet shufflenet regnet resnext "
    "res2net resnest resnet convnext unireplknet replknet cswin swin densenet hrnet repvgg dla "
    "vgg deit cait xcit patchconvnet pvt twins levit poolformer caformer convformer mixnet rexnet "
    "hardnet xception inception senet dpn nextvit uniformer maxvit gcvit davit tinyvit crossvit "
    "fastvit repvit flexivit convit mvit van vig vit edgenext lsnet tinynet mnasnet fbnet hgnet "
    "squeezenet lcnet esnet rednet hornet dsnet coatnet coat volo pit resmlp focalnet mambaout "
    "nfnet darknet swiftformer sequencer starnet fasternet nest shvit sqnxt espnet dicenet igcv "
    "menet hiera conformer convmixer riformer drnd"
).split()
ATTENTION = set(
    "deit vit xcit swin cswin pvt twins cait tinyvit mvit davit uniformer conformer crossvit maxvit "
    "coat coatnet gcvit pit volo levit nextvit efficientformer mobilevit convit flexivit caformer "
    "repvit fastvit efficientvit hiera nest swiftformer edgenext tnt t2t".split()
) - {"repvit"}

SIZE_WORD = re.compile(
    r"atto|femto|pico|nano|tiny|small|medium|base|large|xlarge|xxlarge|huge|giant|mini|big|wee"
    r"|pwee|little|betwixt|xtiny|xxtiny|xx|x|xxs|xs|s|m|l|b|t|xl|ti|n|p|f|a|mf|gf|medlarge|kobe"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One trained model of a family."""

    name: str
    gmacs: float
    top1: float
    width: float = 1.0
    resolution: float = 1.0

    @property
    def trained(self) -> TrainedModel:
        return TrainedModel(
            gmacs=self.gmacs, metric=self.top1, width=self.width, resolution=self.resolution
        )

    @property
    def query(self) -> AccuracyQuery:
        return self.trained.query


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Sizes of one design under one recipe in one table, smallest first."""

    name: str
    lineage: str
    regime: str | None
    table: str
    members: tuple[Member, ...]
    is_grid: bool = False


@dataclass(slots=True)
class Score:
    """Errors of the law and of the baseline on one task."""

    law: list[float] = field(default_factory=list)
    baseline: list[float] = field(default_factory=list)
    covered: list[bool] = field(default_factory=list)
    family: list[str] = field(default_factory=list)

    def add(self, family: Family, law: AccuracyLaw, member: Member, baseline: float) -> None:
        mean, (low, high) = law._mean_and_band(member.query)
        self.law.append(mean - member.top1)
        self.baseline.append(baseline - member.top1)
        self.covered.append(low <= member.top1 <= high)
        self.family.append(family.name)


# --- families ---------------------------------------------------------------


def lineage(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", name.lower().removeprefix("tf_"))
    plain = re.sub(r"pcpvt|altgvt|svt", "twins", plain).replace("effnetv2", "efficientnetv2")
    for stem in LINEAGES:
        if stem in plain:
            return stem
    return re.match(r"[a-z]*\d?[a-z]*", plain)[0]


def series(name: str) -> str:
    """Strip what says the size from a model's name."""
    kept = ["basic"] if has_basic_blocks(name) else []
    for token in re.split(r"[_\-\s.@()]+", name.lower()):
        if re.fullmatch(r"\d+x\d+d|patch\d+|p\d+|v\d|g=\d|l2", token):
            kept.append(token)
            continue
        bare = re.sub(r"(?<!v)\d+", "#", token)
        if not SIZE_WORD.fullmatch(bare.replace("#", "").strip("+")) and bare != "#":
            kept.append(bare)
    return "_".join(kept)


def has_basic_blocks(name: str) -> bool:
    """Whether a residual net is too shallow for bottlenecks: another design, not another size."""
    depth = re.search(r"resnet\D*?(\d+)", name.lower())
    return bool(depth) and int(depth[1]) <= 34 and "bc" not in name.lower()


def rows_of_our_table(folder: Path) -> Iterator[tuple[tuple, str | None, Member]]:
    with (folder / "imagenet.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    smallest: dict[tuple, int] = {}
    for row in rows:
        key = row["model"], row["tag"]
        side = int(row["resolution"] or 0)
        smallest[key] = min(smallest.get(key, side), side)
    for row in rows:
        # timm counts the branches of MobileOne S0 that are folded before use
        if row["model"].startswith("mobileone"):
            continue
        # a tag evaluated at several sizes was trained once: keep the smallest
        if int(row["resolution"] or 0) != smallest[row["model"], row["tag"]]:
            continue
        library, _, name = row["model"].rpartition(":")
        if library == "paper" and row["resolution"] not in ("224", "256"):
            continue
        key = (library or "timm", series(name), row["tag"] if library != "pycls" else "")
        if not compound(name):
            key += (row["resolution"],)
        yield key, row["regime"], Member(
            name=name, gmacs=float(row["gmacs"]), top1=float(row["top1"])
        )


def compound(name: str) -> bool:
    """Whether members of this design grow in resolution too."""
    return bool(re.search(r"efficientnet|tinynet|fbnetv3|nfnet|regnetz|edgenext|resnet", name))


def rows_of_wider_table(path: Path) -> Iterator[tuple[tuple, str | None, Member]]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if not row["gmacs"] or row["model"] in WRONG_COMPUTE:
            continue
        if "mmpretrain" in path.name and SELF_SUPERVISED.search(row["family"]):
            continue
        yield wider_key(path.name, row), wider_regime(row), Member(
            name=row["model"],
            gmacs=float(row["gmacs"]),
            top1=float(row["top1"]),
            width=float(row["width_mult"] or 1) if "grids" in path.name else 1.0,
            resolution=float(row["resolution"] or 224) / 224 if "grids" in path.name else 1.0,
        )


def wider_key(table: str, row: dict[str, str]) -> tuple:
    if "grids" in table or "papers" in table:
        return (table, row["family"])
    name = row["model"]
    mmpretrain = "mmpretrain" in table
    if mmpretrain:
        recipe = re.sub(r"\d+xb\d+|coslr", "", name.partition("_")[2])
        name = name.partition("_")[0]
        size = re.search(r"(\d+)px", row["model"])
        return (table, row["family"], series(name), recipe, size and size[1])
    size = re.search(r"_(224|256|384)", name)
    if re.search("MobileNetV3", name):
        name = name.replace("large", "Lg").replace("small", "Sm")
    extra = "[1]" in name or "wsl" in name
    key = series(name.replace("[1]", ""))
    return (table, key, extra, "ssld" in name.lower(), size and size[1])


def wider_regime(row: dict[str, str]) -> str | None:
    text = (row["family"] + " " + row["model"]).lower()
    if "ssld" in text or "dist" in text:
        return "distilled"
    if "[1]" in text or "wsl" in text or re.search("21k|12k|LAION|erged|73M", row["train_regime"]):
        return "extra"
    if MOBILE.search(text) and "mobilevit" not in text and "mobileone" not in text:
        return "mobile"
    if "100ep" in row["train_regime"] or "90ep" in row["train_regime"]:
        return "plain"
    return "strong" if STRONG.search(text) else "plain"


def collect(rows: Iterable[tuple[tuple, str | None, Member]]) -> list[Family]:
    groups: dict[tuple, list[tuple[str | None, Member]]] = {}
    for key, regime, member in rows:
        groups.setdefault(key, []).append((regime, member))
    families = []
    for key, group in groups.items():
        grid = "mobile_grids.csv" in key and key[1] in ("MobileNetV1", "MobileNetV2")
        members = [m for _, m in group] if grid else thinned([m for _, m in group])
        if distinct(members) < 3:
            continue
        regimes = [regime for regime, _ in group]
        families.append(
            Family(
                name="/".join(str(part) for part in key if part),
                lineage=lineage(members[0].name),
                regime=max(set(regimes), key=regimes.count),
                table=key[0],
                members=tuple(sorted(members, key=lambda m: m.gmacs)),
                is_grid=grid,
            )
        )
    return families


def thinned(members: Sequence[Member]) -> list[Member]:
    """Drop repetitions of the same model: equal compute within 1 %."""
    kept: list[Member] = []
    for member in sorted(members, key=lambda m: m.gmacs):
        if not kept or member.gmacs > 1.01 * kept[-1].gmacs:
            kept.append(member)
    return kept


def distinct(members: Sequence[Member]) -> int:
    count, last = 0, 0.0
    for gmacs in sorted(m.gmacs for m in members):
        if gmacs > SAME * last:
            count, last = count + 1, gmacs
    return count


# --- baselines --------------------------------------------------------------


def least_squares(known: Sequence[Member], target: Member) -> float:
    """Fit E + a C^-b by least squares, E and a not negative, b on a grid."""
    compute = np.array([m.gmacs for m in known])
    error = 100 - np.array([m.top1 for m in known])
    fits = []
    for slope in np.geomspace(0.05, 3.0, 60):
        design = np.stack([np.ones_like(compute), compute**-slope], axis=1)
        weights, residual = nnls(design, error)
        fits.append((residual, weights[0] + weights[1] * target.gmacs**-slope))
    return 100 - float(min(fits)[1])


def fixed_ratio(exponent: float) -> Callable[[Member, Member], float]:
    def predict(known: Member, target: Member) -> float:
        return 100 - (100 - known.top1) * (target.gmacs / known.gmacs) ** -exponent

    return predict


def ratio_exponent(families: Sequence[Family]) -> float:
    """Return the median slope of ln error on ln compute."""
    slopes = []
    for family in families:
        x = np.log([m.gmacs for m in family.members])
        y = np.log([100 - m.top1 for m in family.members])
        slopes.append(-np.polyfit(x, y, 1)[0])
    return float(np.median(slopes))


# --- tasks ------------------------------------------------------------------


def fit(family: Family, known: Sequence[Member], prior: FloorPrior) -> AccuracyLaw:
    return fit_accuracy_law([m.trained for m in known], regime=family.regime, family_is_transformer=family.lineage in ATTENTION, prior=prior)


def largest_from_rest(family: Family, prior: FloorPrior, score: dict[str, Score]) -> None:
    target = family.members[-1]
    rest = [m for m in family.members[:-1] if m.gmacs * 1.1 < target.gmacs]
    if distinct(rest) < 4:
        return
    law = fit(family, rest, prior)
    score["largest"].add(family, law, target, least_squares(rest, target))


def four_times_beyond(family: Family, prior: FloorPrior, score: dict[str, Score]) -> None:
    for k in range(3, len(family.members)):
        known = family.members[:k]
        count = distinct(known)
        if count < 3 or (count == 3 and k > 3):
            continue
        targets = [t for t in family.members[k:] if 3 <= t.gmacs / known[-1].gmacs <= 6]
        if not targets:
            continue
        law, task = fit(family, known, prior), "reach 3" if k == 3 else "reach 4+"
        for target in targets:
            score[task].add(family, law, target, least_squares(known, target))


def one_anchor(
    family: Family, prior: FloorPrior, score: dict[str, Score], exponent: float
) -> None:
    ratio = fixed_ratio(exponent)
    for anchor in family.members:
        law = fit(family, [anchor], prior)
        for target in family.members:
            reach = math.exp(abs(math.log(target.gmacs / anchor.gmacs)))
            if not 1.05 < reach <= 4:
                continue
            task = "anchor <=2x" if reach <= 2 else "anchor 2-4x"
            score[task].add(family, law, target, ratio(anchor, target))


def grid_from_corners(family: Family, prior: FloorPrior, score: dict[str, Score]) -> None:
    widths = sorted({m.width for m in family.members})
    full = [w for w in widths if sum(m.width == w for m in family.members) > 3]
    sides = sorted({m.resolution for m in family.members})
    ends = {(w, r) for w in (full[0], full[-1]) for r in (sides[0], sides[-1])}
    corners = [m for m in family.members if (m.width, m.resolution) in ends]
    law = fit(family, corners, prior)
    for target in family.members:
        if target not in corners:
            task = "grid " + family.name.split("/")[-1]
            score[task].add(family, law, target, least_squares(corners, target))


def order_of_recipes(
    family: Family, prior: FloorPrior, right: dict[str, list[tuple[bool, bool]]]
) -> None:
    """From one anchor, the largest: which of two others within 4x is better?"""
    anchor = family.members[-1] if family.is_grid else family.members[len(family.members) // 2]
    law = fit(family, [anchor], prior)
    near = [m for m in family.members if m != anchor]
    for a, b in combinations(near, 2):
        gap = a.top1 - b.top1
        if gap == 0 or abs(gap) >= 1.5:
            continue
        by_law = law.gain(a.query, b.query)[0] * gap > 0
        by_compute = (a.gmacs - b.gmacs) * gap > 0
        right["grid" if family.is_grid else "family"].append((by_law, by_compute))
