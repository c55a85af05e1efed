"""The rounding of a strategy's factors that comes nearest to its compute, friendliest first."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

from ..scaling import ScalingFactors
from ._attempt import (
    MIN_EXPONENT,
    Attempt,
    Rest,
    achieved_width,
    attempt_rest,
    attempt_width,
    miss,
    predicted_compute,
    rests,
)
from ._knobs import Knobs
from ._ways import Values, ways_to_round, widths_between

# width may take up what coarser axes lose, but not change the strategy's proportions by more
MAX_COMPENSATION = 1.15
# a single axis may be turned by so much more or less than its factor, to hit the compute
MAX_ALONE = 2.0
_ALONE = {"d": "depth", "r": "resolution"}
# of one way to round widths, so many are built at most, and so many may fail to build
MAX_CORRECTIONS = 6
MAX_FAILURES = 2
# of all ways, so many are tried for a recipe
MAX_WAYS = 24
# near enough not to look at ways to round that are less friendly to hardware
NEAR = math.log(1.05)
# of roundings of depth and resolution, the second best and on may be so far off, as a log
MAX_STRAY = 0.2
# factors around one at which other roundings of depth and resolution are looked for
_BESIDE = (1.0, 0.85, 0.92, 1.08, 1.18)
# coarser roundings, which need not be multiples of 8, are tried where finer ones miss by more; and
# no recombination is tried that is expected to be further off
ACCEPTABLE = 0.15
# close enough to the target compute to stop looking
GOOD_ENOUGH = 0.03


def attempts(knobs: Knobs, strategy: str, factors: ScalingFactors) -> Iterator[Attempt]:
    """Build variants of a strategy, the most promising first, until one is near its compute."""
    if strategy in _ALONE:
        yield from _along_one_axis(knobs, _ALONE[strategy], factors)
        return
    target = factors.flops_multiplier
    has_width = "w" in strategy.lower()
    # without width to take it up, depth takes up what rounding the resolution lost
    takes_up = "d" in strategy and not has_width
    nearest = math.inf
    built: list[Attempt] = []
    for rest in rests(knobs, factors, takes_up=takes_up):
        # the first that builds is what there is; others must keep the strategy's proportions
        if nearest < math.inf and _strays(rest, factors):
            continue
        # without width, the compute is known before anything is built
        if not has_width and _expected_miss(knobs, rest, target) >= nearest:
            continue
        for attempt in _finished(knobs, rest, factors, target, has_width=has_width):
            nearest = min(nearest, miss(knobs, attempt, target))
            built.append(attempt)
            yield attempt
        if nearest < NEAR:
            return
    if takes_up:
        yield from _along_one_axis(knobs, "depth", factors)
    elif has_width:
        yield from _recombined(knobs, factors, built)


def _recombined(
    knobs: Knobs, factors: ScalingFactors, built: Sequence[Attempt]
) -> Iterator[Attempt]:
    """Widths that build, none of which is near, with depths and resolutions beside the nearest."""
    distinct = {str(attempt.widths): attempt for attempt in built}.values()
    expected = [
        (_expected_off(knobs, attempt, rest, factors.flops_multiplier), rest, attempt.widths)
        for rest in _rests_beside(knobs, factors)
        for attempt in distinct
        if abs(math.log(attempt.achieved["width"] / factors.width)) <= math.log(MAX_COMPENSATION)
    ]
    expected.sort(key=lambda candidate: candidate[0])
    for off, rest, widths in expected[:MAX_CORRECTIONS]:
        if off < ACCEPTABLE and (found := attempt_width(knobs, rest, widths)):
            yield found


def _expected_off(knobs: Knobs, attempt: Attempt, rest: Rest, target: float) -> float:
    """Distance from the target that widths are expected to have at another depth and resolution."""
    before = predicted_compute(knobs, {**attempt.achieved, "width": 1.0})
    return miss(knobs, attempt, target * before / predicted_compute(knobs, _rounded(rest)))


def _rests_beside(knobs: Knobs, factors: ScalingFactors) -> list[Rest]:
    """Roundings of depth and resolution around the factors, those that a strategy turns."""
    depths, resolutions = (
        [factor * beside for beside in _BESIDE] if factor != 1.0 else [factor]
        for factor in (factors.depth, factors.resolution)
    )
    found: list[Rest] = []
    for depth, resolution in itertools.product(depths, resolutions):
        beside = dataclasses.replace(factors, depth=depth, resolution=resolution)
        rest = next(rests(knobs, beside, takes_up=False), None)
        if rest and not _strays(rest, factors) and rest not in found:
            found.append(rest)
    return found


def _along_one_axis(knobs: Knobs, axis: str, factors: ScalingFactors) -> Iterator[Attempt]:
    """Turn depth or resolution until the compute is the target's; other axes stay at their factor.

    FLOPs grow with the length of a text by more than the length, and with depth by less where some
    blocks cannot be repeated.
    """
    target, nominal = factors.flops_multiplier, getattr(factors, axis)
    exponent = max(knobs.axes[axis].flops_exponent or 1.0, MIN_EXPONENT)
    factor, built = nominal, list[float]()
    tried: dict[str, bool] = {}
    for _ in range(MAX_CORRECTIONS):
        around = dataclasses.replace(factors, **{axis: factor})
        attempt = _first_new(knobs, rests(knobs, around, takes_up=False), tried)
        if attempt is None or attempt.achieved[axis] in built:
            return
        yield attempt
        built.append(attempt.achieved[axis])
        off = target * knobs.cost.macs / max(attempt.cost.macs, 1)
        factor = attempt.achieved[axis] * off ** (1 / exponent)
        factor = _clamp(factor, nominal, MAX_ALONE)


def _first_new(knobs: Knobs, candidates: Iterable[Rest], tried: dict[str, bool]) -> Attempt | None:
    """The first rounding that builds; None if it did so before.

    Args:
        knobs: The model's knobs.
        candidates: Roundings, the nearest first.
        tried: Those that were tried, and whether they built; more are added.
    """
    for rest in candidates:
        if str(rest) not in tried:
            attempt = attempt_rest(knobs, rest, {}, width=1.0)
            tried[str(rest)] = attempt is not None
            if attempt is not None:
                return attempt
        elif tried[str(rest)]:
            return None
    return None


def _strays(rest: Rest, factors: ScalingFactors) -> bool:
    """Tell whether rounded axes are no longer what the strategy says."""
    pairs = ((rest.depth, factors.depth), (rest.resolution, factors.resolution))
    return any(abs(math.log(rounded / nominal)) > MAX_STRAY for rounded, nominal in pairs)


def _expected_miss(knobs: Knobs, rest: Rest, target: float) -> float:
    """Distance of the compute from the target, by the exponents that probing found."""
    expected = predicted_compute(knobs, _rounded(rest))
    # what is expected is not exact: only what is clearly further is left out
    return max(abs(math.log(expected / target)) - NEAR, 0.0)


def _finished(
    knobs: Knobs, rest: Rest, factors: ScalingFactors, target: float, *, has_width: bool
) -> Iterator[Attempt]:
    if has_width:
        left = target / predicted_compute(knobs, _rounded(rest))
        exponent = knobs.axes["width"].flops_exponent or 2.0
        alone = factors.depth == factors.resolution == 1.0
        most = MAX_ALONE if alone else MAX_COMPENSATION
        wanted = _clamp(left ** (1 / exponent), factors.width, most)
        yield from _widths(knobs, rest, wanted, target)
    elif attempt := attempt_rest(knobs, rest, {}, width=1.0):
        yield attempt


def _rounded(rest: Rest) -> dict[str, float]:
    return {"depth": rest.depth, "resolution": rest.resolution}


def _clamp(value: float, around: float, most: float) -> float:
    return min(max(value, around / most), around * most)


def _widths(knobs: Knobs, rest: Rest, wanted: float, target: float) -> Iterator[Attempt]:
    """Try widths around the wanted one, by one way to round them after another."""
    lowest, highest = wanted / MAX_COMPENSATION, wanted * MAX_COMPENSATION
    seen: list[Values] = []
    for way in itertools.islice(ways_to_round(knobs), MAX_WAYS):
        widths = [w for w in widths_between(way, lowest, highest) if w not in seen]
        seen += widths
        near = False
        for attempt in _searched(knobs, rest, widths, wanted, target):
            near = near or miss(knobs, attempt, target) < NEAR
            yield attempt
        if near:
            return


def _searched(
    knobs: Knobs, rest: Rest, widths: Sequence[Values], wanted: float, target: float
) -> Iterator[Attempt]:
    """Search widths in their order for the compute; what fails to build is passed over."""
    low, high, failures, near = -1, len(widths), 0, False
    at, failed = _nearest(knobs, widths, wanted), set[int]()
    for _ in range(MAX_CORRECTIONS):
        if not low < at < high or failures > MAX_FAILURES:
            return
        # a correction may lead back to what failed
        attempt = None if at in failed else attempt_width(knobs, rest, widths[at])
        if attempt is None:
            failed.add(at)
            failures += 1
            # what is not legal here may be next to something that is
            at = at + failures if failures % 2 else at - failures
            continue
        yield attempt
        if near or miss(knobs, attempt, target) < GOOD_ENOUGH:
            return
        # one more look, once it is near
        near = miss(knobs, attempt, target) < NEAR
        if attempt.cost.macs < target * knobs.cost.macs:
            low = at
        else:
            high = at
        off = target * knobs.cost.macs / max(attempt.cost.macs, 1)
        exponent = knobs.axes["width"].flops_exponent or 2.0
        next_at = _nearest(knobs, widths, attempt.achieved["width"] * off ** (1 / exponent))
        at = min(max(next_at, low + 1), high - 1)


def _nearest(knobs: Knobs, widths: Sequence[Values], factor: float) -> int:
    distances = [abs(math.log(achieved_width(knobs, w) / factor)) for w in widths]
    return min(range(len(widths)), key=distances.__getitem__, default=0)
