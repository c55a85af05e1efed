"""Where the accuracy law may be used, and the words for where it may not."""

from collections.abc import Sequence

from ._accuracy_query import AccuracyQuery
from ._recipe_shape import shape_features

# Four times beyond the data costs 0.7 points (rms), eight times 1.9; downward error grows faster.
REACH_UP, REACH_DOWN = 16.0, 4.0
# From one anchor the rms is 1.1 points at two to four times its compute, and unknown beyond.
SINGLE_ANCHOR_REACH = 4.0
# Two models closer in compute say nothing about how error falls with it.
SAME_COMPUTE = 1.3
# The sum of shape features from which a recipe is called lopsided.
LOPSIDED = 0.5
# Published ImageNet models need 0.01 to 2000 GMACs; outside, the unit is probably another.
PLAUSIBLE_GMACS = (0.003, 3000.0)


def distinct_computes(references: Sequence[AccuracyQuery]) -> list[float]:
    """Return the anchors' compute, GMACs ascending, near-duplicates once."""
    distinct: list[float] = []
    for gmacs in sorted(reference.gmacs for reference in references):
        if not distinct or gmacs > SAME_COMPUTE * distinct[-1]:
            distinct.append(gmacs)
    return distinct


def refusal(query: AccuracyQuery, references: Sequence[AccuracyQuery]) -> str | None:
    """Say why a variant is outside the law's reach, or return None."""
    largest = max(reference.gmacs for reference in references)
    smallest = min(reference.gmacs for reference in references)
    if query.gmacs > REACH_UP * largest:
        return (
            f"{query.gmacs / largest:.3g} times the compute of the largest anchor; "
            f"the law reaches {REACH_UP:g} times"
        )
    if query.gmacs < smallest / REACH_DOWN:
        return (
            f"1/{smallest / query.gmacs:.3g} of the compute of the smallest anchor; "
            f"the law reaches 1/{REACH_DOWN:g}"
        )
    return None


def single_anchor_doubt(query: AccuracyQuery, references: Sequence[AccuracyQuery]) -> str | None:
    """Say why one anchor is too few for a value here, or return None."""
    distinct = distinct_computes(references)
    reach = query.gmacs / distinct[0]
    if len(distinct) > 1 or reach <= SINGLE_ANCHOR_REACH:
        return None
    return f"{reach:.3g} times the compute of the only anchor: a band, no value"


def widenings(query: AccuracyQuery, references: Sequence[AccuracyQuery]) -> list[str]:
    """Name what made the band wider than compute alone would."""
    reasons = []
    if query.kernel_size not in {reference.kernel_size for reference in references}:
        reasons.append("kernel size is worth at most 0.4 points, whatever it costs")
    if sum(shape_features(query)) > LOPSIDED:
        reasons.append("band widened for a lopsided recipe")
    if query.stages:
        reasons.append("band widened for stages scaled differently")
    return reasons


def implausible_compute(references: Sequence[AccuracyQuery]) -> str | None:
    """Say that a compute is probably in another unit, or return None."""
    low, high = PLAUSIBLE_GMACS
    odd = [reference.gmacs for reference in references if not low <= reference.gmacs <= high]
    if not odd:
        return None
    return f"{odd[0]:g} GMACs an image is implausible: check the unit (1e9 multiply-adds)"
