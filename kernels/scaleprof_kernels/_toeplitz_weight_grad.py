r"""Weight gradient as matrix products, on tensor cores: stride one, dilation one, NCHW.

With a row of the input as `x[n, h, :]` and of the output gradient as `g[n, h, :]`,

.. math::
    S_i[a, b] = \sum_{n, h} x[n, h + i, a] \, g[n, h, b], \qquad
    \mathrm{d}w[i, j] = \sum_b S_i[b + j - s,\; b],

where `s` is the column of the window at which the first tap of the first output lies. Only a band
of `S` is used; what is wasted is what a convolution on tensor cores wastes too.

A product takes `ROWS` rows of each side at once, for 16 images, so that it is as large as tensor
cores like it: it holds `S_i` for every difference `i` of two rows, in parts. A program loads
`SPAN` such strips of rows of the input, and all strips of output gradients that a filter joins
with them, multiplies each with each, and adds up by distance of strips. Every row is so loaded
once or twice, not once per row of the filter. At the end the parts of each `S_i` are added, and
then its diagonals. Where one program cannot hold the sums of all rows of a filter, several share
them; images too are shared among programs, whose sums are added in a fixed order.
"""

import math
from functools import lru_cache

import torch
import triton
import triton.language as tl

from ._launch import Launch, multiplies_from_shared_memory
from ._problem import Problem
from ._strips import DEPTH, share_of
from ._window import WIDEST_LOAD, blocks, power_of_two, window_of

# programs that keep a large GPU busy, and that divide its time well if each has steps enough; the
# same on every GPU, so that results do not depend on it
_FEWEST_PROGRAMS, _PROGRAMS, _FEWEST_STEPS = 264, 1024, 8
# images of a step; where they are fewer, steps down the image are taken side by side
_IMAGES = (16, 8, 4, 2, 1)
# rows of taps whose diagonals are added at once
_TAPS_AT_ONCE = 8
# a row that is not there
_FAR = tl.constexpr(1 << 30)


@triton.jit
def _toeplitz_weight_grad_kernel(
    x_ptr, g_ptr, p_ptr,
    batch, channels, height, width, out_h, out_w, taps_h, taps_w, lowest, ahead,
    first_col, first_tap, col_blocks, row_blocks, steps, programs, chunk,
    BLOCK_N: tl.constexpr, BLOCK_L: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_B: tl.constexpr,
    BLOCK_J: tl.constexpr, BLOCK_T: tl.constexpr, ROWS: tl.constexpr, SPAN: tl.constexpr,
    DISTANCES: tl.constexpr, TAPS: tl.constexpr, FIRST: tl.constexpr, LEAST: tl.constexpr,
    MOST: tl.constexpr, REST: tl.constexpr, ALIGN: tl.constexpr, ALIGN_OUT: tl.constexpr,
):  # fmt: skip
    # multiples by construction; said again, the compiler makes the loads that wide
    width = width // ALIGN * ALIGN
    first_col = first_col // ALIGN * ALIGN
    out_w = out_w // ALIGN_OUT * ALIGN_OUT
    part = tl.program_id(0) % programs
    c = (tl.program_id(0) // programs % channels).to(tl.int64)
    split = tl.program_id(0) // programs // channels
    n = (tl.arange(0, BLOCK_N * BLOCK_L) // BLOCK_L)[:, None]
    lane = (tl.arange(0, BLOCK_N * BLOCK_L) % BLOCK_L)[:, None] * (SPAN * ROWS)
    i = lane + (tl.arange(0, ROWS * BLOCK_K) // BLOCK_K)[None, :]
    a = (tl.arange(0, ROWS * BLOCK_K) % BLOCK_K)[None, :]
    r = lane + (tl.arange(0, ROWS * BLOCK_B) // BLOCK_B)[None, :]
    b = (tl.arange(0, ROWS * BLOCK_B) % BLOCK_B)[None, :]
    # offsets from the first element of a step, in int32; the step itself is found in int64
    x_offset = n * (channels * height * width) + i * width + a
    g_offset = n * (channels * out_h * out_w) + r * out_w + b

    sums = ()
    for _ in tl.static_range(DISTANCES):
        sums = sums + (tl.zeros((ROWS * BLOCK_K, ROWS * BLOCK_B), dtype=tl.float32),)
    for step in range(split * chunk, tl.minimum(split * chunk + chunk, steps)):
        col = step % col_blocks * BLOCK_B
        row = step // col_blocks % row_blocks * (BLOCK_L * SPAN * ROWS)
        image = step // col_blocks // row_blocks * BLOCK_N
        plane = image * channels + c
        g_row = row + ahead - part * TAPS
        x_base = x_ptr + (plane * height + row) * width + (col + first_col)
        g_base = g_ptr + (plane * out_h + g_row) * out_w + col
        # what lies beside the image, or in an image that does not exist, lies in a row far away
        ok = (a + (col + first_col)).to(tl.uint32, bitcast=True) < tl.cast(width, tl.uint32)
        x_rows = tl.where(ok & (n < batch - image), i + row, _FAR)
        g_rows = tl.where((b < out_w - col) & (n < batch - image), r + g_row, _FAR)
        xs = _strips(x_base, x_offset, x_rows, height, width, ROWS, 0, SPAN - 1)
        gs = _strips(g_base, g_offset, g_rows, out_h, out_w, ROWS, LEAST, MOST)
        updated = ()
        for d in tl.static_range(DISTANCES):
            total = sums[d]
            for s in tl.static_range(SPAN):
                if s - d >= LEAST and s - d <= MOST:
                    x = tl.trans(xs[s])
                    total = tl.dot(x, gs[s - d - LEAST], total, input_precision="tf32")
            updated = updated + (total,)
        sums = updated

    p_base = p_ptr + (split * channels + c) * taps_h * taps_w
    own = lowest + part * TAPS
    rows = _rows_of_taps(sums, BLOCK_K, BLOCK_B, ROWS, DISTANCES, TAPS, FIRST, BLOCK_T)
    for block in tl.static_range((TAPS + BLOCK_T - 1) // BLOCK_T):
        taps = _diagonals(rows, block, first_tap, BLOCK_K, BLOCK_B, BLOCK_J, BLOCK_T)
        t = block * BLOCK_T + tl.arange(0, BLOCK_T)[None, :]
        j = tl.arange(0, BLOCK_J)[:, None]
        ok = (t < TAPS) & (own + t < taps_h) & (j < taps_w)
        tl.store(p_base + (own + t) * taps_w + j, taps.to(p_ptr.dtype.element_ty), mask=ok)
    if REST > 0:
        # taps that meet no image
        t = tl.arange(0, REST)[None, :]
        j = tl.arange(0, BLOCK_J)[:, None]
        ok = ((t < lowest) | (t >= lowest + programs * TAPS)) & (t < taps_h) & (j < taps_w)
        tl.store(p_base + t * taps_w + j, 0.0, mask=ok & (part + 0 * t == 0))


@triton.jit
def _strips(
    base, offset, rows, height, width, ROWS: tl.constexpr, FIRST: tl.constexpr, LAST: tl.constexpr
):
    """Load strips of an image, zero beside it: a tuple of [images, ROWS * columns]."""
    found = ()
    for s in tl.static_range(FIRST, LAST + 1):
        # one comparison for both ends: below zero is far above as an unsigned number
        ok = (rows + s * ROWS).to(tl.uint32, bitcast=True) < tl.cast(height, tl.uint32)
        found = found + (tl.load(base + s * ROWS * width + offset, mask=ok, other=0.0),)
    return found


@triton.jit
def _rows_of_taps(
    sums, BLOCK_K: tl.constexpr, BLOCK_B: tl.constexpr, ROWS: tl.constexpr,
    DISTANCES: tl.constexpr, TAPS: tl.constexpr, FIRST: tl.constexpr, BLOCK_T: tl.constexpr,
):  # fmt: skip
    """Add up what belongs to the same row of the filter: a tuple of [BLOCK_K, BLOCK_B]."""
    rows = ()
    for _ in tl.static_range((TAPS + BLOCK_T - 1) // BLOCK_T * BLOCK_T):
        rows = rows + (tl.zeros((BLOCK_K, BLOCK_B), dtype=tl.float32),)
    for d in tl.static_range(DISTANCES):
        by_row = tl.permute(tl.reshape(sums[d], (ROWS, BLOCK_K, ROWS, BLOCK_B)), (1, 3, 0, 2))
        parts = _apart(by_row, BLOCK_K, BLOCK_B, ROWS)
        added = ()
        for t in tl.static_range((TAPS + BLOCK_T - 1) // BLOCK_T * BLOCK_T):
            taps = rows[t]
            for i in tl.static_range(ROWS):
                # row i of the input and row r of the gradient meet in tap FIRST + d * ROWS + i - r
                if t < TAPS and FIRST + d * ROWS + i - t >= 0 and FIRST + d * ROWS + i - t < ROWS:
                    taps = taps + parts[i * ROWS + FIRST + d * ROWS + i - t]
            added = added + (taps,)
        rows = added
    return rows


@triton.jit
def _apart(block, BLOCK_K: tl.constexpr, BLOCK_B: tl.constexpr, ROWS: tl.constexpr):
    """Take a block apart along its last two axes, of ROWS each, into a tuple."""
    parts = (block,)
    for level in tl.static_range(ROWS // 2 * 2):
        evens = ()
        odds = ()
        for p in tl.static_range(1 << level):
            halves = tl.reshape(parts[p], (BLOCK_K, BLOCK_B, ROWS * ROWS >> (level + 1), 2))
            even, odd = tl.split(halves)
            evens = evens + (even,)
            odds = odds + (odd,)
        parts = evens + odds
    flat = ()
    for p in tl.static_range(ROWS * ROWS):
        flat = flat + (tl.reshape(parts[p], (BLOCK_K, BLOCK_B)),)
    return flat


@triton.jit
def _diagonals(
    rows, block: tl.constexpr, first_tap, BLOCK_K: tl.constexpr, BLOCK_B: tl.constexpr,
    BLOCK_J: tl.constexpr, BLOCK_T: tl.constexpr,
):  # fmt: skip
    """Add up the diagonals a = b + j - first_tap of some rows: [BLOCK_J, BLOCK_T]."""
    joined = ()
    for t in tl.static_range(BLOCK_T):
        joined = joined + (rows[block * BLOCK_T + t],)
    for level in tl.static_range(3):
        if BLOCK_T >> (level + 1) > 0:
            pairs = ()
            for p in tl.static_range(BLOCK_T >> (level + 1)):
                other = joined[p + (BLOCK_T >> (level + 1))]
                pairs = pairs + (tl.join(joined[p], other),)
            joined = pairs
    columns = tl.reshape(joined[0], (BLOCK_K, BLOCK_B * BLOCK_T))
    j = tl.arange(0, BLOCK_J)[:, None]
    a = j + (tl.arange(0, BLOCK_B * BLOCK_T) // BLOCK_T)[None, :] - first_tap
    on = (a >= 0) & (a < BLOCK_K)
    diagonals = tl.where(on, tl.gather(columns, tl.where(on, a, 0), axis=0), 0.0)
    return tl.sum(tl.reshape(diagonals, (BLOCK_J, BLOCK_B, BLOCK_T)), axis=1)


@lru_cache(maxsize=1024)
def plan_toeplitz_weight_grad(problem: Problem, *, capability: int) -> tuple[Launch, int]:
    """Return the launch on a generation of GPUs, and the number of shares it divides into."""
    window = window_of(problem)
    assert window is not None
    (out_h, out_w), (taps_h, taps_w) = problem.out_size, problem.kernel
    block_n = next(
        size for size in _IMAGES if blocks(problem.batch, size) * size <= 1.25 * problem.batch
    )
    share = share_of(
        problem,
        window,
        lanes=DEPTH // block_n,
        roomy=multiplies_from_shared_memory(capability),
    )
    strips = share.strips
    col_blocks = blocks(out_w, window.block)
    steps = col_blocks * share.steps * blocks(problem.batch, block_n)
    programs = problem.channels * share.programs
    chunk = blocks(steps, _splits(steps, programs))
    splits = blocks(steps, chunk)
    reached = min(share.programs * share.taps, taps_h - share.lowest)
    launch = Launch(
        kernel=_toeplitz_weight_grad_kernel,
        grid=programs * splits,
        pointers={
            "x_ptr": problem.dtype, "g_ptr": problem.dtype,
            "p_ptr": torch.float32 if splits > 1 else problem.dtype,
        },
        integers={
            "batch": problem.batch, "channels": problem.channels,
            "height": problem.size[0], "width": problem.size[1], "out_h": out_h, "out_w": out_w,
            "taps_h": taps_h, "taps_w": taps_w, "lowest": share.lowest, "ahead": strips.ahead,
            "first_col": window.first, "first_tap": window.first + problem.padding[2],
            "col_blocks": col_blocks, "row_blocks": share.steps, "steps": steps,
            "programs": share.programs, "chunk": chunk,
        },
        constants={
            "BLOCK_N": block_n, "BLOCK_L": DEPTH // block_n, "BLOCK_K": window.length,
            "BLOCK_B": window.block, "BLOCK_J": power_of_two(taps_w),
            "BLOCK_T": min(_TAPS_AT_ONCE, power_of_two(share.taps)),
            "ROWS": strips.rows, "SPAN": strips.span, "DISTANCES": strips.distances,
            "TAPS": share.taps, "FIRST": strips.first, "LEAST": strips.least, "MOST": strips.most,
            "REST": 0 if reached == taps_h else power_of_two(taps_h),
            "ALIGN": window.align, "ALIGN_OUT": math.gcd(out_w, WIDEST_LOAD),
        },
        num_warps=share.warps,
        num_stages=2,
    )  # fmt: skip
    return launch, splits


def _splits(steps: int, programs: int) -> int:
    """Parts into which the steps of a filter are divided."""
    busy, even = blocks(_FEWEST_PROGRAMS, programs), blocks(_PROGRAMS, programs)
    return min(steps, max(busy, min(even, steps // _FEWEST_STEPS)))
