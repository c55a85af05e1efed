r"""The tail of LS convolution in inference: group norm, aggregation, batch norm, residual in one.

.. math::
    y = s \cdot \mathrm{SKA}(x, \mathrm{GN}(W)) + o + x

A program has an image and a few weight channels with all their positions. The nine weights of a
position are read once and stay in registers, so that the statistics of the group norm are at hand
and normalised weights never see memory: `W`, `x` and `y` are moved once. Unfused, `W` is moved
three times and images of the size of `x` seven times. The 1×1 convolution that makes `W` stays with
torch: in the layout of a product on tensor cores the aggregation takes four times the instructions.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._launch import Launch
from ._ls_problem import Tail
from ._window import blocks, power_of_two

# positions times weight channels of a program; four a thread leave room for nine weights each
_TILE, _PER_THREAD, _WARP = 512, 4, 32
# positions of the largest map that one program can have
_MOST_PIXELS = 4096
_SIDE = 3


@triton.jit
def _normalised(
    w_ptr, gamma_ptr, beta_ptr, g, p, inside, weight_channels, height, width, w_base,
    EPSILON: tl.constexpr,
):  # fmt: skip
    """Return the weights of nine taps after the group norm; zero where a tap is outside."""
    raw = ()
    # taps are added up lane by lane first, so that lanes exchange sums once
    total = tl.zeros(inside.shape, dtype=tl.float32)
    for j in tl.static_range(9):
        place = (g * 9 + j)[:, None] * (height * width) + p[None, :]
        loaded = tl.load(w_ptr + w_base + place, mask=inside, other=0.0).to(tl.float32)
        raw = raw + (loaded,)
        total += loaded
    mean = tl.sum(total, axis=1) / (9 * height * width)
    squares = tl.zeros(inside.shape, dtype=tl.float32)
    for j in tl.static_range(9):
        apart = tl.where(inside, raw[j] - mean[:, None], 0.0)
        squares = tl.fma(apart, apart, squares)
    spread = tl.rsqrt(tl.sum(squares, axis=1) / (9 * height * width) + EPSILON)
    weights = ()
    for j in tl.static_range(9):
        gamma = tl.load(gamma_ptr + g * 9 + j, mask=g < weight_channels, other=0.0).to(tl.float32)
        beta = tl.load(beta_ptr + g * 9 + j, mask=g < weight_channels, other=0.0).to(tl.float32)
        row = p // width + j // 3 - 1
        col = p % width + j % 3 - 1
        seen = (row >= 0) & (row < height) & (col >= 0) & (col < width)
        slope = spread * gamma
        weight = tl.fma(raw[j], slope[:, None], (beta - mean * slope)[:, None])
        weights = weights + (tl.where(seen[None, :] & inside, weight, 0.0),)
    return weights


@triton.jit
def _ls_tail_kernel(
    w_ptr, gamma_ptr, beta_ptr, x_ptr, gain_ptr, offset_ptr, mean_ptr, variance_ptr, y_ptr,
    weight_channels, row_blocks, height, width,
    EPSILON: tl.constexpr, BATCH_EPSILON: tl.constexpr, CHANNELS: tl.constexpr,
    ROWS: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    n = (tl.program_id(0) // row_blocks).to(tl.int64)
    g = tl.program_id(0) % row_blocks * ROWS + tl.arange(0, ROWS)
    p = tl.arange(0, PIXELS)
    inside = (p < height * width)[None, :] & (g < weight_channels)[:, None]
    w_base = n * weight_channels * 9 * height * width
    weights = _normalised(
        w_ptr, gamma_ptr, beta_ptr, g, p, inside, weight_channels, height, width, w_base, EPSILON
    )
    # lanes to spare read what the last ones do
    near = tl.minimum(p, height * width - 1)
    channel = tl.minimum(g, weight_channels - 1)[:, None] * (height * width)
    places = ()
    for j in tl.static_range(9):
        row = tl.minimum(tl.maximum(near // width + j // 3 - 1, 0), height - 1)
        col = tl.minimum(tl.maximum(near % width + j % 3 - 1, 0), width - 1)
        places = places + (channel + (row * width + col)[None, :],)
    base = n * (CHANNELS * weight_channels) * height * width
    for m in tl.static_range(CHANNELS):
        sums = tl.zeros((ROWS, PIXELS), dtype=tl.float32)
        middle = sums
        for j in tl.static_range(9):
            x = tl.load((x_ptr + base) + places[j]).to(tl.float32)
            sums = tl.fma(x, weights[j], sums)
            if j == 4:
                middle = x
        c = g + m * weight_channels
        variance = tl.load(variance_ptr + c, mask=g < weight_channels, other=0.0).to(tl.float32)
        scale = tl.load(gain_ptr + c, mask=g < weight_channels, other=0.0).to(tl.float32)
        scale *= tl.rsqrt(variance + BATCH_EPSILON)
        mean = tl.load(mean_ptr + c, mask=g < weight_channels, other=0.0).to(tl.float32)
        offset = tl.load(offset_ptr + c, mask=g < weight_channels, other=0.0).to(tl.float32)
        shift = offset - mean * scale
        y = tl.fma(sums, scale[:, None], shift[:, None]) + middle
        tl.store((y_ptr + base) + places[4], y.to(y_ptr.dtype.element_ty), mask=inside)
        base += weight_channels * height * width


def can_fuse(problem: Tail) -> bool:
    """Return whether the kernel is right for a problem, and its weights fit into registers."""
    return problem.kernel_size == _SIDE and problem.pixels <= _MOST_PIXELS


def plan_tail(problem: Tail) -> Launch:
    """Return the launch of the kernel."""
    pixels = max(power_of_two(problem.pixels), _WARP)
    rows = max(_TILE // pixels, 1)
    row_blocks = blocks(problem.weight_channels, rows)
    norms = ("gamma_ptr", "beta_ptr", "gain_ptr", "offset_ptr", "mean_ptr", "variance_ptr")
    return Launch(
        kernel=_ls_tail_kernel,
        grid=problem.batch * row_blocks,
        pointers=dict.fromkeys(("w_ptr", "x_ptr", "y_ptr", *norms), problem.dtype),
        integers={
            "weight_channels": problem.weight_channels,
            "row_blocks": row_blocks,
            "height": problem.size[0],
            "width": problem.size[1],
        },
        constants={
            "EPSILON": problem.epsilon,
            "BATCH_EPSILON": problem.batch_epsilon,
            "CHANNELS": problem.groups,
            "ROWS": rows,
            "PIXELS": pixels,
        },
        num_warps=rows * pixels // (_PER_THREAD * _WARP),
    )


def fused_tail(
    problem: Tail, x: Tensor, weight: Tensor, group_norm: list[Tensor], batch_norm: list[Tensor]
) -> Tensor:
    """Run the kernel; tensors may lie on a CPU when interpreted."""
    y = torch.empty_like(x)
    gamma, beta = group_norm
    gain, offset, mean, variance = batch_norm
    plan_tail(problem).run(
        w_ptr=weight, gamma_ptr=gamma, beta_ptr=beta, x_ptr=x, gain_ptr=gain, offset_ptr=offset,
        mean_ptr=mean, variance_ptr=variance, y_ptr=y,
    )  # fmt: skip
    return y
