r"""Convolution as a product with a band matrix, on tensor cores: stride one, dilation one, NCHW.

The output is cut into blocks of `R` rows and `B` columns. Block `m` of an image needs a window of
the input; with the window's row `q` in `X_q[m, a]` and the block's outputs in `Y[m, (r, b)]`,

.. math::
    Y = \sum_{q} X_q \, T_q, \qquad
    T_q[a, (r, b)] = w[q - r,\; a - b - s], \text{ zero outside the filter},

where `s` is the column of the window at which the first tap of the first output lies. One product
serves all images and blocks of a channel, so a batch of one fills the rows of `X` too.

Where the image is at most 32 wide, or 64 and the filter wide, a block spans whole rows, the window
starts at column zero, and the zeros that pad the image cost nothing: they are absent from `T`.

A NaN or infinity in the input reaches all outputs of the blocks whose window holds it, a few
columns and rows further than the filter does, because it is multiplied by the zeros of `T`.

Products are exact for half precisions; of float32 they are those of TF32, whose factors have 10
bits after the first. Sums are float32.
"""

import math
from functools import lru_cache

import triton
import triton.language as tl

from ._launch import Launch, multiplies_from_shared_memory
from ._layout import Layout, dense
from ._problem import Problem
from ._window import Window, blocks, power_of_two, window_of

# blocks per program: the more, the more often a band that was put together is used
_BLOCKS_M = (256, 128, 64, 32, 16)
# what four warps keep in registers, more needs eight: sums; addresses of inputs that are loaded one
# by one; addresses of the numbers of a band. The last two also leave room for fewer blocks, and so
# do addresses of outputs that are stored one by one
_MOST_SUMS = 128 * 64
_MOST_SINGLES = 32 * 32
_LARGE_BAND = 32 * 128
# a band, and loads of inputs, for two of which there is room: two rows of the window then wait for
# one product
_SMALL_BAND = 32 * 64
_FEW_LOADS = 1024
# a row that is not there
_FAR = tl.constexpr(1 << 30)


@triton.jit
def _toeplitz_kernel(
    x_ptr, w_ptr, b_ptr, y_ptr,
    batch, channels, height, width, out_h, out_w, pad_h, taps_h, taps_w, w_c, w_h, w_w, w_origin,
    first_col, first_tap, col_blocks, total, tiles, y_n, y_c, y_h, y_w,
    BLOCK_M: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_K: tl.constexpr,
    BLOCK_Q: tl.constexpr, ALIGN: tl.constexpr, ALIGN_OUT: tl.constexpr, HAS_BIAS: tl.constexpr,
):  # fmt: skip
    # multiples of ALIGN by construction; said again, the compiler makes the loads that wide
    width = width // ALIGN * ALIGN
    first_col = first_col // ALIGN * ALIGN
    y_n = y_n // ALIGN_OUT * ALIGN_OUT
    y_c = y_c // ALIGN_OUT * ALIGN_OUT
    y_h = y_h // ALIGN_OUT * ALIGN_OUT
    out_w = out_w // ALIGN_OUT * ALIGN_OUT
    c = tl.program_id(0) // tiles
    first = (tl.program_id(0) % tiles) * BLOCK_M
    m = first + tl.arange(0, BLOCK_M)
    per_row = batch * col_blocks
    row0 = m // per_row * BLOCK_R
    n = (m % per_row // col_blocks).to(tl.int64)
    col0 = m % col_blocks * BLOCK_B

    # a step takes BLOCK_Q rows of the window, one after the other
    a = tl.arange(0, BLOCK_Q * BLOCK_K) % BLOCK_K
    d = tl.arange(0, BLOCK_Q * BLOCK_K) // BLOCK_K
    cols = col0[:, None] + first_col + a[None, :]
    rows = (row0 - pad_h)[:, None] + d[None, :]
    x_base = x_ptr + ((n * channels + c) * height * width)[:, None] + (rows * width + cols)
    # a column beside the image lies in a row that is never in it
    rows = tl.where((cols >= 0) & (cols < width) & (m < total)[:, None], rows, _FAR)
    r = tl.arange(0, BLOCK_R * BLOCK_B) // BLOCK_B
    b = tl.arange(0, BLOCK_R * BLOCK_B) % BLOCK_B
    tap_w = a[:, None] - b[None, :] + first_tap
    tap_h = d[:, None] - r[None, :]
    tap = tap_h * w_h + tap_w * w_w
    # a column that no tap reaches lies in a row of the filter that does not exist
    tap_h = tl.where((tap_w >= 0) & (tap_w < taps_w), tap_h, _FAR)
    w_base = w_ptr + w_origin + c * w_c

    # rows of the window that lie in the image for some block of this program
    last = tl.minimum(first + BLOCK_M, total) - 1
    begin = tl.maximum(0, pad_h - last // per_row * BLOCK_R)
    end = tl.minimum(BLOCK_R + taps_h - 1, height + pad_h - first // per_row * BLOCK_R)
    y = tl.zeros((BLOCK_M, BLOCK_R * BLOCK_B), dtype=tl.float32)
    for q in range(begin, end, BLOCK_Q):
        # one comparison for both ends: below zero is far above as an unsigned number
        ok = (rows + q).to(tl.uint32, bitcast=True) < tl.cast(height, tl.uint32)
        x = tl.load(x_base + q * width, mask=ok, other=0.0)
        ok = (tap_h + q).to(tl.uint32, bitcast=True) < tl.cast(taps_h, tl.uint32)
        band = tl.load(w_base + q * w_h + tap, mask=ok, other=0.0)
        y = tl.dot(x, band, y, input_precision="tf32")

    if HAS_BIAS:
        y += tl.load(b_ptr + c).to(tl.float32)
    y_base = y_ptr + (n * y_n + c * y_c)[:, None]
    out_row = row0[:, None] + r[None, :]
    out_col = col0[:, None] + b[None, :]
    ok = (out_row < out_h) & (out_col < out_w) & (m < total)[:, None]
    tl.store(y_base + out_row * y_h + out_col * y_w, y.to(y_ptr.dtype.element_ty), mask=ok)


@lru_cache(maxsize=1024)
def plan_toeplitz(
    problem: Problem,
    *,
    turned: bool,
    has_bias: bool,
    capability: int,
    layout: Layout | None = None,
) -> Launch:
    """Return the launch of the band matrix product.

    Args:
        problem: What is convolved.
        turned: Whether the filters are turned by half a turn.
        has_bias: Whether a bias is added.
        capability: The generation of the GPU, such as 90.
        layout: Where filters and outputs lie in memory; dense by default.
    """
    window = window_of(problem)
    assert window is not None
    (out_h, out_w), (taps_h, taps_w) = problem.out_size, problem.kernel
    layout = layout or dense(problem)
    rows = min(_rows(window), power_of_two(out_h))
    col_blocks = blocks(out_w, window.block)
    total = blocks(out_h, rows) * problem.batch * col_blocks
    band = window.length * rows * window.block
    roomy = multiplies_from_shared_memory(capability)
    apart = layout.output[3] > 1
    # each halves what there is room for
    most = 256 >> ((window.align == 1) + (band > _LARGE_BAND) + apart)
    block_m = _block_m(total, most=most if roomy else most // 2)
    tiles = blocks(total, block_m)
    sums = block_m * rows * window.block
    # a load takes eight bytes of float32 for four of a half
    loads = block_m * window.length // window.align * problem.dtype.itemsize // 2
    singles = loads if window.align == 1 else 0
    many = singles > _MOST_SINGLES or (apart and not roomy)
    two_rows = roomy and band <= _SMALL_BAND and loads <= _FEW_LOADS
    sign = -1 if turned else 1
    w_c, w_h, w_w = layout.weight
    return Launch(
        kernel=_toeplitz_kernel,
        grid=problem.channels * tiles,
        pointers=dict.fromkeys(("x_ptr", "w_ptr", "b_ptr", "y_ptr"), problem.dtype),
        integers={
            "batch": problem.batch, "channels": problem.channels,
            "height": problem.size[0], "width": problem.size[1], "out_h": out_h, "out_w": out_w,
            "pad_h": problem.padding[0], "taps_h": taps_h, "taps_w": taps_w,
            "w_c": w_c, "w_h": sign * w_h, "w_w": sign * w_w,
            "w_origin": (taps_h - 1) * w_h + (taps_w - 1) * w_w if turned else 0,
            "first_col": window.first, "first_tap": window.first + problem.padding[2],
            "col_blocks": col_blocks, "total": total, "tiles": tiles,
            **dict(zip(("y_n", "y_c", "y_h", "y_w"), layout.output, strict=True)),
        },
        constants={
            "BLOCK_M": block_m, "BLOCK_R": rows, "BLOCK_B": window.block,
            "BLOCK_K": window.length, "ALIGN": window.align,
            "BLOCK_Q": 2 if two_rows else 1,
            "ALIGN_OUT": math.gcd(out_w, layout.align), "HAS_BIAS": has_bias,
        },
        num_warps=8 if many or sums > _MOST_SUMS or band > _LARGE_BAND else 4,
    )  # fmt: skip


def _rows(window: Window) -> int:
    """Rows of a block: 64 or 128 outputs share the work of loading a row of the window."""
    return 2 if window.length > 64 else {8: 8, 16: 4, 32: 4, 64: 2}[window.block]


def _block_m(total: int, *, most: int) -> int:
    """The most blocks per program that leave at most a quarter of the last program idle."""
    sizes = (size for size in _BLOCKS_M if blocks(total, size) * size <= 1.25 * total)
    return min(most, next(sizes, _BLOCKS_M[-1]))
