"""A ladder: one family of recipes, one for each of several latencies.

No recipe of it is smaller along any axis than the one before it, nor less accurate, so that it can
be documented, trained and shipped as one family. Among all such families the one with the highest
sum of predicted accuracies is found by dynamic programming over the rungs: what is best up to a
variant on one rung depends on what is below it alone.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ..errors import BudgetError
from ..records import Variant
from ._budget import Budget, parse_budget
from ._quantity import quantity
from ._select import Limit, meets, worth

# a larger patch makes fewer tokens: along this axis a model grows when the factor falls
_SHRINKING = frozenset({"patch_size"})
# factors closer than this are equal
_EQUAL = 1e-9


class Step(NamedTuple):
    """A candidate for a rung.

    Attributes:
        worth: What is summed over the rungs; more is better.
        sizes: Position along every axis, larger is larger, the axes in one order for all.
        cost: Decides between families of equal worth; less is better.
    """

    worth: float
    sizes: tuple[float, ...]
    cost: float


def parse_ladder(texts: Iterable[str]) -> tuple[Budget, ...]:
    """Parse rungs, each a latency (``2ms``) or a factor over the base's (``0.5x``).

    Raises:
        BudgetError: If one is neither, or stands there twice.

    Examples:
        >>> [rung.limit or rung.relative for rung in parse_ladder(["1ms", "2x"])]
        [0.001, 2.0]
    """
    rungs: dict[tuple[float | None, float | None], Budget] = {}
    for text in texts:
        rung = _parse_rung(text)
        if rungs.setdefault((rung.limit, rung.relative), rung) is not rung:
            raise BudgetError(f"rung `{text}` of the ladder stands there twice")
    return tuple(rungs.values())


def _parse_rung(text: str) -> Budget:
    try:
        return parse_budget(f"latency<={text}")
    except BudgetError as error:
        reason = str(error).removeprefix(f"budget `latency<={text}`: ")
        raise BudgetError(
            f"rung `{text}` of the ladder: {reason}", hint="write --ladder 1ms,2ms or 0.5x,1x,2x"
        ) from None


def fits_above(upper: Step, lower: Step) -> bool:
    """Tell whether a candidate may stand on the rung above another."""
    return upper.worth >= lower.worth and all(
        above >= below - _EQUAL for above, below in zip(upper.sizes, lower.sizes, strict=True)
    )


def best_chain(rungs: Sequence[Sequence[Step]]) -> list[int | None]:
    """Choose a candidate for every rung so that each fits above the last and the sum is highest.

    Args:
        rungs: Candidates of each rung, the tightest first. What is a candidate on one rung is one
            on every looser rung: so that there is a chain wherever there are candidates.

    Returns:
        The place of the choice among the candidates of each rung; None for a rung without any.

    Examples:
        The best of the first rung is left out because it is too wide for the second:

        >>> wide, deep, both = Step(71, (2, 1), 1), Step(70, (1, 2), 1), Step(75, (1, 3), 1)
        >>> best_chain([[wide, deep], [wide, deep, both]])
        [1, 2]
    """
    below: Sequence[Step] = ()
    totals: list[_Total | None] = []
    reached: list[list[_Total | None]] = []
    for candidates in rungs:
        if candidates:
            totals = [_best_total(step, below, totals) for step in candidates]
            below = candidates
        reached.append(totals if candidates else [])
    return _walk_back(reached)


class _Total(NamedTuple):
    """The best family up to a candidate: its sum, its cost with the sign turned, and the last link.

    Totals compare by sum, then by cost.
    """

    worth: float
    saved: float
    below: int | None


def _best_total(
    step: Step, below: Sequence[Step], totals: Sequence[_Total | None]
) -> _Total | None:
    """Put a candidate above the best family that it fits above; None if it fits above none."""
    if not below:
        return _Total(step.worth, -step.cost, None)
    families = [
        (total.worth, total.saved, -place)
        for place, (under, total) in enumerate(zip(below, totals, strict=True))
        if total is not None and fits_above(step, under)
    ]
    if not families:
        return None
    worth_below, saved, place = max(families)
    return _Total(step.worth + worth_below, saved - step.cost, -place)


def _walk_back(reached: Sequence[Sequence[_Total | None]]) -> list[int | None]:
    chain: list[int | None] = []
    place: int | None = None
    for totals in reversed(reached):
        known = [(total[:2], -i) for i, total in enumerate(totals) if total is not None]
        if place is None and known:
            place = -max(known)[1]
        chain.append(place if known else None)
        here = totals[place] if place is not None and known else None
        place = here.below if here is not None else place
    return chain[::-1]


def climb(
    variants: Sequence[Variant],
    limits: Sequence[Limit],
    rungs: Sequence[Limit],
    *,
    batch: int,
    confidence: float,
    excluded: Mapping[int, Collection[str]] | None = None,
) -> list[Variant | None]:
    """Return the variant of each rung of the best ladder; None where nothing meets a rung.

    Args:
        variants: All variants.
        limits: Bounds that must hold on every rung.
        rungs: Bounds of latency, the tightest first.
        batch: Items in one forward pass.
        confidence: Chance of meeting each bound that is required.
        excluded: Identifiers of variants that a check ruled out, by place of the rung; they are
            out on tighter rungs too.
    """
    out = excluded or {}
    ranked = [v for v in variants if v.accuracy is not None and v.accuracy.mean is not None]
    axes = sorted({axis for v in ranked for axis in v.recipe.achieved})
    held = []
    for place, rung in enumerate(rungs):
        missed = {name for looser in range(place, len(rungs)) for name in out.get(looser, ())}
        bounds = (*limits, rung)
        held.append(
            [
                v
                for v in ranked
                if v.id not in missed and meets(v, bounds, batch=batch, confidence=confidence)
            ]
        )
    stages = max((len(v.recipe.stages) for v in ranked), default=0)
    chain = best_chain([[_step(v, axes, stages, batch) for v in of_rung] for of_rung in held])
    return [None if place is None else held[number][place] for number, place in enumerate(chain)]


def _step(variant: Variant, axes: Sequence[str], stages: int, batch: int) -> Step:
    latency = quantity(variant, "latency", batch=batch)
    achieved = variant.recipe.achieved
    whole = (
        (1 / achieved.get(axis, 1.0)) if axis in _SHRINKING else achieved.get(axis, 1.0)
        for axis in axes
    )
    return Step(
        worth=worth(variant),
        sizes=(*whole, *_stage_sizes(variant, stages)),
        cost=latency.value if latency else 0.0,
    )


def _stage_sizes(variant: Variant, stages: int) -> Iterator[float]:
    """Factors of every stage; those of the model as a whole where all were scaled alike."""
    recipe = variant.recipe
    for stage in range(stages):
        if recipe.stages:
            yield recipe.stages[stage].depth
            yield recipe.stages[stage].width
        else:
            yield recipe.achieved.get("depth", 1.0)
            yield recipe.achieved.get("width", 1.0)
