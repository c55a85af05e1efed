r"""Small-kernel aggregation, forward: a lane is a column of rows at one weight channel.

A lane reads the filters of its `ROWS` output rows once, into registers, and then goes through the
channels that share them: :math:`g, g + C', g + 2 C', \dots` An input that a lane loads meets every
output row of the lane whose window holds it. Where a window leaves the image, weights are zero and
the nearest pixel inside is read, which the window holds too, so that no load is masked.

The channels are unrolled. In a loop over them LLVM keeps a pointer of its own for each load, and
moving these takes more instructions than the multiply-adds.

In NCHW neighbouring lanes are neighbouring columns, in NHWC neighbouring weight channels.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._aggregation_problem import Aggregation
from ._launch import Launch
from ._window import blocks

WARPS = 4
# one lane per thread
BLOCK = 32 * WARPS
# filters of a lane's rows that are in registers at once
_MOST_WEIGHTS = 36
_MOST_WEIGHTS_BACKWARD = 18
# output rows of a lane in the backward kernel for larger windows: two share inputs, and with more
# of them too many products of a row are with weights that are none
_ROWS_BACKWARD = 2
# channels that a program is unrolled over
_MOST_CHANNELS = 8
# windows whose sides are longer have a backward kernel of their own
SMALL_SIDE = 3
# windows whose sides are longer are left to torch: their filters fill the registers
_LONGEST_SIDE = 7
_LARGEST_OFFSET = 2**31


@triton.jit
def lanes_at(start, total, width, weight_channels, row_blocks, BLOCK, CHANNELS_LAST, ROWS):
    """Return where lanes are: the first image, images after it, weight channel, row and column."""
    # lanes to spare do again what the last one does, and store nothing
    lane = tl.minimum(start + tl.arange(0, BLOCK), total - 1)
    positions = row_blocks * width
    if CHANNELS_LAST:
        g = lane % weight_channels
        position = lane // weight_channels % positions
    else:
        g = lane // positions % weight_channels
        position = lane % positions
    # images of a program lie near its first one, so that offsets from it are 32-bit numbers
    first = start // (positions * weight_channels)
    n = lane // (positions * weight_channels) - first
    return first.to(tl.int64), n, g, position // width * ROWS, position % width


@triton.jit
def window_at(pixel, length, SIDE, CLAMPED):
    """Return where the window of a row or column begins."""
    begin = pixel - SIDE // 2
    if CLAMPED:
        begin = tl.minimum(tl.maximum(begin, 0), length - SIDE)
    return begin


@triton.jit
def nearest_pixels(
    top, left, height, width, origin, x_h, x_w, HEIGHT: tl.constexpr, WIDTH: tl.constexpr
):
    """Return offsets of a block of pixels, of those outside the image the nearest one inside."""
    places = ()
    for q in tl.static_range(HEIGHT):
        for j in tl.static_range(WIDTH):
            near_row = tl.minimum(tl.maximum(top + q, 0), height - 1)
            near_col = tl.minimum(tl.maximum(left + j, 0), width - 1)
            places = places + (origin + near_row * x_h + near_col * x_w,)
    return places


@triton.jit
def add_products(x, weights, sums, q, j, ROWS: tl.constexpr, SIDE: tl.constexpr):
    """Add an input in row `q` and column `j` of a window to the outputs that read it."""
    updated = ()
    for r in tl.static_range(ROWS):
        if q >= r and q - r < SIDE:
            updated = updated + (tl.fma(x, weights[(r * SIDE + q - r) * SIDE + j], sums[r]),)
        else:
            updated = updated + (sums[r],)
    return updated


@triton.jit
def zeros(COUNT: tl.constexpr, BLOCK: tl.constexpr):
    """Return sums that hold nothing yet."""
    sums = ()
    for _ in tl.static_range(COUNT):
        sums = sums + (tl.zeros((BLOCK,), dtype=tl.float32),)
    return sums


@triton.jit
def _aggregate_kernel(
    x_ptr, w_ptr, y_ptr,
    total, height, width, weight_channels, row_blocks, lane_blocks, x_n, x_c, x_h, x_w,
    w_n, w_g, w_k, w_h, w_w,
    SIDE: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr, CLAMPED: tl.constexpr,
    CHANNELS_LAST: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    start = tl.program_id(0) % lane_blocks * BLOCK
    inside = start + tl.arange(0, BLOCK) < total
    first, n, g, row, col = lanes_at(
        start, total, width, weight_channels, row_blocks, BLOCK, CHANNELS_LAST, ROWS
    )
    top = window_at(row, height, SIDE, CLAMPED)
    left = window_at(col, width, SIDE, CLAMPED)
    w_base = w_ptr + first * w_n + (n * w_n + g * w_g + row * w_h + col * w_w)
    weights = ()
    for r in tl.static_range(ROWS):
        for i in tl.static_range(SIDE):
            for j in tl.static_range(SIDE):
                # what lies outside counts nothing, whatever is read in its place
                ok = (row + r < height) & (top + r + i >= 0) & (top + r + i < height)
                ok = ok & (left + j >= 0) & (left + j < width)
                weight_ptr = w_base + r * w_h + (i * SIDE + j) * w_k
                weights = weights + (tl.load(weight_ptr, mask=ok, other=0.0).to(tl.float32),)

    origin = n * x_n + (g + tl.program_id(0) // lane_blocks * CHANNELS * weight_channels) * x_c
    places = nearest_pixels(top, left, height, width, origin, x_h, x_w, ROWS + SIDE - 1, SIDE)
    base = first * x_n
    for _ in tl.static_range(CHANNELS):
        sums = zeros(ROWS, BLOCK)
        for q in tl.static_range(ROWS + SIDE - 1):
            for j in tl.static_range(SIDE):
                x = tl.load((x_ptr + base) + places[q * SIDE + j]).to(tl.float32)
                sums = add_products(x, weights, sums, q, j, ROWS, SIDE)
        for r in tl.static_range(ROWS):
            y = sums[r].to(y_ptr.dtype.element_ty)
            y_place = origin + (row + r) * x_h + col * x_w
            tl.store((y_ptr + base) + y_place, y, mask=inside & (row + r < height))
        base += weight_channels * x_c


def channels_of(problem: Aggregation) -> int:
    """Return how many of the channels that share weights a program goes through."""
    return max(n for n in range(1, _MOST_CHANNELS + 1) if problem.groups % n == 0)


def can_aggregate(problem: Aggregation) -> bool:
    """Return whether the kernels are right for a problem, and no slower than they need be."""
    pixels = problem.size[0] * problem.size[1]
    # a program may span as many images as it has lanes
    images = 1 + BLOCK // (problem.weight_channels * blocks(pixels, _MOST_WEIGHTS))
    numbers = pixels * max(problem.channels, problem.weight_channels * problem.taps)
    lanes = problem.outputs // problem.groups
    floats = torch.float64 not in {problem.dtype, problem.own_weight_dtype}
    addressable = max(images * numbers, lanes) < _LARGEST_OFFSET
    return floats and addressable and problem.kernel_size <= _LONGEST_SIDE


def plan_aggregate(problem: Aggregation, weight_strides: tuple[int, ...] | None = None) -> Launch:
    """Return the launch of the kernel.

    Args:
        problem: What is aggregated.
        weight_strides: Of the weights, five; None for those of dense ones.
    """
    rows = _rows(problem, _MOST_WEIGHTS)
    lanes = lanes_of(problem, rows)
    dtypes = {"x_ptr": problem.dtype, "w_ptr": problem.own_weight_dtype, "y_ptr": problem.dtype}
    return Launch(
        kernel=_aggregate_kernel,
        grid=lanes["lane_blocks"] * (problem.groups // channels_of(problem)),
        pointers=dtypes,
        integers={**lanes, **strides_of(problem, weight_strides)},
        constants=constants_of(problem, rows),
        num_warps=WARPS,
    )


def plan_rows_backward(problem: Aggregation) -> int:
    """Return the output rows of a lane of the backward kernel."""
    if problem.kernel_size > SMALL_SIDE:
        return 1 if problem.clamped else min(_ROWS_BACKWARD, problem.size[0])
    return _rows(problem, _MOST_WEIGHTS_BACKWARD)


def _rows(problem: Aggregation, most_weights: int) -> int:
    """Output rows of a lane, so that the last lane has few to spare."""
    if problem.clamped:
        # windows of neighbouring rows are the same ones near the border
        return 1
    height = problem.size[0]
    return blocks(height, blocks(height, max(most_weights // problem.taps, 1)))


def lanes_of(problem: Aggregation, rows: int) -> dict[str, int]:
    """Return the number of lanes, and what a lane's place follows from."""
    row_blocks = blocks(problem.size[0], rows)
    total = problem.batch * problem.weight_channels * row_blocks * problem.size[1]
    return {
        "total": total,
        "height": problem.size[0],
        "width": problem.size[1],
        "weight_channels": problem.weight_channels,
        "row_blocks": row_blocks,
        "lane_blocks": blocks(total, BLOCK),
    }


def strides_of(problem: Aggregation, weight_strides: tuple[int, ...] | None) -> dict[str, int]:
    """Return strides of dense images in the problem's order of memory, and of the weights."""
    channels, (height, width) = problem.channels, problem.size
    step = channels if problem.channels_last else 1
    pixels = height * width
    dense = (problem.weight_channels * problem.taps * pixels, problem.taps * pixels, pixels, width)
    image = (channels * pixels, 1 if problem.channels_last else pixels, width * step, step)
    names = ("x_n", "x_c", "x_h", "x_w", "w_n", "w_g", "w_k", "w_h", "w_w")
    return dict(zip(names, (*image, *(weight_strides or (*dense, 1))), strict=True))


def constants_of(problem: Aggregation, rows: int) -> dict[str, int]:
    """Return what is fixed when the kernels are compiled."""
    return {
        "SIDE": problem.kernel_size,
        "ROWS": rows,
        "CHANNELS": channels_of(problem),
        "CLAMPED": problem.clamped,
        "CHANNELS_LAST": problem.channels_last,
        "BLOCK": BLOCK,
    }


def aggregate(problem: Aggregation, x: Tensor, weight: Tensor) -> Tensor:
    """Aggregate on the Triton kernel; tensors may lie on a CPU when interpreted."""
    launch = plan_aggregate(problem, weight.stride())
    x = x.contiguous(memory_format=problem.memory_format)
    y = torch.empty_like(x, memory_format=problem.memory_format)
    launch.run(x_ptr=x, w_ptr=weight, y_ptr=y)
    return y
