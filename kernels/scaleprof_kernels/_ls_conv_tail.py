r"""The tail of LS convolution from before the 1×1 convolution that makes the filters: all in one.

.. math::
    y = s \cdot \mathrm{SKA}(x, \mathrm{GN}(F t + b)) + o + x

`F t` is a product on tensor cores. A product has the rows of `TAPS` taps of `FILTERS` filters, 16
together, and a column for each position of the map; its sums stay in registers. They are then dealt
out to the lanes of the other tail, a column of rows of one filter each, by splitting halves off:
the compiler makes one exchange through shared memory of it, and no instruction of the rest. Filters
never see memory: `t`, half the size of `x`, `x` and `y` are moved once, and `F` is read from cache
by every program.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._launch import Launch, capability_of
from ._ls_problem import Tail
from ._ls_rows import WARP, aggregate_rows, normalised, positions, rows_of
from ._ls_tail import constants_of
from ._window import blocks

# rows of the smallest product of tensor cores: taps times filters
_PRODUCT_ROWS = 16
_SIDE = 3
# with fewer filters a program, too many programs read the same `t`
_FEWEST_FILTERS = 8
# lanes up to which a program has a filter for each row of a product
_FEW_LANES = 8
# with more, one program fills a multiprocessor, and nothing overlaps
_MOST_WARPS = 8
# steps through the channels of `t` are unrolled
_DEEPEST = 256
# registers of a thread, so that two of the largest programs fit on a multiprocessor, and the first
# generation of GPUs for which nothing spills then
_REGISTERS, _FROM = 128, 90
# channels of `t` in a step: 16 or 32 numbers that a thread reads at once
_DEPTH, _FEW_LANES_DEPTH = 16, 64


@triton.jit
def _dealt(sums, TAPS: tl.constexpr, FILTERS: tl.constexpr, LANES: tl.constexpr):
    """Return the rows of each tap, tap by tap: from [taps · filters, rows · lanes], one by one."""
    apart = tl.permute(tl.reshape(sums, (TAPS, FILTERS, 8, LANES)), (1, 3, 0, 2))
    parts = (tl.reshape(apart, (FILTERS, LANES, TAPS * 8)),)
    # eight rows are three halvings, and two taps one more
    for level in tl.static_range(2 + TAPS):
        evens, odds = (), ()
        for p in tl.static_range(2**level):
            halves = tl.reshape(parts[p], (FILTERS, LANES, TAPS * 4 // 2**level, 2))
            even, odd = tl.split(halves)
            evens = evens + (even,)
            odds = odds + (odd,)
        parts = evens + odds
    return parts


@triton.jit
def _filters(
    t_ptr, f_ptr, n, first, weight_channels, inner,
    ROWS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, FILTERS: tl.constexpr,
    LANES: tl.constexpr, TAPS: tl.constexpr, DEPTH: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """Return the sums of the 1×1 convolution, [taps · filters, rows · lanes], of all taps."""
    m = tl.arange(0, TAPS * FILTERS)
    filters = tl.minimum(first + m % FILTERS, weight_channels - 1) * 9
    p = tl.arange(0, 8 * LANES)
    last = (HEIGHT + ROWS - 1) // ROWS * WIDTH - 1
    near = tl.minimum(p % LANES, last)
    row = near // WIDTH * ROWS + tl.minimum(p // LANES, ROWS - 1)
    pixel = tl.minimum(row, HEIGHT - 1) * WIDTH + near % WIDTH
    t_base = t_ptr + n * inner * (HEIGHT * WIDTH)
    rows = ()
    sums = ()
    for d in tl.static_range((8 + TAPS) // TAPS):
        # rows to spare are those of the last tap
        rows = rows + (filters + tl.minimum(d * TAPS + m // FILTERS, 8),)
        sums = sums + (tl.zeros((TAPS * FILTERS, 8 * LANES), dtype=tl.float32),)
    for s in tl.static_range(STEPS):
        k = s * DEPTH + tl.arange(0, DEPTH)
        place = k[:, None] * (HEIGHT * WIDTH) + pixel[None, :]
        t = tl.load(t_base + place, mask=(k < inner)[:, None], other=0.0)
        # all are under way before the first is waited for
        factors = ()
        for d in tl.static_range((8 + TAPS) // TAPS):
            place = rows[d][:, None] * inner + k[None, :]
            factors = factors + (tl.load(f_ptr + place, mask=(k < inner)[None, :], other=0.0),)
        updated = ()
        for d in tl.static_range((8 + TAPS) // TAPS):
            updated = updated + (tl.dot(factors[d], t, sums[d]),)
        sums = updated
    return sums


@triton.jit
def _ls_conv_tail_kernel(
    t_ptr, f_ptr, b_ptr, gamma_ptr, beta_ptr, x_ptr, gain_ptr, offset_ptr, mean_ptr, variance_ptr,
    y_ptr, weight_channels, filter_blocks, inner,
    EPSILON: tl.constexpr, BATCH_EPSILON: tl.constexpr, CHANNELS: tl.constexpr,
    ROWS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, FILTERS: tl.constexpr,
    LANES: tl.constexpr, TAPS: tl.constexpr, DEPTH: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    n = (tl.program_id(0) // filter_blocks).to(tl.int64)
    first = tl.program_id(0) % filter_blocks * FILTERS
    own = first + tl.arange(0, FILTERS)
    taken, top, col = positions(LANES, ROWS, HEIGHT, WIDTH)
    inside = taken[None, :] & (own < weight_channels)[:, None]
    # filters to spare do again what the last one does, and store nothing
    g = tl.minimum(own, weight_channels - 1)
    sums = _filters(
        t_ptr, f_ptr, n, first, weight_channels, inner,
        ROWS, HEIGHT, WIDTH, FILTERS, LANES, TAPS, DEPTH, STEPS,
    )  # fmt: skip
    raw = ()
    for d in tl.static_range((8 + TAPS) // TAPS):
        dealt = _dealt(sums[d], TAPS, FILTERS, LANES)
        for tap in tl.static_range(TAPS):
            for r in tl.static_range(ROWS):
                if d * TAPS + tap < 9:
                    raw = raw + (tl.reshape(dealt[tap * 8 + r], (FILTERS, LANES)),)
    weights = normalised(
        raw, b_ptr, gamma_ptr, beta_ptr, g, inside, top, col, EPSILON, ROWS, HEIGHT, WIDTH, True
    )
    aggregate_rows(
        x_ptr, y_ptr, gain_ptr, offset_ptr, mean_ptr, variance_ptr, weights, n, g, inside, top, col,
        weight_channels, BATCH_EPSILON, CHANNELS, ROWS, HEIGHT, WIDTH,
    )  # fmt: skip


def can_fuse_convolution(problem: Tail) -> bool:
    """Return whether the kernel is right for a problem, and its sums fit into registers."""
    half = problem.dtype in {torch.float16, torch.bfloat16}
    fits = _FEWEST_FILTERS * rows_of(problem).lanes <= _MOST_WARPS * WARP
    return half and problem.kernel_size == _SIDE and fits and problem.inner <= _DEEPEST


def plan_conv_tail(problem: Tail, *, capability: int) -> Launch:
    """Return the launch of the kernel.

    Args:
        problem: What the tail computes on.
        capability: The generation of the GPU, such as 90.
    """
    lanes = rows_of(problem).lanes
    few = lanes <= _FEW_LANES
    filters = _PRODUCT_ROWS if few else _FEWEST_FILTERS
    depth = _FEW_LANES_DEPTH if few else _DEPTH
    # rows to spare take registers to tell
    even = problem.size[0] % rows_of(problem).rows == 0
    limited = even and not few and capability >= _FROM
    filter_blocks = blocks(problem.weight_channels, filters)
    names = (
        "t_ptr", "f_ptr", "b_ptr", "gamma_ptr", "beta_ptr", "x_ptr", "gain_ptr", "offset_ptr",
        "mean_ptr", "variance_ptr", "y_ptr",
    )  # fmt: skip
    own = {
        "TAPS": _PRODUCT_ROWS // filters,
        "DEPTH": depth,
        "STEPS": blocks(problem.inner, depth),
    }
    return Launch(
        kernel=_ls_conv_tail_kernel,
        grid=problem.batch * filter_blocks,
        pointers=dict.fromkeys(names, problem.dtype),
        integers={
            "weight_channels": problem.weight_channels,
            "filter_blocks": filter_blocks,
            "inner": problem.inner,
        },
        constants={**constants_of(problem, filters), **own},
        num_warps=filters * lanes // WARP,
        num_stages=1,
        max_registers=_REGISTERS if limited else None,
    )


def fused_conv_tail(
    problem: Tail,
    x: Tensor,
    hidden: Tensor,
    convolution: list[Tensor],
    group_norm: list[Tensor],
    batch_norm: list[Tensor],
) -> Tensor:
    """Run the kernel; tensors may lie on a CPU when interpreted."""
    y = torch.empty_like(x)
    filters, bias = (tensor.contiguous() for tensor in convolution)
    gamma, beta = (vector.contiguous() for vector in group_norm)
    gain, offset, mean, variance = (vector.contiguous() for vector in batch_norm)
    plan_conv_tail(problem, capability=capability_of(x.device)).run(
        t_ptr=hidden, f_ptr=filters, b_ptr=bias, gamma_ptr=gamma, beta_ptr=beta, x_ptr=x,
        gain_ptr=gain, offset_ptr=offset, mean_ptr=mean, variance_ptr=variance, y_ptr=y,
    )  # fmt: skip
    return y
