"""Put recipes of stages together from what single options cost, and solve for the best of them.

Quantities of an option are differences of counts; its latency is that of the law for its counted
work. What all stages share (the size of the input, or a width where stages have none of their own)
multiplies every quantity by the factor that it has for the base.
"""

import heapq
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..jobs import CountedRecipe, StagesReply
from ..prediction import (
    UNEVEN_LOSS,
    UNEVEN_REACH,
    deepest_stage,
    excess_of,
    growth_of,
    stage_loss,
)
from ..records import Cost
from ..scaling import StageRecipe
from ..selection import COMPUTE, StageSolution, StageSpace, stage_solutions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]

Amounts = Mapping[str, float]
"""Quantities of a recipe by name: counts, peak bytes, latency in seconds."""

# of two neighbours, the one's channels grow by at most this factor more than the other's:
# stages double their channels, and at 1.5 apart the ratio still is between 1.3 and 3
NEIGHBOURS = 1.5
# recipes differ in so many stages, so that several do not hang on one error of the sums
APART = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedStages:
    """Options of all stages with what they take.

    Attributes:
        reply: What was counted.
        base: Quantities of the base.
        amounts: Quantities of what was counted, by recipe.
        transformer: Whether the model mixes positions by attention.
    """

    reply: StagesReply
    base: Amounts
    amounts: Mapping[StageRecipe, Amounts]
    transformer: bool

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each stage in the compute of those that can be scaled."""
        shares = [max(self._share(stage), 0.0) for stage in range(len(self.reply.own))]
        total = sum(shares)
        return tuple(share / total if total else 1 / len(shares) for share in shares)

    def _share(self, stage: int) -> float:
        options = self.reply.options
        depths, widths = options.depths[stage], options.widths[stage]
        few, many = self.reply.own[stage][widths.index(1.0)]
        if len(depths) > 1:
            block = self._compute(many) - self._compute(few)
            return block / (depths[-1] - depths[0]) * options.base_depths[stage]
        # of blocks that cannot be repeated, from what doubling their channels would add
        wide, achieved = self.reply.own[stage][-1][0], options.achieved[stage][-1]
        grown = self._compute(wide) - self.base[COMPUTE]
        return grown / (achieved**2 - 1) if achieved != 1.0 else 0.0

    def _compute(self, counted: CountedRecipe) -> float:
        return self.amounts.get(counted.recipe, self.base)[COMPUTE]

    def space(self, *, width: float = 1.0, resolution: float = 1.0) -> StageSpace:
        """Return the space of recipes at one width and resolution of the whole."""
        tables = [self._own(stage) for stage in range(len(self.reply.own))]
        factors = [self._factors(stage) for stage in range(len(tables))]
        shares = self.shares
        return StageSpace(
            base=self.base,
            own={name: [table[name] for table in tables] for name in self.base},
            pairs=self._pairs(),
            losses=[
                share * _table(stage, lambda w, d: self._loss(d, w * width, resolution))
                for share, stage in zip(shares, factors, strict=True)
            ],
            growth=[_table(stage, lambda w, d: growth_of(d, w)) for stage in factors],
            excess=[self._excess(i, stage) for i, stage in enumerate(factors)],
            shares=shares,
            uneven_loss=UNEVEN_LOSS,
            reach=UNEVEN_REACH,
            allowed=[self._allowed(stage) for stage in range(len(tables))],
            allowed_pairs=[_near(a, b) for a, b in itertools.pairwise(self.reply.options.achieved)],
        )

    def _excess(self, stage: int, factors: tuple[Sequence[float], Sequence[float]]) -> "Array":
        deepest = deepest_stage(self.reply.options.base_depths) == stage
        return _table(factors, lambda w, d: excess_of(d, w, deepest=deepest))

    def _loss(self, depth: float, width: float, resolution: float) -> float:
        return stage_loss(depth, width, resolution, transformer=self.transformer)

    def _factors(self, stage: int) -> tuple[Sequence[float], Sequence[float]]:
        """Factors of width and of depth that a stage can have."""
        options = self.reply.options
        old = options.base_depths[stage]
        depths = [depth / old if old else 1.0 for depth in options.depths[stage]]
        return options.achieved[stage], depths

    def _own(self, stage: int) -> dict[str, "Array"]:
        """Change of every quantity when one stage alone takes an option, [widths, depths]."""
        import numpy as np

        depths = np.array(self.reply.options.depths[stage], dtype=float)
        along = (depths - depths[0]) / max(depths[-1] - depths[0], 1.0)
        tables = {}
        for name, base in self.base.items():
            ends = np.array(
                [
                    [self.amounts.get(end.recipe, self.base)[name] - base for end in pair]
                    for pair in self.reply.own[stage]
                ]
            )
            tables[name] = ends[:, :1] * (1 - along) + ends[:, 1:] * along
        return tables

    def _allowed(self, stage: int) -> "Array":
        import numpy as np

        built = [all(end.recipe in self.amounts for end in pair) for pair in self.reply.own[stage]]
        return np.repeat(np.array(built)[:, None], len(self.reply.options.depths[stage]), axis=1)

    def _pairs(self) -> dict[str, list["Array"]]:
        """What two neighbours change besides: in proportion to the growth of both their widths."""
        import numpy as np

        found: dict[str, list[Array]] = {name: [] for name in self.base}
        for stage, counted in enumerate(self.reply.pairs):
            sides = [np.array(self.reply.options.achieved[i]) - 1.0 for i in (stage, stage + 1)]
            alone = [self._alone(stage + i, counted) for i in (0, 1)]
            both = self.amounts.get(counted.recipe)
            at = self._growth_of_pair(stage, counted.recipe)
            for name, base in self.base.items():
                table = np.multiply.outer(*sides)
                missing = both is None or not at or None in alone
                joint = 0.0 if missing else both[name] - alone[0][name] - alone[1][name] + base  # type: ignore[index]
                found[name].append(table * (joint / at if at else 0.0))
        return found

    def _alone(self, stage: int, pair: CountedRecipe) -> Amounts | None:
        """Quantities of the model with one stage of a pair at its width, at the base's depth."""
        options = self.reply.options
        width = options.widths[stage].index(pair.recipe.widths[stage])
        depth = options.depths[stage].index(options.base_depths[stage])
        table = self._own(stage)
        return {name: base + float(table[name][width, depth]) for name, base in self.base.items()}

    def _growth_of_pair(self, stage: int, recipe: StageRecipe) -> float:
        options = self.reply.options
        return math.prod(
            options.achieved[i][options.widths[i].index(recipe.widths[i])] - 1.0
            for i in (stage, stage + 1)
        )

    def wholes(self) -> Iterator[tuple[float, float, Amounts]]:
        """Iterate over widths and resolutions of the whole, with the factor of each quantity."""
        built = [counted.recipe for counted in self.reply.whole if counted.recipe in self.amounts]
        widths = [recipe for recipe in built if recipe.width != 1.0]
        sizes = [recipe for recipe in built if recipe.resolution != 1.0]
        for wide, large in itertools.product([None, *widths], [None, *sizes]):
            factors = {
                name: math.prod(self.amounts[r][name] / base for r in (wide, large) if r)
                for name, base in self.base.items()
            }
            yield wide.width if wide else 1.0, large.resolution if large else 1.0, factors

    def recipe(self, choice: StageSolution, *, width: float, resolution: float) -> StageRecipe:
        """Return the recipe of a solution."""
        options = self.reply.options
        return StageRecipe(
            widths=tuple(ws[w] for ws, (w, _) in zip(options.widths, choice.choice, strict=True)),
            depths=tuple(ds[d] for ds, (_, d) in zip(options.depths, choice.choice, strict=True)),
            width=width,
            resolution=resolution,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """A recipe that was solved for.

    Attributes:
        recipe: The recipe.
        worth: ln of the compute that counts, over that of the base.
        amounts: What its quantities are as sums.
        proved: Whether the solver proved that nothing is better.
    """

    recipe: StageRecipe
    worth: float
    amounts: Amounts
    proved: bool

    @property
    def whole(self) -> tuple[float, float]:
        """Width and resolution of the whole, which all stages share."""
        return self.recipe.width, self.recipe.resolution


Factors = Mapping[tuple[float, float], Amounts]
"""By width and resolution of the whole: what quantities were over what sums said they are."""


def best_recipes(
    counted: CountedStages, limits: Amounts, found_over_sum: Factors
) -> Iterator[Solved]:
    """Iterate over recipes within limits, those of the highest worth first.

    Args:
        counted: What the options take.
        limits: Upper bounds by quantity.
        found_over_sum: Corrections of the sums, where recipes were counted.
    """
    order = itertools.count()
    queue: list[tuple[float, int, Solved, Iterator[Solved]]] = []

    def push(found: Iterator[Solved]) -> None:
        if (first := next(found, None)) is not None:
            heapq.heappush(queue, (-first.worth, next(order), first, found))

    for solutions in solutions_by_whole(counted, limits, found_over_sum):
        push(solutions)
    while queue:
        _, _, best, rest = heapq.heappop(queue)
        yield best
        push(rest)


def solutions_by_whole(
    counted: CountedStages, limits: Amounts, found_over_sum: Factors
) -> Iterator[Iterator[Solved]]:
    """Iterate over the recipes of each width and resolution of the whole, the best first."""
    for width, resolution, factors in counted.wholes():
        off = found_over_sum.get((width, resolution), {})
        room = {name: most / off.get(name, 1.0) / factors[name] for name, most in limits.items()}
        yield _solutions(counted, room, factors, width=width, resolution=resolution)


def _solutions(
    counted: CountedStages, room: Amounts, factors: Amounts, *, width: float, resolution: float
) -> Iterator[Solved]:
    space = counted.space(width=width, resolution=resolution)
    apart = min(APART, max(space.stages - 1, 1))
    for found in stage_solutions(space, room, apart=apart):
        yield Solved(
            recipe=counted.recipe(found, width=width, resolution=resolution),
            worth=found.worth + math.log(factors[COMPUTE]),
            amounts={
                name: factor * space.value(name, found.choice) for name, factor in factors.items()
            },
            proved=found.proved,
        )


def amounts_of(cost: Cost, latency_s: float) -> Amounts:
    """Return the quantities that budgets bound."""
    return {
        COMPUTE: float(cost.macs),
        "activations": float(cost.activations),
        "params": float(cost.params),
        "memory": float(cost.peak_bytes),
        "latency": latency_s,
    }


def _table(factors: tuple[Sequence[float], Sequence[float]], function: Any) -> "Array":
    import numpy as np

    return np.array([[function(w, d) for d in factors[1]] for w in factors[0]])


def _near(left: Sequence[float], right: Sequence[float]) -> "Array":
    """Mark widths of neighbours that may stand next to each other."""
    import numpy as np

    apart = np.abs(np.log(np.divide.outer(np.array(left), np.array(right))))
    return np.asarray(apart <= math.log(NEIGHBOURS) + 1e-9)
