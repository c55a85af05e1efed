"""Search spaces besides strategies: a grid of factors, and the stages of a model one by one."""

import itertools
import math
from collections.abc import Sequence
from statistics import fmean

from ..errors import InputError, RecipeError
from ..jobs import (
    COUNT_STAGES,
    GRID,
    STAGE_RECIPES,
    GridRequest,
    KnobsReply,
    StageRecipesReply,
    StageRecipesRequest,
    StagesReply,
    StagesRequest,
)
from ..records import Cost, Variant
from ..scaling import StageRecipe
from ..selection import COMPUTE, CONFIDENCE, Limit, quantity
from ._fill import margin
from ._options import AXES, Options
from ._own_runs import is_transformer
from ._predict import roofline_law, workloads
from ._stage_space import (
    Amounts,
    CountedStages,
    Solved,
    amounts_of,
    best_recipes,
    solutions_by_whole,
)
from ._sweep import Sweep

DEFAULT_GRID = {
    "width": (0.75, 1.0, 1.25),
    "depth": (0.5, 1.0, 2.0),
    "resolution": (0.85, 1.0, 1.15),
}
"""Factors by axis where none are given: 26 variants around the base."""

# rounds of solving and measuring: the second one knows what the first one measured
STAGE_ROUNDS = 2
STAGE_RECIPES_PER_ROUND = 4
STAGE_PROCESSES = STAGE_ROUNDS * STAGE_RECIPES_PER_ROUND
# options are powers of the growth that budgets leave, up to all of it in one axis; nothing is cut
# where a model grows, nor grown where it shrinks, as no published family does
_WIDTH_POWERS = (1 / 6, 1 / 3, 1 / 2)
_DEPTH_POWERS = (1 / 3, 2 / 3, 1.0)
_RESOLUTION_POWERS = (1 / 6, 1 / 3)
# growth that budgets leave, between these; the law of accuracy reaches four times down
_LEAST_ROOM, _MOST_ROOM = 0.25, 8.0
_NO_ROOM = 1.5
# growth is taken in steps of this power of two, so that noise does not change what is counted
_ROOM_STEP = 0.25
_NOT_PROVED = "the solver of stages ran out of time: there may be better recipes than it found"

# what bounds each metric among the quantities that are sums over stages
_BOUNDED_BY = {
    "params": "params",
    "macs": COMPUTE,
    "flops": COMPUTE,
    "activations": "activations",
    "memory": "memory",
}


def check_space(model: str, knobs: KnobsReply, options: Options) -> None:
    """Refuse a space that a model does not have, before anything is measured.

    Raises:
        InputError: If a grid names an axis that it lacks.
        RecipeError: If no argument of its constructor lists its stages.
    """
    for axis, _ in options.grid:
        if knobs.axes[axis].status == "none":
            raise InputError(f"`{model}` has no {axis} for a grid: {knobs.axes[axis].reason}")
    if options.space != "stages":
        return
    depth = knobs.axes["depth"]
    listed = [name for name in depth.arguments if _is_list(depth.base.get(name))]
    if not listed:
        raise RecipeError(
            f"`{model}` has no stages to scale one by one: no argument of its constructor lists "
            "how many blocks each has",
            hint="use --space grid, which crosses factors of width, depth and resolution",
        )


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) > 1


def resolve_grid(sweep: Sweep, knobs: KnobsReply, options: Options) -> None:
    """Resolve the grid."""
    given = dict(options.grid) or {
        axis: factors
        for axis, factors in DEFAULT_GRID.items()
        if axis in options.axes and knobs.axes[axis].status != "none"
    }
    points = [dict(zip(given, point, strict=True)) for point in itertools.product(*given.values())]
    request = GridRequest(
        model=sweep.model,
        knobs=knobs,
        points=tuple(point for point in points if any(f != 1.0 for f in point.values())),
        dtype=options.dtype,
    )
    sweep.join(GRID, request, "grid")


def search_stages(sweep: Sweep, knobs: KnobsReply, options: Options, reach: float) -> None:
    """Solve for the best recipes of stages, measure them, and solve again with what they taught.

    Args:
        sweep: The variants; the base is measured.
        knobs: What scaling needs to know about the model.
        options: Conditions and budgets.
        reach: Factor of compute up to which accuracy can be predicted.
    """
    asked = _stages_request(sweep, knobs, options)
    reply = sweep.ask(COUNT_STAGES, asked, StagesReply, of="stages")
    if reply is None:
        return
    search = _StageSearch(sweep, knobs, options, reply, reach)
    search.look_at_each_size()
    for _ in range(STAGE_ROUNDS):
        sweep.measure_all(search.best(STAGE_RECIPES_PER_ROUND))


class _StageSearch:
    """The stages of a model: what was counted of them, and what became of recipes of them."""

    def __init__(
        self,
        sweep: Sweep,
        knobs: KnobsReply,
        options: Options,
        reply: StagesReply,
        reach: float,
    ) -> None:
        self._sweep = sweep
        self._reach = reach
        self._knobs = knobs
        self._options = options
        self._reply = reply
        self._given: set[StageRecipe] = set()
        # ln of what was counted over what the sums had said, by width and resolution of the whole
        self._off: dict[tuple[float, float], list[Amounts]] = {}

    def look_at_each_size(self) -> None:
        """Build the best recipe at every size of the input, to see what sums get wrong of it."""
        counted = self._counted()
        found = solutions_by_whole(counted, self._limits(counted), {})
        found = itertools.takewhile(lambda _: self._sweep.has_time, found)
        first = [solved for each in found if (solved := next(each, None))]
        if not first and self._sweep.has_time:
            self._sweep.skipped.append("stages: no recipe is expected within the budgets")
        self._resolve(counted, first)

    def best(self, count: int) -> list[Variant]:
        """Solve for the best recipes that were not returned before, and resolve them."""
        counted = self._counted()
        corrections = {
            whole: {name: math.exp(fmean(off[name] for off in found)) for name in counted.base}
            for whole, found in self._off.items()
        }
        found = best_recipes(counted, self._limits(counted), corrections)
        fresh = (solved for solved in found if solved.recipe not in self._given)
        in_time = itertools.takewhile(lambda _: self._sweep.has_time, fresh)
        best = list(itertools.islice(in_time, count))
        self._given.update(solved.recipe for solved in best)
        if not all(solved.proved for solved in best) and _NOT_PROVED not in self._sweep.notes:
            self._sweep.notes.append(_NOT_PROVED)
        return self._resolve(counted, best)

    def _limits(self, counted: CountedStages) -> dict[str, float]:
        base, limits = self._sweep.base, self._sweep.limits
        bounds = stage_limits(
            base,
            limits,
            counted.base,
            batch=self._options.batch,
            confidence=self._options.confidence,
        )
        most = counted.base[COMPUTE] * self._reach
        return {**bounds, COMPUTE: min(bounds.get(COMPUTE, math.inf), most)}

    def _resolve(self, counted: CountedStages, solved: Sequence[Solved]) -> list[Variant]:
        """Build and count recipes; note by how much they differ from their sums."""
        request = StageRecipesRequest(
            model=self._sweep.model,
            knobs=self._knobs,
            recipes=tuple(each.recipe for each in solved),
            shares=counted.shares,
            dtype=self._options.dtype,
        )
        reply = self._sweep.ask(STAGE_RECIPES, request, StageRecipesReply, of="stages")
        if reply is None or not solved:
            return []
        variants = [variant for variant in reply.variants if variant is not None]
        kept = [s for s, variant in zip(solved, reply.variants, strict=True) if variant is not None]
        latencies = self._latencies([variant.cost for variant in variants])
        for each, variant, latency in zip(kept, variants, latencies, strict=True):
            real = amounts_of(variant.cost, latency)
            off = {name: math.log(real[name] / total) for name, total in each.amounts.items()}
            self._off.setdefault(each.whole, []).append(off)
        self._sweep.take(variants, reply.skipped, "stages")
        return [self._sweep.variants[variant.id] for variant in variants]

    def _counted(self) -> CountedStages:
        """Quantities of all that was counted, with the latency that the law gives them now."""
        reply = self._reply
        rows = [end for stage in reply.own for pair in stage for end in pair]
        built = {
            row.recipe: row.cost
            for row in (*rows, *reply.pairs, *reply.whole)
            if row.cost is not None
        }
        costs = [self._sweep.base.cost, *built.values()]
        latencies = self._latencies(costs)
        base, *others = (amounts_of(c, t) for c, t in zip(costs, latencies, strict=True))
        return CountedStages(
            reply=reply,
            base=base,
            amounts=dict(zip(built, others, strict=True)),
            transformer=is_transformer(self._sweep.base),
        )

    def _latencies(self, costs: Sequence[Cost]) -> list[float]:
        """Latencies in seconds, by the law fitted to what is measured now."""
        sweep = self._sweep
        variants = list(sweep.variants.values())
        law = roofline_law(variants, on_cpu=sweep.on_cpu, device=sweep.device_name, like=sweep.like)
        assert law is not None, "the base is measured, and its work is counted"
        return [band.p50 for band in law.bands(workloads(costs, sweep.like))]


def _stages_request(sweep: Sweep, knobs: KnobsReply, options: Options) -> StagesRequest:
    room = growth_left(sweep.base, sweep.limits, batch=options.batch)
    powers = {
        "width": _WIDTH_POWERS,
        "depth": _DEPTH_POWERS,
        "resolution": _RESOLUTION_POWERS,
    }
    factors = {
        axis: tuple(room**power for power in powers[axis])
        if axis in options.axes and knobs.axes[axis].status != "none"
        else ()
        for axis in AXES
    }
    return StagesRequest(
        model=sweep.model,
        knobs=knobs,
        widths=factors["width"],
        depths=factors["depth"],
        resolutions=factors["resolution"],
        dtype=options.dtype,
    )


def growth_left(base: Variant, limits: Sequence[Limit], *, batch: int) -> float:
    """Return the factor by which the base may grow under its tightest limit, in coarse steps."""
    growth = min((_growth(base, limit, batch) for limit in limits), default=1.0)
    growth = min(max(growth, _LEAST_ROOM), _MOST_ROOM)
    if abs(math.log(growth)) < math.log(_NO_ROOM):
        growth = _NO_ROOM if growth >= 1.0 else 1 / _NO_ROOM
    return float(2 ** (round(math.log2(growth) / _ROOM_STEP) * _ROOM_STEP))


def _growth(base: Variant, limit: Limit, batch: int) -> float:
    known = quantity(base, limit.budget.metric, batch=batch)
    if known is None or known.value <= 0:
        return 1.0
    growth = limit.value / known.value
    return growth if limit.budget.bound == "<=" else 1 / growth


def stage_limits(
    base: Variant,
    limits: Sequence[Limit],
    amounts: Amounts,
    *,
    batch: int,
    confidence: float = CONFIDENCE,
) -> dict[str, float]:
    """Return budgets as upper bounds of the quantities that are sums over stages.

    Each is the base's times the growth that the budget leaves, so that what a sum gets wrong of the
    base cancels. What is known with noise is aimed at from below.
    """
    bounds: dict[str, float] = {}
    for limit in limits:
        metric = limit.budget.metric
        name = _BOUNDED_BY.get(metric.partition(".")[0], "latency")
        known = quantity(base, metric, batch=batch)
        exact = known is not None and known.spread == 0
        share = 1.0 if exact else margin(confidence)
        most = amounts[name] * _growth(base, limit, batch) * share
        bounds[name] = min(bounds.get(name, math.inf), most)
    return bounds
