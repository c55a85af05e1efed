r"""The tail of LS convolution in inference: group norm, aggregation, batch norm, residual in one.

.. math::
    y = s \cdot \mathrm{SKA}(x, \mathrm{GN}(W)) + o + x

The weights of a position are read once and stay in registers, so that the statistics of the group
norm are at hand and normalised weights never see memory: `W`, `x` and `y` are moved once. Unfused,
`W` is moved three times and images of the size of `x` seven times.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._launch import Launch
from ._ls_problem import Tail
from ._ls_rows import WARP, aggregate_rows, normalised, positions, row_at, rows_of
from ._window import blocks

# one lane per thread
_WARPS = 4
# warps of the largest program, whose threads have 128 registers
_MOST_WARPS = 16
_SIDE = 3


@triton.jit
def _ls_tail_kernel(
    w_ptr, gamma_ptr, beta_ptr, x_ptr, gain_ptr, offset_ptr, mean_ptr, variance_ptr, y_ptr,
    weight_channels, filter_blocks,
    EPSILON: tl.constexpr, BATCH_EPSILON: tl.constexpr, CHANNELS: tl.constexpr,
    ROWS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
    FILTERS: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    n = (tl.program_id(0) // filter_blocks).to(tl.int64)
    own = tl.program_id(0) % filter_blocks * FILTERS + tl.arange(0, FILTERS)
    taken, top, col = positions(LANES, ROWS, HEIGHT, WIDTH)
    inside = taken[None, :] & (own < weight_channels)[:, None]
    # filters to spare do again what the last one does, and store nothing
    g = tl.minimum(own, weight_channels - 1)
    base = w_ptr + n * weight_channels * (9 * HEIGHT * WIDTH)
    base += (g * (9 * HEIGHT * WIDTH))[:, None]
    raw = ()
    for j in tl.static_range(9):
        for r in tl.static_range(ROWS):
            place = base + (row_at(top, r, ROWS, HEIGHT) * WIDTH + col)[None, :]
            raw = raw + (tl.load(place + j * (HEIGHT * WIDTH)).to(tl.float32),)
    weights = normalised(
        raw, w_ptr, gamma_ptr, beta_ptr, g, inside, top, col, EPSILON, ROWS, HEIGHT, WIDTH, False
    )
    aggregate_rows(
        x_ptr, y_ptr, gain_ptr, offset_ptr, mean_ptr, variance_ptr, weights, n, g, inside, top, col,
        weight_channels, BATCH_EPSILON, CHANNELS, ROWS, HEIGHT, WIDTH,
    )  # fmt: skip


def can_fuse(problem: Tail) -> bool:
    """Return whether the kernel is right for a problem, and its weights fit into registers."""
    fits = rows_of(problem).lanes <= _MOST_WARPS * WARP
    return problem.kernel_size == _SIDE and problem.dtype != torch.float64 and fits


def plan_tail(problem: Tail) -> Launch:
    """Return the launch of the kernel."""
    rows = rows_of(problem)
    filters = max(_WARPS * WARP // rows.lanes, 1)
    filter_blocks = blocks(problem.weight_channels, filters)
    norms = ("gamma_ptr", "beta_ptr", "gain_ptr", "offset_ptr", "mean_ptr", "variance_ptr")
    return Launch(
        kernel=_ls_tail_kernel,
        grid=problem.batch * filter_blocks,
        pointers=dict.fromkeys(("w_ptr", "x_ptr", "y_ptr", *norms), problem.dtype),
        integers={"weight_channels": problem.weight_channels, "filter_blocks": filter_blocks},
        constants=constants_of(problem, filters),
        num_warps=filters * rows.lanes // WARP,
        num_stages=1,
    )


def constants_of(problem: Tail, filters: int) -> dict[str, int | float]:
    """Return what is fixed when a tail is compiled.

    Args:
        problem: What the tail computes on.
        filters: Filters of a program.
    """
    rows = rows_of(problem)
    return {
        "EPSILON": problem.epsilon,
        "BATCH_EPSILON": problem.batch_epsilon,
        "CHANNELS": problem.groups,
        "ROWS": rows.rows,
        "HEIGHT": problem.size[0],
        "WIDTH": problem.size[1],
        "FILTERS": filters,
        "LANES": rows.lanes,
    }


def fused_tail(
    problem: Tail, x: Tensor, weight: Tensor, group_norm: list[Tensor], batch_norm: list[Tensor]
) -> Tensor:
    """Run the kernel; tensors may lie on a CPU when interpreted."""
    y = torch.empty_like(x)
    gamma, beta = (vector.contiguous() for vector in group_norm)
    gain, offset, mean, variance = (vector.contiguous() for vector in batch_norm)
    plan_tail(problem).run(
        w_ptr=weight, gamma_ptr=gamma, beta_ptr=beta, x_ptr=x, gain_ptr=gain, offset_ptr=offset,
        mean_ptr=mean, variance_ptr=variance, y_ptr=y,
    )  # fmt: skip
    return y
