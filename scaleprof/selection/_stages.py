r"""The best recipes of a space too large to enumerate: a width and a depth for every stage.

What a recipe needs is taken as a sum over stages and over pairs of neighbours, because a stage
reads what the one before it writes:

.. math:: q(x) = q_0 + \sum_i a_i(w_i, d_i) + \sum_i p_i(w_i, w_{i+1}).

Its worth is the logarithm of its compute, less what its stages' shapes lose and less what growing
unevenly loses, :math:`\kappa \min_G \sum_i s_i \max(G - g_i, e_i - G, 0)` with growths g, what
counts as growing more than others e (the same, but where it is excused) and shares s of compute.

That is a mixed-integer linear program but for the logarithm, which is concave: tangents bound it
from above, and one is added at each solution until the bound is met. HiGHS solves the programs
(Huangfu & Hall 2018, https://doi.org/10.1007/s12532-017-0130-5), through scipy.

numpy and scipy are imported where they are needed: choosing from a report takes neither.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]

COMPUTE = "macs"
"""Name of the quantity whose logarithm is a recipe's worth."""

# a recipe is the best one to within so much of ln compute: 0.0001 points of top-1, or less
EXACT = 1e-5
# tangents of the logarithm to start with, so far apart in it: between two it is 0.005 off at most
_TANGENTS_APART = 0.2
# bounds hold to within this share; the solver's own tolerance is 1e-6
_SLACK = 2e-6
_MAX_ROUNDS = 30
# one program takes a fraction of a second for 4 stages of 16 options; more stages take longer
_SOLVE_S = 10.0
_OUT_OF_TIME = 1

Choice = tuple[tuple[int, int], ...]
"""Width and depth of each stage, as indices of its options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpace:
    """Options of every stage, what they cost, and what their shape loses.

    Attributes:
        base: Quantities of the base, by name; `COMPUTE` is one.
        own: By quantity and stage, the change when that stage alone takes an option,
            [widths, depths].
        pairs: By quantity, for each stage but the last, what changes besides when it and the next
            one both do, [widths, widths of the next].
        losses: By stage, ln compute that the shape of an option loses, [widths, depths].
        growth: By stage, ln of the factor of an option's compute, [widths, depths].
        excess: By stage, as much of it as counts for growing more than others, [widths, depths].
        shares: Share of each stage in the base's compute.
        uneven_loss: ln compute lost per mean deviation of growths from their median.
        reach: The most-grown stage grows by at most this factor more than the least-grown one.
        allowed: By stage, options that may be taken, [widths, depths].
        allowed_pairs: For each stage but the last, widths that may stand next to each other.
    """

    base: Mapping[str, float]
    own: Mapping[str, Sequence["Array"]]
    pairs: Mapping[str, Sequence["Array"]]
    losses: Sequence["Array"]
    growth: Sequence["Array"]
    excess: Sequence["Array"]
    shares: Sequence[float]
    uneven_loss: float
    reach: float
    allowed: Sequence["Array"]
    allowed_pairs: Sequence["Array"]

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self.losses)

    @property
    def size(self) -> int:
        """Number of recipes, allowed or not."""
        return math.prod(table.size for table in self.losses)

    def value(self, quantity: str, choice: Choice) -> float:
        """Return a quantity of a recipe."""
        own = sum(float(table[o]) for table, o in zip(self.own[quantity], choice, strict=True))
        steps = zip(self.pairs[quantity], choice, choice[1:], strict=False)
        return self.base[quantity] + own + sum(float(t[a[0], b[0]]) for t, a, b in steps)

    def worth(self, choice: Choice) -> float:
        """Return ln of the compute that counts, over that of the base."""
        # late: it costs numpy, which a check does without
        from ..prediction import unevenness

        compute = self.value(COMPUTE, choice) / self.base[COMPUTE]
        lost = sum(float(table[o]) for table, o in zip(self.losses, choice, strict=True))
        growth, excess = (
            [float(table[o]) for table, o in zip(tables, choice, strict=True)]
            for tables in (self.growth, self.excess)
        )
        uneven = unevenness(growth, excess, self.shares)
        return math.log(compute) - lost - self.uneven_loss * uneven

    def holds(self, choice: Choice, limits: Mapping[str, float]) -> bool:
        """Tell whether a recipe is allowed and within limits."""
        growth = [float(table[o]) for table, o in zip(self.growth, choice, strict=True)]
        steps = zip(self.allowed_pairs, choice, choice[1:], strict=False)
        return (
            all(table[o] for table, o in zip(self.allowed, choice, strict=True))
            and all(table[a[0], b[0]] for table, a, b in steps)
            and max(growth) - min(growth) <= math.log(self.reach) + _SLACK
            and all(self.value(n, choice) <= most * (1 + _SLACK) for n, most in limits.items())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSolution:
    """One recipe of a space.

    Attributes:
        choice: Its options.
        worth: ln of the compute that counts, over that of the base.
        proved: Whether nothing better is left; false if the solver ran out of time.
    """

    choice: Choice
    worth: float
    proved: bool = True


def solve_stages(
    space: StageSpace, limits: Mapping[str, float], *, count: int = 1, apart: int = 1
) -> list[StageSolution]:
    """Return the recipes of the highest worth within limits, the best first.

    Args:
        space: The space.
        limits: Upper bounds, by quantity.
        count: How many; each is the best that differs from those before it.
        apart: In so many stages at least.

    Returns:
        At most so many; none if nothing is within the limits.
    """
    return list(itertools.islice(stage_solutions(space, limits, apart=apart), count))


def stage_solutions(
    space: StageSpace, limits: Mapping[str, float], *, apart: int = 1
) -> Iterator[StageSolution]:
    """Iterate over what `solve_stages` returns, each solved when it is asked for."""
    program = _Program(space, limits)
    while (found := program.solve()) is not None:
        yield found
        program.leave_out(found.choice, apart)


class _Program:
    """The linear program of a space; rows are added to it between two solutions.

    Variables: one binary for every option of a stage, one for every pair of widths next to each
    other, the deviation of each stage's growth, then ln compute, the growth in the middle, the
    least and the largest growth.
    """

    def __init__(self, space: StageSpace, limits: Mapping[str, float]) -> None:
        self._space = space
        sizes = [table.size for table in space.losses]
        self._options = _offsets(sizes, 0)
        self._pairs = _offsets([t.size for t in space.allowed_pairs], sum(sizes))
        free = sum(sizes) + sum(t.size for t in space.allowed_pairs)
        self._deviations = range(free, free + space.stages)
        self._worth, self._middle, self._least, self._most = range(
            free + space.stages, free + space.stages + 4
        )
        self._width = free + space.stages + 4
        self._proved = True
        self._rows: list[tuple[Array, float, float]] = [
            *self._one_option_each(),
            *self._pairs_agree(),
            *self._growths(),
            *self._limits(limits),
        ]
        largest = sum(float(table.max()) for table in space.own[COMPUTE])
        top = math.log(max(1 + 2 * max(largest, 0.0) / space.base[COMPUTE], 2.0))
        steps = math.ceil(2 * top / _TANGENTS_APART)
        for step in range(steps + 1):
            self._add_tangent(math.exp(-top + step * 2 * top / steps))

    def _zeros(self) -> "Array":
        import numpy as np

        return np.zeros(self._width)

    def _quantity(self, name: str) -> "Array":
        """Coefficients of a quantity's growth over the base, as a share of the base."""
        space, row = self._space, self._zeros()
        for start, table in zip(self._options, space.own[name], strict=True):
            row[start : start + table.size] = table.ravel()
        for start, table in zip(self._pairs, space.pairs[name], strict=True):
            row[start : start + table.size] = table.ravel()
        return row / space.base[name]

    def _one_option_each(self) -> Iterator[tuple["Array", float, float]]:
        for start, table in zip(self._options, self._space.losses, strict=True):
            row = self._zeros()
            row[start : start + table.size] = 1.0
            yield row, 1.0, 1.0

    def _pairs_agree(self) -> Iterator[tuple["Array", float, float]]:
        """The pair of two widths is taken if and only if both are."""
        for stage, table in enumerate(self._space.allowed_pairs):
            for side in (0, 1):
                for width in range(table.shape[side]):
                    row = self._zeros()
                    pairs = row[self._pairs[stage] :][: table.size].reshape(table.shape)
                    pairs[(width, slice(None)) if side == 0 else (slice(None), width)] = 1.0
                    own = self._space.losses[stage + side].shape
                    at = self._options[stage + side]
                    row[at : at + math.prod(own)].reshape(own)[width] = -1.0
                    yield row, 0.0, 0.0

    def _growths(self) -> Iterator[tuple["Array", float, float]]:
        """Rows for the deviation of each stage's growth, and for the least and the most."""
        for stage, tables in enumerate(zip(self._space.growth, self._space.excess, strict=True)):
            growth, excess = (self._at(stage, table) for table in tables)
            deviation, middle, least, most = (
                self._unit(i)
                for i in (self._deviations[stage], self._middle, self._least, self._most)
            )
            yield middle - growth - deviation, -math.inf, 0.0
            yield excess - middle - deviation, -math.inf, 0.0
            yield least - growth, -math.inf, 0.0
            yield growth - most, -math.inf, 0.0
        spread = self._unit(self._most) - self._unit(self._least)
        yield spread, -math.inf, math.log(self._space.reach)

    def _at(self, stage: int, table: "Array") -> "Array":
        """Coefficients of what the option of a stage has."""
        row, at = self._zeros(), self._options[stage]
        row[at : at + table.size] = table.ravel()
        return row

    def _unit(self, variable: int) -> "Array":
        row = self._zeros()
        row[variable] = 1.0
        return row

    def _limits(self, limits: Mapping[str, float]) -> Iterator[tuple["Array", float, float]]:
        for name, most in limits.items():
            # in units of the limit, as tolerances are absolute
            scale = self._space.base[name] / most
            yield self._quantity(name) * scale, -math.inf, 1.0 - scale

    def _add_tangent(self, compute: float) -> None:
        """Bound ln compute by its tangent at a factor of the base's compute."""
        row = -self._quantity(COMPUTE) / compute
        row[self._worth] = 1.0
        self._rows.append((row, -math.inf, math.log(compute) + 1.0 / compute - 1.0))

    def leave_out(self, choice: Choice, apart: int) -> None:
        """Forbid recipes that differ from one in too few stages."""
        row = self._zeros()
        row[self._columns(choice)] = 1.0
        self._rows.append((row, -math.inf, float(self._space.stages - apart)))

    def _columns(self, choice: Choice) -> list[int]:
        tables = zip(self._options, self._space.losses, choice, strict=True)
        return [start + w * table.shape[1] + d for start, table, (w, d) in tables]

    def solve(self) -> StageSolution | None:
        """Return the best recipe, its logarithm met to within `EXACT`; None if there is none."""
        self._proved = True
        for _ in range(_MAX_ROUNDS):
            values = self._solve_once()
            if values is None:
                return None
            choice = self._choice(values)
            compute = self._space.value(COMPUTE, choice) / self._space.base[COMPUTE]
            if values[self._worth] - math.log(compute) < EXACT or not self._proved:
                break
            self._add_tangent(compute)
        return StageSolution(choice=choice, worth=self._space.worth(choice), proved=self._proved)

    def _solve_once(self) -> "Array | None":
        import numpy as np
        from scipy.optimize import Bounds, LinearConstraint, milp

        matrix = np.array([row for row, _, _ in self._rows])
        low, high = (np.array([row[i] for row in self._rows]) for i in (1, 2))
        lowest, highest, whole = self._bounds()
        solved = milp(
            self._objective(),
            integrality=whole,
            bounds=Bounds(lowest, highest),
            constraints=LinearConstraint(matrix, low, high),
            options={"mip_rel_gap": 0.0, "time_limit": _SOLVE_S},
        )
        self._proved = self._proved and solved.status != _OUT_OF_TIME
        return None if solved.x is None else np.asarray(solved.x)

    def _objective(self) -> "Array":
        row = self._zeros()
        for start, table in zip(self._options, self._space.losses, strict=True):
            row[start : start + table.size] = table.ravel()
        row[list(self._deviations)] = [self._space.uneven_loss * s for s in self._space.shares]
        row[self._worth] = -1.0
        return row

    def _bounds(self) -> tuple["Array", "Array", "Array"]:
        import numpy as np

        lowest, highest, whole = self._zeros(), np.full(self._width, np.inf), self._zeros()
        lowest[self._worth :] = -np.inf
        for starts, tables in (
            (self._options, self._space.allowed),
            (self._pairs, self._space.allowed_pairs),
        ):
            for start, table in zip(starts, tables, strict=True):
                highest[start : start + table.size] = table.ravel()
        # pairs of whole options are whole by themselves
        whole[: self._deviations.start] = 1.0
        whole[sum(t.size for t in self._space.losses) : self._deviations.start] = 0.0
        return lowest, highest, whole

    def _choice(self, values: "Array") -> Choice:
        import numpy as np

        chosen = []
        for start, table in zip(self._options, self._space.losses, strict=True):
            at = int(values[start : start + table.size].argmax())
            width, depth = np.unravel_index(at, table.shape)
            chosen.append((int(width), int(depth)))
        return tuple(chosen)


def _offsets(sizes: Sequence[int], start: int) -> list[int]:
    return [start + sum(sizes[:i]) for i in range(len(sizes))]
