r"""Small-kernel aggregation, backward: gradients of input and weights in one pass.

Lanes are those of the forward kernel. A lane reads once what its loop over channels needs: for each
of its pixels, the weights with which the outputs around it read it. For every channel it then reads
the output gradients around its pixels, which give the input's gradient, and the inputs around them,
whose products with the gradients in the middle add up to that of the weights, in registers and in
the order of the channels. Where more than eight channels share weights, programs take eight each,
and their shares are added up afterwards, in order.

Zeros around the image make the outputs that read a pixel a window of the filter's size. Windows
that were moved into the image can lie up to `SIDE - 1` pixels away, so that more are looked at.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._aggregate import (
    SMALL_SIDE,
    WARPS,
    add_products,
    channels_of,
    constants_of,
    lanes_at,
    lanes_of,
    nearest_pixels,
    plan_rows_backward,
    strides_of,
    window_at,
    zeros,
)
from ._aggregate_backward_rows import aggregate_backward_rows_kernel
from ._aggregation_problem import Aggregation
from ._launch import Launch


@triton.jit
def _weights_around(
    w_base, row, col, height, width, w_k, w_h, w_w,
    SIDE: tl.constexpr, ROWS: tl.constexpr, SPAN: tl.constexpr, CLAMPED: tl.constexpr,
):  # fmt: skip
    """Read the weights with which the outputs around each pixel read it; zero where none does."""
    weights = ()
    for r in tl.static_range(ROWS):
        for p in tl.static_range(SPAN * SPAN):
            out_row = row + r + p // SPAN - SPAN // 2
            out_col = col + p % SPAN - SPAN // 2
            # the tap of that output's window that is this pixel
            down = row + r - window_at(out_row, height, SIDE, CLAMPED)
            right = col - window_at(out_col, width, SIDE, CLAMPED)
            ok = (row + r < height) & (out_row >= 0) & (out_row < height)
            ok = ok & (out_col >= 0) & (out_col < width)
            ok = ok & (down >= 0) & (down < SIDE) & (right >= 0) & (right < SIDE)
            weight_ptr = w_base + (down * SIDE + right) * w_k + out_row * w_h + out_col * w_w
            weights = weights + (tl.load(weight_ptr, mask=ok, other=0.0).to(tl.float32),)
    return weights


@triton.jit
def _add_gradients(
    g_base, places, weights,
    ROWS: tl.constexpr, SPAN: tl.constexpr, WANTS_X: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Return the gradient of a lane's inputs at one channel, and the output gradients there."""
    sums = zeros(ROWS, BLOCK)
    middle = ()
    for q in tl.static_range(ROWS + SPAN - 1):
        for b in tl.static_range(SPAN):
            if WANTS_X or (b == SPAN // 2 and q >= SPAN // 2 and q < SPAN // 2 + ROWS):
                grad = tl.load(g_base + places[q * SPAN + b]).to(tl.float32)
                if b == SPAN // 2 and q >= SPAN // 2 and q < SPAN // 2 + ROWS:
                    middle = middle + (grad,)
                if WANTS_X:
                    sums = add_products(grad, weights, sums, q, b, ROWS, SPAN)
    return sums, middle


@triton.jit
def _add_shares(x_base, places, middle, shares, ROWS: tl.constexpr, SIDE: tl.constexpr):
    """Add products of output gradients with the inputs around them to the weights' gradient."""
    inputs = ()
    for p in tl.static_range((ROWS + SIDE - 1) * SIDE):
        inputs = inputs + (tl.load(x_base + places[p]).to(tl.float32),)
    updated = ()
    for r in tl.static_range(ROWS):
        for k in tl.static_range(SIDE * SIDE):
            share = tl.fma(middle[r], inputs[r * SIDE + k], shares[r * SIDE * SIDE + k])
            updated = updated + (share,)
    return updated


@triton.jit
def _store_shares(
    gw_base, shares, inside, row, top, left, height, width,
    ROWS: tl.constexpr, SIDE: tl.constexpr,
):  # fmt: skip
    """Write the weights' gradient; weights of what lies outside have none."""
    for r in tl.static_range(ROWS):
        for i in tl.static_range(SIDE):
            for j in tl.static_range(SIDE):
                ok = (top + r + i >= 0) & (top + r + i < height)
                ok = ok & (left + j >= 0) & (left + j < width)
                share = tl.where(ok, shares[(r * SIDE + i) * SIDE + j], 0.0)
                tl.store(
                    gw_base + r * width + (i * SIDE + j) * height * width,
                    share.to(gw_base.dtype.element_ty),
                    mask=inside & (row + r < height),
                )


@triton.jit
def _aggregate_backward_kernel(
    g_ptr, x_ptr, w_ptr, gx_ptr, gw_ptr,
    total, height, width, weight_channels, row_blocks, lane_blocks, x_n, x_c, x_h, x_w,
    w_n, w_g, w_k, w_h, w_w, share_size,
    SIDE: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr, CLAMPED: tl.constexpr,
    CHANNELS_LAST: tl.constexpr, BLOCK: tl.constexpr,
    SPAN: tl.constexpr, WANTS_X: tl.constexpr, WANTS_WEIGHT: tl.constexpr,
):  # fmt: skip
    start = tl.program_id(0) % lane_blocks * BLOCK
    chunk = tl.program_id(0) // lane_blocks
    inside = start + tl.arange(0, BLOCK) < total
    first, n, g, row, col = lanes_at(
        start, total, width, weight_channels, row_blocks, BLOCK, CHANNELS_LAST, ROWS
    )
    top = window_at(row, height, SIDE, CLAMPED)
    left = window_at(col, width, SIDE, CLAMPED)
    weights = ()
    if WANTS_X:
        w_base = w_ptr + first * w_n + (n * w_n + g * w_g)
        weights = _weights_around(
            w_base, row, col, height, width, w_k, w_h, w_w, SIDE, ROWS, SPAN, CLAMPED
        )
    origin = n * x_n + (g + chunk * CHANNELS * weight_channels) * x_c
    around = nearest_pixels(
        row - SPAN // 2, col - SPAN // 2, height, width, origin, x_h, x_w, ROWS + SPAN - 1, SPAN
    )
    places = nearest_pixels(top, left, height, width, origin, x_h, x_w, ROWS + SIDE - 1, SIDE)
    shares = zeros(ROWS * SIDE * SIDE, BLOCK)
    base = first * x_n
    for _ in tl.static_range(CHANNELS):
        sums, middle = _add_gradients(g_ptr + base, around, weights, ROWS, SPAN, WANTS_X, BLOCK)
        if WANTS_X:
            for r in tl.static_range(ROWS):
                gx = sums[r].to(gx_ptr.dtype.element_ty)
                gx_place = origin + (row + r) * x_h + col * x_w
                tl.store((gx_ptr + base) + gx_place, gx, mask=inside & (row + r < height))
        if WANTS_WEIGHT:
            shares = _add_shares(x_ptr + base, places, middle, shares, ROWS, SIDE)
        base += weight_channels * x_c
    if WANTS_WEIGHT:
        gw_image = weight_channels * (SIDE * SIDE) * height * width
        gw_base = gw_ptr + chunk.to(tl.int64) * share_size + first * gw_image
        gw_base += n * gw_image + g * (SIDE * SIDE) * height * width + row * width + col
        _store_shares(gw_base, shares, inside, row, top, left, height, width, ROWS, SIDE)


def plan_aggregate_backward(
    problem: Aggregation,
    weight_strides: tuple[int, ...] | None = None,
    wanted: tuple[bool, bool] = (True, True),
) -> Launch:
    """Return the launch of the kernel.

    Args:
        problem: What was aggregated.
        weight_strides: Of the weights, five; None for those of dense ones.
        wanted: Whether the gradients of input and of weights are.
    """
    rows = plan_rows_backward(problem)
    lanes = lanes_of(problem, rows)
    chunks = problem.groups // channels_of(problem)
    images = dict.fromkeys(("g_ptr", "x_ptr", "gx_ptr"), problem.dtype)
    share_dtype = problem.own_weight_dtype if chunks == 1 else torch.float32
    side = problem.kernel_size
    small = side <= SMALL_SIDE
    span = 2 * side - 1 if problem.clamped else side
    own = {"SPAN": span, "WANTS_X": wanted[0], "WANTS_WEIGHT": wanted[1]}
    strides = strides_of(problem, weight_strides)
    return Launch(
        kernel=_aggregate_backward_kernel if small else aggregate_backward_rows_kernel,
        grid=lanes["lane_blocks"] * chunks,
        pointers={**images, "w_ptr": problem.own_weight_dtype, "gw_ptr": share_dtype},
        integers={**lanes, **strides, "share_size": problem.weights},
        constants={**constants_of(problem, rows), **own},
        num_warps=WARPS,
    )


def aggregate_backward(
    problem: Aggregation, grad: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    """Compute both gradients on the Triton kernel; one that is not wanted has no elements."""
    launch = plan_aggregate_backward(problem, weight.stride(), wanted)
    kind = problem.memory_format
    x = x.contiguous(memory_format=kind)
    grad = grad.contiguous(memory_format=kind)
    x_grad = torch.empty_like(x, memory_format=kind) if wanted[0] else x.new_empty(0)
    chunks = problem.groups // channels_of(problem) if wanted[1] else 0
    shares = x.new_empty((chunks, *weight.shape), dtype=launch.pointers["gw_ptr"])
    # nothing is written to what is not wanted
    gx = x_grad if wanted[0] else grad
    launch.run(g_ptr=grad, x_ptr=x, w_ptr=weight, gx_ptr=gx, gw_ptr=shares if chunks else weight)
    if chunks == 0:
        return x_grad, x.new_empty(0)
    return x_grad, shares[0] if chunks == 1 else shares.sum(0).to(weight.dtype)
