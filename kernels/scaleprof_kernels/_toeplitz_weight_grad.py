r"""Weight gradient as a matrix product, on tensor cores: stride one, dilation one, NCHW.

With a row of the input as `x[n, h, :]` and of the output gradient as `g[n, h, :]`,

.. math::
    S_i[a, b] = \sum_{n, h} x[n, h + i, a] \, g[n, h, b], \qquad
    \mathrm{d}w[i, j] = \sum_b S_i[b + j - s,\; b],

where `s` is the column of the window at which the first tap of the first output lies. Only a band
of `S` is used; what is wasted is what a convolution on tensor cores wastes too. A program computes
`BLOCK_I` rows of the filter over its share of the images; the shares are added in a fixed order.
"""

import math

import torch
import triton
import triton.language as tl

from ._launch import Launch, multiplies_from_shared_memory
from ._problem import Problem
from ._window import WIDEST_LOAD, blocks, power_of_two, window_of

# enough programs for a large GPU, the same on every GPU, so that results do not depend on it
_PROGRAMS = 1024
# rows of output gradients, over images and heights, that a step adds up
_ROWS, _ROWS_OF_NARROW_BLOCKS = 64, 128
# rows of inputs × columns of a window: the long side of the product
_LONG_SIDE = 128


@triton.jit
def _toeplitz_weight_grad_kernel(
    x_ptr, g_ptr, p_ptr,
    batch, channels, height, width, out_h, out_w, pad_h, taps_h, taps_w,
    first_col, first_tap, col_blocks, row_blocks, steps, groups, chunk,
    BLOCK_N: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_I: tl.constexpr, BLOCK_B: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_J: tl.constexpr, ALIGN: tl.constexpr, ALIGN_OUT: tl.constexpr,
):  # fmt: skip
    # multiples by construction; said again, the compiler makes the loads that wide
    width = width // ALIGN * ALIGN
    first_col = first_col // ALIGN * ALIGN
    out_w = out_w // ALIGN_OUT * ALIGN_OUT
    tap0 = tl.program_id(0) % groups * BLOCK_I
    c = (tl.program_id(0) // groups % channels).to(tl.int64)
    split = tl.program_id(0) // groups // channels
    n = (tl.arange(0, BLOCK_N * BLOCK_H) // BLOCK_H)[:, None]
    h = (tl.arange(0, BLOCK_N * BLOCK_H) % BLOCK_H)[:, None]
    a = (tl.arange(0, BLOCK_I * BLOCK_K) % BLOCK_K)[None, :]
    i = (tl.arange(0, BLOCK_I * BLOCK_K) // BLOCK_K)[None, :]
    b = tl.arange(0, BLOCK_B)[None, :]
    # offsets from the first element of a step, in int32; the step itself is found in int64
    x_offset = n * (channels * height * width) + (h + i) * width + a
    g_offset = n * (channels * out_h * out_w) + h * out_w + b

    sums = tl.zeros((BLOCK_I * BLOCK_K, BLOCK_B), dtype=tl.float32)
    for step in range(split * chunk, tl.minimum(split * chunk + chunk, steps)):
        out_col = step % col_blocks * BLOCK_B
        out_row = step // col_blocks % row_blocks * BLOCK_H
        image = step // col_blocks // row_blocks * BLOCK_N
        plane = image * channels + c
        col = out_col + first_col
        row = out_row - pad_h + tap0
        g_base = g_ptr + (plane * out_h + out_row) * out_w + out_col
        ok = (n < batch - image) & (h < out_h - out_row) & (b < out_w - out_col)
        g = tl.load(g_base + g_offset, mask=ok, other=0.0)
        x_base = x_ptr + (plane * height + row) * width + col
        # one comparison for both ends: below zero is far above as an unsigned number
        ok = (h + i + row).to(tl.uint32, bitcast=True) < tl.cast(height, tl.uint32)
        ok &= (a + col).to(tl.uint32, bitcast=True) < tl.cast(width, tl.uint32)
        x = tl.load(x_base + x_offset, mask=ok & (n < batch - image), other=0.0)
        sums = tl.dot(tl.trans(x), g, sums)

    # tap (i, j) is the sum of the diagonal a = b + j - first_tap of block i
    j = tl.arange(0, BLOCK_I * BLOCK_J) % BLOCK_J
    i_j = tl.arange(0, BLOCK_I * BLOCK_J) // BLOCK_J
    at = j[:, None] + b - first_tap
    on = (at >= 0) & (at < BLOCK_K)
    diagonal = tl.gather(sums, i_j[:, None] * BLOCK_K + tl.where(on, at, 0), axis=0)
    taps = tl.sum(tl.where(on, diagonal, 0.0), axis=1)
    tap_h = tap0 + i_j
    p_base = p_ptr + (split * channels + c) * taps_h * taps_w
    tl.store(p_base + tap_h * taps_w + j, taps, mask=(tap_h < taps_h) & (j < taps_w))


def plan_toeplitz_weight_grad(problem: Problem, *, capability: int) -> tuple[Launch, int]:
    """Return the launch on a generation of GPUs, and the number of shares it divides into."""
    window = window_of(problem)
    assert window is not None
    (out_h, out_w), (taps_h, taps_w) = problem.out_size, problem.kernel
    # loads of single elements need more registers for addresses
    narrow = window.block < window.length and window.align > 1
    long_side = _LONG_SIDE if window.align > 1 else _LONG_SIDE // 2
    # the largest power of two that wastes few rows of the image
    block_h = next(size for size in (8, 4, 2, 1) if blocks(out_h, size) * size <= 1.2 * out_h)
    block_n = (_ROWS_OF_NARROW_BLOCKS if narrow else _ROWS) // block_h
    block_i = max(1, min(long_side // window.length, power_of_two(taps_h)))
    col_blocks, row_blocks = blocks(out_w, window.block), blocks(out_h, block_h)
    steps = col_blocks * row_blocks * blocks(problem.batch, block_n)
    groups = blocks(taps_h, block_i)
    chunk = blocks(steps, min(steps, blocks(_PROGRAMS, groups * problem.channels)))
    splits = blocks(steps, chunk)
    launch = Launch(
        kernel=_toeplitz_weight_grad_kernel,
        grid=problem.channels * groups * splits,
        pointers={"x_ptr": problem.dtype, "g_ptr": problem.dtype, "p_ptr": torch.float32},
        integers={
            "batch": problem.batch, "channels": problem.channels,
            "height": problem.size[0], "width": problem.size[1], "out_h": out_h, "out_w": out_w,
            "pad_h": problem.padding[0], "taps_h": taps_h, "taps_w": taps_w,
            "first_col": window.first, "first_tap": window.first + problem.padding[2],
            "col_blocks": col_blocks, "row_blocks": row_blocks, "steps": steps,
            "groups": groups, "chunk": chunk,
        },
        constants={
            "BLOCK_N": block_n, "BLOCK_H": block_h, "BLOCK_I": block_i,
            "BLOCK_B": window.block, "BLOCK_K": window.length, "BLOCK_J": power_of_two(taps_w),
            "ALIGN": window.align, "ALIGN_OUT": math.gcd(out_w, WIDEST_LOAD),
        },
        num_warps=4 if multiplies_from_shared_memory(capability) else 8,
    )  # fmt: skip
    return launch, splits
