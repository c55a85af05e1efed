"""The solver of stages, held against trying every recipe."""

import itertools
import math

import numpy as np
import pytest

from scaleprof.selection import StageSpace, solve_stages, stage_solutions

LIMITS = {"latency": 0.017, "params": 9e6}


def random_space(seed, *, stages=3, widths=3, depths=3):
    rng = np.random.default_rng(seed)
    base = {"macs": 1e9, "latency": 1e-2, "params": 5e6}

    def tables(low, high, shape, amount=1.0):
        return [amount * rng.uniform(low, high, shape) for _ in range(stages)]

    growth = tables(-0.5, 1.2, (widths, depths))
    return StageSpace(
        base=base,
        own={name: tables(-0.1, 0.6, (widths, depths), amount) for name, amount in base.items()},
        pairs={
            name: tables(-0.02, 0.06, (widths, widths), amount)[1:] for name, amount in base.items()
        },
        losses=tables(0.0, 0.1, (widths, depths)),
        growth=growth,
        # one stage is excused for what it grows
        excess=[np.minimum(growth[0], 0.1), *growth[1:]],
        shares=rng.dirichlet(np.ones(stages)).tolist(),
        uneven_loss=0.5,
        reach=3.0,
        allowed=[rng.random((widths, depths)) < 0.9 for _ in range(stages)],
        allowed_pairs=[rng.random((widths, widths)) < 0.85 for _ in range(stages - 1)],
    )


def every_recipe(space):
    return itertools.product(*(list(np.ndindex(table.shape)) for table in space.losses))


def by_brute_force(space, limits, *, count, apart):
    held = [choice for choice in every_recipe(space) if space.holds(choice, limits)]
    best = []
    for choice in sorted(held, key=space.worth, reverse=True):
        if all(sum(a != b for a, b in zip(choice, o, strict=True)) >= apart for o in best):
            best.append(choice)
    return best[:count]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("apart", [1, 2])
def test_recipes_are_those_of_brute_force_in_its_order(seed, apart):
    space = random_space(seed)
    found = solve_stages(space, LIMITS, count=4, apart=apart)
    wanted = by_brute_force(space, LIMITS, count=4, apart=apart)
    assert [recipe.choice for recipe in found] == wanted
    assert [recipe.worth for recipe in found] == [space.worth(choice) for choice in wanted]
    assert all(recipe.proved for recipe in found)


def test_spaces_of_the_tests_have_recipes_inside_and_outside_the_limits():
    inside = [
        sum(space.holds(choice, LIMITS) for choice in every_recipe(space))
        for space in map(random_space, range(8))
    ]
    assert max(inside) > 20
    assert all(number < 3**6 for number in inside)


def test_nothing_within_the_limits_gives_no_recipe():
    assert solve_stages(random_space(0), {"latency": 1e-9}, count=3) == []


def test_more_recipes_are_solved_only_when_asked_for():
    space = random_space(1)
    found = stage_solutions(space, LIMITS)
    first, second = next(found), next(found)
    assert first.worth >= second.worth
    assert first.choice != second.choice


def test_a_space_too_large_to_enumerate_is_solved():
    space = random_space(3, stages=8, widths=3, depths=3)
    assert space.size == 9**8
    (best,) = solve_stages(space, {"latency": 0.02})
    assert space.holds(best.choice, {"latency": 0.02})
    # nor does changing any one stage make it better
    for stage, table in enumerate(space.losses):
        for option in np.ndindex(table.shape):
            other = (*best.choice[:stage], option, *best.choice[stage + 1 :])
            if space.holds(other, {"latency": 0.02}):
                assert space.worth(other) <= best.worth + 1e-5


def test_the_reach_forbids_one_stage_from_running_away():
    space = random_space(2)
    for recipe in solve_stages(space, LIMITS, count=5):
        growth = [table[option] for table, option in zip(space.growth, recipe.choice, strict=True)]
        assert max(growth) - min(growth) <= math.log(space.reach) + 1e-5
