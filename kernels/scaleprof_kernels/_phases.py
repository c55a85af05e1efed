r"""Input gradients at a stride, as convolutions at stride one: one per remainder of row and column.

With stride `S`, row `h = S h' + \rho` of the input meets only the taps `i` with `i \equiv h + P`
modulo `S`, and these it meets one after the other. With `\varphi = (\rho + P) \bmod S` and
`e = (\rho + P - \varphi) / S`,

.. math::
    \mathrm{d}x[S h' + \rho] = \sum_m w[\varphi + S m] \; \mathrm{d}y[h' + e - m],

a convolution of the output gradient with every `S`-th tap. No product with an inserted zero is
computed, and each result is written where it belongs.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

from ._problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One of the convolutions.

    Attributes:
        problem: At stride one; its filters are turned by half a turn.
        rows: Which rows of the input it gives.
        columns: Which columns.
        taps_h: Which rows of the filter it takes.
        taps_w: Which columns.
    """

    problem: Problem
    rows: slice
    columns: slice
    taps_h: slice
    taps_w: slice


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """The same along one axis."""

    taps: int
    padding: tuple[int, int]
    inputs: slice
    filters: slice


@lru_cache(maxsize=1024)
def phases_of(problem: Problem) -> tuple[Phase, ...] | None:
    """Return the convolutions that give input gradients, or None where taps lie apart.

    Also None where some inputs meet no tap at all, since the filter is shorter than the stride.
    """
    if problem.dilation != (1, 1) or any(
        taps < stride for taps, stride in zip(problem.kernel, problem.stride, strict=True)
    ):
        return None
    return tuple(
        _phase(problem, rows, columns)
        for rows in _along(problem, 0)
        for columns in _along(problem, 1)
    )


def _along(problem: Problem, axis: int) -> list[_Axis]:
    stride, length = problem.stride[axis], problem.size[axis]
    outputs, before = problem.out_size[axis], problem.padding[2 * axis]
    found = []
    for remainder in range(min(stride, length)):
        first = (remainder + before) % stride
        ahead = (remainder + before - first) // stride
        taps = len(range(first, problem.kernel[axis], stride))
        inputs = len(range(remainder, length, stride))
        found.append(
            _Axis(
                taps=taps,
                padding=(taps - 1 - ahead, inputs - outputs + ahead),
                inputs=slice(remainder, None, stride),
                filters=slice(first, None, stride),
            )
        )
    return found


def _phase(problem: Problem, rows: _Axis, columns: _Axis) -> Phase:
    return Phase(
        problem=replace(
            problem,
            size=problem.out_size,
            kernel=(rows.taps, columns.taps),
            stride=(1, 1),
            padding=(*rows.padding, *columns.padding),
        ),
        rows=rows.inputs,
        columns=columns.inputs,
        taps_h=rows.filters,
        taps_w=columns.filters,
    )
