"""Scale the stages of a model one by one, where its constructor takes a list with one entry each.

Every option of a stage is built and counted once, the other stages left as they are, and so is one
wider pair of neighbours. `scaleprof.selection` puts recipes together from that; those it likes are
then built and counted whole.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ..errors import RecipeError
from ..records import Cost, StageFactors, Variant
from ..scaling import StageOptions, StageRecipe
from ._attempt import Attempt, Rest, achieved_width, attempt_rest, attempt_width
from ._groups import Group, Number
from ._knobs import Knobs
from ._layers import BLOCKS
from ._numbers import mean_ratio, scale_widths
from ._resolve import variant_of
from ._values import InputValues, input_values
from ._ways import WIDTH_STEPS, Values, is_channels, ways_to_round

STAGES = "stages"
"""The strategy of recipes whose stages are scaled one by one."""


def stage_options(
    knobs: Knobs, *, widths: Sequence[float], depths: Sequence[float]
) -> StageOptions:
    """Return what each stage of a model can be.

    Args:
        knobs: The model's knobs.
        widths: Factors of channels to offer; those that round to the same become one.
        depths: Factors of blocks to offer.

    Raises:
        RecipeError: If no argument lists the blocks of its stages.
    """
    blocks = _depth_group(knobs)
    base = tuple(int(value) for value in blocks.values)
    per_stage = [_distinct_widths(knobs, stage, (1.0, *widths)) for stage in range(len(base))]
    return StageOptions(
        widths=tuple(tuple(nominal for nominal, _ in found) for found in per_stage),
        achieved=tuple(tuple(achieved for _, achieved in found) for found in per_stage),
        depths=tuple(_distinct_depths(blocks, old, (1.0, *depths)) for old in base),
        base_depths=base,
    )


def has_widths_by_stage(knobs: Knobs) -> bool:
    """Tell whether an argument lists the channels of the stages."""
    return bool(_width_groups(knobs))


def count_stages(knobs: Knobs, recipe: StageRecipe) -> Cost | None:
    """Count a recipe; None if it does not build or run."""
    found = _attempt(knobs, recipe)
    return None if found is None else found.cost


def resolve_stages(knobs: Knobs, recipe: StageRecipe, shares: Sequence[float]) -> Variant:
    """Resolve a recipe to a variant with its counted cost.

    Args:
        knobs: The model's knobs.
        recipe: The recipe.
        shares: Share of each stage in the base's compute.

    Raises:
        RecipeError: If it does not build or run.
    """
    found = _attempt(knobs, recipe)
    if found is None:
        text = ", ".join(map(str, recipe.depths))
        raise RecipeError(f"a recipe of the stages ({text} blocks) does not build and run")
    base = _depth_group(knobs).values
    widths = [_achieved(knobs, i, factor) for i, factor in enumerate(recipe.widths)]
    if not has_widths_by_stage(knobs):
        widths = [found.achieved["width"]] * len(widths)
    stages = tuple(
        StageFactors(share=share, blocks=int(old), depth=new / old, width=width)
        for share, new, old, width in zip(shares, recipe.depths, base, widths, strict=True)
        if old and new
    )
    nominal = {
        "depth": found.achieved["depth"],
        "width": recipe.width * math.exp(sum(map(math.log, recipe.widths)) / len(recipe.widths)),
        "resolution": recipe.resolution,
    }
    multiplier = found.cost.macs / max(knobs.cost.macs, 1)
    variant = variant_of(knobs, STAGES, multiplier, nominal, found)
    return msgspec.structs.replace(
        variant, recipe=msgspec.structs.replace(variant.recipe, stages=stages)
    )


def _depth_group(knobs: Knobs) -> Group:
    """The group that lists the blocks of the stages."""
    axis, known = knobs.axes["depth"], knobs.groups
    listed = [known[n] for n in axis.arguments if n in known and len(known[n].values) > 1]
    whole = [g for g in listed if all(isinstance(value, int) for value in g.values)]
    if whole:
        return whole[0]
    why = axis.reason if axis.status == "none" else "its depth is one number"
    if BLOCKS in axis.base:
        why = "no argument holds its depth"
    raise RecipeError(
        f"no constructor argument lists the blocks of its stages: {why}",
        hint="leave --space out, or search --space grid",
    )


def _width_groups(knobs: Knobs) -> list[Group]:
    """Groups of the width with one count of channels for every stage."""
    stages = len(_depth_group(knobs).values)
    groups = [knobs.groups[n] for n in knobs.axes["width"].arguments if n in knobs.groups]
    return [g for g in groups if len(g.values) == stages and g.kind == "values" and is_channels(g)]


def _distinct_widths(
    knobs: Knobs, stage: int, factors: Sequence[float]
) -> list[tuple[float, float]]:
    """Factors of a stage's width, before and after rounding, the base's first where they agree."""
    found: dict[float, float] = {}
    for factor in factors if has_widths_by_stage(knobs) else (1.0,):
        found.setdefault(_achieved(knobs, stage, factor), factor)
    return [(found[achieved], achieved) for achieved in sorted(found)]


def _distinct_depths(group: Group, old: int, factors: Sequence[float]) -> tuple[int, ...]:
    # a stage without blocks has none to repeat; the only listed block of one changes sizes
    if old == 0 or (group.kind == "len" and old == 1):
        return (old,)
    return tuple(sorted({max(math.floor(old * factor + 0.5), 1) for factor in factors}))


def _achieved(knobs: Knobs, stage: int, factor: float) -> float:
    groups = _width_groups(knobs)
    new = [_channels(knobs, group.values[stage], factor) for group in groups]
    return mean_ratio(tuple(new), tuple(group.values[stage] for group in groups))


def _channels(knobs: Knobs, value: Number, factor: float) -> Number:
    if factor == 1.0:
        return value
    step = knobs.axes["width"].step or WIDTH_STEPS[0]
    scaled: Number = scale_widths(value, factor, step)
    return scaled


def _attempt(knobs: Knobs, recipe: StageRecipe) -> Attempt | None:
    blocks = _depth_group(knobs)
    image = next(iter(input_values(knobs, recipe.resolution)), None)
    if image is None:
        return None
    widths = {
        group.name: [
            _channels(knobs, value, factor)
            for value, factor in zip(group.values, recipe.widths, strict=True)
        ]
        for group in _width_groups(knobs)
    }
    rest = _rest(blocks, recipe, image)
    if recipe.width == 1.0:
        width = achieved_width(knobs, widths) if widths else 1.0
        return attempt_rest(knobs, rest, widths, width=width)
    return next(filter(None, (attempt_width(knobs, rest, w) for w in _whole(knobs, recipe))), None)


def _whole(knobs: Knobs, recipe: StageRecipe) -> Iterator[Values]:
    """Ways to scale all channels by one factor, where stages have none of their own."""
    return (widths for way in ways_to_round(knobs) if (widths := way(recipe.width)))


def _rest(blocks: Group, recipe: StageRecipe, image: InputValues) -> Rest:
    same = list(recipe.depths) == list(blocks.values)
    new: Mapping[str, Sequence[Number]] = {} if same else {blocks.name: recipe.depths}
    return Rest(
        new={**image.new, **new},
        inputs=image.inputs,
        depth=sum(recipe.depths) / sum(blocks.values),
        resolution=image.factor,
    )
