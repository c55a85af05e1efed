"""Jobs that resolve what other spaces hold than strategies: grids, and stages one by one."""

from collections.abc import Sequence

from ..errors import RecipeError
from ..knobs import (
    Knobs,
    count_stages,
    has_widths_by_stage,
    resolve_factors,
    resolve_stages,
    stage_options,
)
from ..records import Variant, replace
from ..scaling import StageOptions, StageRecipe
from ._requests import (
    CountedRecipe,
    GridRequest,
    ScaleReply,
    StageRecipesReply,
    StageRecipesRequest,
    StagesReply,
    StagesRequest,
)
from ._scale import knobs_of

_GRID_AXES = ("width", "depth", "resolution")


def resolve_grid(request: GridRequest) -> ScaleReply:
    """Resolve the points of a grid; those that round to the same model become one."""
    knobs, found, skipped = knobs_of(request), dict[str, Variant](), []
    for point in request.points:
        try:
            width, depth, resolution = (point.get(axis, 1.0) for axis in _GRID_AXES)
            variant = resolve_factors(knobs, width=width, depth=depth, resolution=resolution)
        except RecipeError as error:
            skipped.append(f"grid: {error}")
        else:
            labelled = replace(variant, recipe=replace(variant.recipe, strategy="grid"))
            found.setdefault(variant.id, labelled)
    found.pop("base", None)
    return ScaleReply(variants=tuple(found.values()), skipped=tuple(dict.fromkeys(skipped)))


def count_options(request: StagesRequest) -> StagesReply:
    """Count each option of each stage once, and one pair of wider neighbours each."""
    knobs = knobs_of(request)
    options = stage_options(knobs, widths=request.widths, depths=request.depths)
    base = StageRecipe(widths=(1.0,) * len(options.widths), depths=options.base_depths)
    whole = [replace(base, resolution=factor) for factor in request.resolutions]
    if not has_widths_by_stage(knobs) and knobs.axes["width"].status != "none":
        whole += [replace(base, width=factor) for factor in request.widths]
    return StagesReply(
        options=options,
        own=tuple(_own(knobs, options, base, stage) for stage in range(len(base.depths))),
        pairs=tuple(_pair(knobs, options, base, stage) for stage in range(len(base.depths) - 1)),
        whole=_distinct(knobs, [recipe for recipe in whole if recipe != base]),
    )


def _distinct(knobs: Knobs, recipes: Sequence[StageRecipe]) -> tuple[CountedRecipe, ...]:
    """Count recipes, one of those that round to the same size or width."""
    found: dict[tuple[object, ...], CountedRecipe] = {}
    for recipe in recipes:
        counted = _counted(knobs, recipe)
        cost = counted.cost
        if cost is not None and (cost.inputs, cost.params) != (knobs.inputs, knobs.cost.params):
            found.setdefault((cost.inputs, cost.params), counted)
    return tuple(found.values())


def _own(
    knobs: Knobs, options: StageOptions, base: StageRecipe, stage: int
) -> tuple[tuple[CountedRecipe, CountedRecipe], ...]:
    """Count one stage at every width, with its least and its most blocks: between is a line."""
    ends = options.depths[stage][0], options.depths[stage][-1]
    found = []
    for width in options.widths[stage]:
        widths = _with(base.widths, stage, width)
        few, many = (
            _counted(knobs, replace(base, widths=widths, depths=_with(base.depths, stage, blocks)))
            for blocks in ends
        )
        found.append((few, many))
    return tuple(found)


def _pair(knobs: Knobs, options: StageOptions, base: StageRecipe, stage: int) -> CountedRecipe:
    """Count two neighbours at the widths furthest from the base's."""
    widths = base.widths
    for i in (stage, stage + 1):
        widths = _with(widths, i, furthest(options.widths[i]))
    return _counted(knobs, replace(base, widths=widths))


def furthest(factors: Sequence[float]) -> float:
    """Return the factor furthest from one."""
    return max(factors, key=lambda factor: abs(factor - 1.0))


def _with(values: tuple, stage: int, value: float) -> tuple:  # type: ignore[type-arg]
    return (*values[:stage], value, *values[stage + 1 :])


def _counted(knobs: Knobs, recipe: StageRecipe) -> CountedRecipe:
    return CountedRecipe(recipe=recipe, cost=count_stages(knobs, recipe))


def resolve_recipes(request: StageRecipesRequest) -> StageRecipesReply:
    """Resolve recipes of stages."""
    knobs, skipped = knobs_of(request), list[str]()
    found: list[Variant | None] = []
    for recipe in request.recipes:
        try:
            found.append(resolve_stages(knobs, recipe, request.shares))
        except RecipeError as error:
            found.append(None)
            skipped.append(str(error))
    return StageRecipesReply(variants=tuple(found), skipped=tuple(skipped))
