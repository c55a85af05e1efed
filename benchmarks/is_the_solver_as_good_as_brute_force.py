"""Is the solver of stages as good as building and counting every recipe?

    python benchmarks/is_the_solver_as_good_as_brute_force.py [MODEL]

A space small enough to try everything: three widths and two depths for each stage of a model, at
one resolution. Brute force builds and counts every recipe, and takes the one of the highest
predicted accuracy within a budget of MACs, of parameters, or of both. The solver sees each option
of each stage counted once, and its best three recipes are built and counted; the best of these
within the budget is its choice. Printed are both choices, the gap in points of predicted top-1, and
how many models were built; the gap and the number of builds are asserted.

Counts only, so that nothing depends on a machine's speed; predicted accuracy is a law's, which the
solver approaches with the law's expected coefficients.
"""

import itertools
import sys
from dataclasses import dataclass

from scaleprof.jobs import KnobsReply, KnobsRequest, StageRecipesRequest, StagesRequest
from scaleprof.jobs._scale import probe
from scaleprof.jobs._spaces import count_options, resolve_recipes
from scaleprof.models import parse_reference
from scaleprof.profiler._accuracy import describe_base, with_accuracy
from scaleprof.profiler._options import Options
from scaleprof.profiler._own_runs import is_transformer
from scaleprof.profiler._stage_space import CountedStages, amounts_of, best_recipes
from scaleprof.records import Variant
from scaleprof.scaling import StageRecipe
from scaleprof.selection import COMPUTE

MODEL = "timm:convnext_atto"
WIDTHS, DEPTHS = (1.2, 1.4), (1.5,)
BUDGETS = ({COMPUTE: 1.5}, {COMPUTE: 2.0}, {"params": 1.5}, {COMPUTE: 1.8, "params": 1.4})
BUILT = 3
# a tenth of what two trainings of one model differ by
MOST_GAP = 0.03
# of the recipes of the space
MOST_BUILDS = 0.04


@dataclass(frozen=True)
class Space:
    """A model's stages, with all that the solver knows of them."""

    model: str
    knobs: KnobsReply
    counted: CountedStages
    builds: int

    def resolve(self, recipes: list[StageRecipe]) -> list[Variant]:
        """Build and count recipes, and predict their accuracy."""
        request = StageRecipesRequest(
            model=self.model,
            knobs=self.knobs,
            recipes=tuple(recipes),
            shares=self.counted.shares,
        )
        built = [variant for variant in resolve_recipes(request).variants if variant is not None]
        options = Options()
        known = describe_base(self.model, self.knobs.base, options)
        return with_accuracy([self.knobs.base, *built], known, options)[1:]

    def best(self, variants: list[Variant], limits: dict[str, float]) -> Variant:
        """Return the variant of the highest predicted accuracy within limits."""

        def holds(variant: Variant) -> bool:
            amounts = amounts_of(variant.cost, 1.0)
            return all(amounts[name] <= most for name, most in limits.items())

        known = [v for v in variants if holds(v) and v.accuracy and v.accuracy.mean is not None]
        return max(known, key=top1)


def top1(variant: Variant) -> float:
    assert variant.accuracy is not None
    assert variant.accuracy.mean is not None
    return variant.accuracy.mean


def count(model: str) -> Space:
    knobs = probe(KnobsRequest(reference=parse_reference(model)))
    request = StagesRequest(model=model, knobs=knobs, widths=WIDTHS, depths=DEPTHS, resolutions=())
    reply = count_options(request)
    rows = [end for stage in reply.own for pair in stage for end in pair]
    costs = {row.recipe: row.cost for row in (*rows, *reply.pairs) if row.cost is not None}
    counted = CountedStages(
        reply=reply,
        base=amounts_of(knobs.base.cost, 1.0),
        amounts={recipe: amounts_of(cost, 1.0) for recipe, cost in costs.items()},
        transformer=is_transformer(knobs.base),
    )
    return Space(model=model, knobs=knobs, counted=counted, builds=len(costs))


def every_recipe(space: Space) -> list[StageRecipe]:
    options = space.counted.reply.options
    widths, depths = itertools.product(*options.widths), itertools.product(*options.depths)
    return [StageRecipe(widths=w, depths=d) for w, d in itertools.product(widths, depths)]


def main() -> None:
    space = count(sys.argv[1] if len(sys.argv) > 1 else MODEL)
    everything = space.resolve(every_recipe(space))
    print(f"{space.model}: {len(everything)} recipes; the solver counts {space.builds} builds")
    for growth in BUDGETS:
        limits = {name: space.counted.base[name] * factor for name, factor in growth.items()}
        wanted = space.best(everything, limits)
        solved = list(itertools.islice(best_recipes(space.counted, limits, {}), BUILT))
        got = space.best(space.resolve([each.recipe for each in solved]), limits)
        gap, builds = top1(wanted) - top1(got), space.builds + len(solved)
        text = " and ".join(f"{name} <= {factor:g}x" for name, factor in growth.items())
        print(f"{text}\n  brute force {top1(wanted):.2f} %  {wanted.recipe.call}")
        print(f"  solver      {top1(got):.2f} %  {got.recipe.call}")
        print(f"  gap {gap:.3f} points with {builds} builds instead of {len(everything)}")
        assert gap <= MOST_GAP
        assert builds <= MOST_BUILDS * len(everything)


if __name__ == "__main__":
    main()
