r"""What the fused tails of LS convolution have in common: a lane is a column of rows of one filter.

A program has an image and `FILTERS` filters with all their positions, so that the statistics of
the group norm stay in it. Each of its lanes has `ROWS` positions below each other, whose nine
weights, :math:`9 \cdot` `ROWS` numbers, stay in registers: an input that the lane reads meets up
to three of its outputs, and the pixels above and below are those of one address, a constant apart.
The size of the map is fixed when the kernel is compiled, for that reason.
"""

from dataclasses import dataclass

import triton
import triton.language as tl

from ._ls_problem import Tail
from ._window import blocks

# rows of a lane at most: nine weights of each are in registers
_MOST_ROWS = 8
# so that a product has sixteen columns
_FEWEST_LANES = 4
WARP = 32


@dataclass(frozen=True, slots=True)
class Rows:
    """How the positions of a map are divided among lanes.

    Attributes:
        rows: Positions of a lane, below each other.
        lanes: Lanes of a filter, a power of two.
    """

    rows: int
    lanes: int


def rows_of(problem: Tail) -> Rows:
    """Return how many rows a lane has, so that the last lane has few to spare."""
    height, width = problem.size
    rows = blocks(height, blocks(height, _MOST_ROWS))
    lanes = _FEWEST_LANES
    # torch's compiler, for which sizes may be symbols, can follow it
    while lanes < blocks(height, rows) * width:
        lanes *= 2
    return Rows(rows=rows, lanes=lanes)


@triton.jit
def positions(LANES: tl.constexpr, ROWS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):
    """Return lanes that have a position, and the first row and the column of each.

    Lanes to spare have those of the last one.
    """
    lane = tl.arange(0, LANES)
    last = (HEIGHT + ROWS - 1) // ROWS * WIDTH - 1
    near = tl.minimum(lane, last)
    return lane <= last, near // WIDTH * ROWS, near % WIDTH


@triton.jit
def row_at(top, r: tl.constexpr, ROWS: tl.constexpr, HEIGHT: tl.constexpr):
    """Return a row of a lane, or the last of the map where it has no such one."""
    if HEIGHT % ROWS == 0:
        return top + r
    else:
        return tl.minimum(top + r, HEIGHT - 1)


@triton.jit
def _counted(values, row, HEIGHT: tl.constexpr, ROWS: tl.constexpr):
    """Return values of a row of each lane, zero where it lies below the map."""
    if HEIGHT % ROWS == 0:
        return values
    else:
        return tl.where((row < HEIGHT)[None, :], values, 0.0)


@triton.jit
def _by_tap(b_ptr, g, HAS_BIAS: tl.constexpr):
    """Return what is added to the weights of each tap before the group norm, by filter."""
    biases = ()
    for j in tl.static_range(9):
        if HAS_BIAS:
            biases = biases + (tl.load(b_ptr + g * 9 + j).to(tl.float32),)
        else:
            biases = biases + (tl.zeros(g.shape, dtype=tl.float32),)
    return biases


@triton.jit
def _statistics(
    raw, biases, inside, top, EPSILON: tl.constexpr, ROWS: tl.constexpr,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Return the mean of each filter's weights and the inverse of their standard deviation."""
    # a lane adds up its own first, so that lanes exchange sums once
    total = tl.zeros(inside.shape, dtype=tl.float32)
    for k in tl.static_range(9 * ROWS):
        total += _counted(raw[k], top + k % ROWS, HEIGHT, ROWS)
    mean = tl.sum(tl.where(inside, total, 0.0), axis=1) / (9 * HEIGHT * WIDTH)
    for j in tl.static_range(9):
        mean += biases[j] / 9
    squares = tl.zeros(inside.shape, dtype=tl.float32)
    for k in tl.static_range(9 * ROWS):
        apart = raw[k] - (mean - biases[k // ROWS])[:, None]
        apart = _counted(apart, top + k % ROWS, HEIGHT, ROWS)
        squares = tl.fma(apart, apart, squares)
    variance = tl.sum(tl.where(inside, squares, 0.0), axis=1) / (9 * HEIGHT * WIDTH)
    return mean, tl.rsqrt(variance + EPSILON)


@triton.jit
def normalised(
    raw, b_ptr, gamma_ptr, beta_ptr, g, inside, top, col, EPSILON: tl.constexpr,
    ROWS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, HAS_BIAS: tl.constexpr,
):  # fmt: skip
    """Return the weights after the group norm; zero where a tap is outside the map.

    Args:
        raw: Weights before it, `ROWS` of each tap, [filters, lanes].
        b_ptr: What is added to them, by filter and tap, and not read without `HAS_BIAS`.
        gamma_ptr: Scales of the group norm.
        beta_ptr: Its shifts.
        g: The filters.
        inside: Which of the weights there are.
        top: First row of each lane.
        col: Column of each lane.
        EPSILON: What is added to variances.
        ROWS: Rows of a lane.
        HEIGHT: Of the map.
        WIDTH: Of the map.
        HAS_BIAS: Whether anything is added.
    """
    biases = _by_tap(b_ptr, g, HAS_BIAS)
    mean, spread = _statistics(raw, biases, inside, top, EPSILON, ROWS, HEIGHT, WIDTH)
    weights = ()
    for j in tl.static_range(9):
        slope = spread * tl.load(gamma_ptr + g * 9 + j).to(tl.float32)
        shift = tl.load(beta_ptr + g * 9 + j).to(tl.float32)
        shift = tl.fma(biases[j] - mean, slope, shift)
        # what lies beside the map counts nothing, whatever is read in its place
        seen = ((col + (j % 3 - 1) >= 0) & (col + (j % 3 - 1) < WIDTH))[None, :]
        slopes = tl.where(seen, slope[:, None], 0.0)
        shifts = tl.where(seen, shift[:, None], 0.0)
        for r in tl.static_range(ROWS):
            weight = tl.fma(raw[j * ROWS + r], slopes, shifts)
            weights = weights + (_above_and_below(weight, top, r + j // 3 - 1, ROWS, HEIGHT),)
    return weights


@triton.jit
def _above_and_below(weight, top, r: tl.constexpr, ROWS: tl.constexpr, HEIGHT: tl.constexpr):
    """Return a weight, or zero where the row that it is for lies above or below the map."""
    if HEIGHT == ROWS:
        # all lanes begin at the first row, and no output reads weights of other rows
        return weight
    elif r < 0:
        return tl.where((top > 0)[None, :], weight, 0.0)
    elif r == ROWS or HEIGHT % ROWS != 0:
        return tl.where((top + r < HEIGHT)[None, :], weight, 0.0)
    else:
        return weight


@triton.jit
def _batch_norm(gain_ptr, offset_ptr, mean_ptr, variance_ptr, c, EPSILON: tl.constexpr):
    """Return scale and shift of channels."""
    variance = tl.load(variance_ptr + c).to(tl.float32)
    scale = tl.load(gain_ptr + c).to(tl.float32) * tl.rsqrt(variance + EPSILON)
    mean = tl.load(mean_ptr + c).to(tl.float32)
    return scale, tl.fma(-mean, scale, tl.load(offset_ptr + c).to(tl.float32))


@triton.jit
def _window_sums(
    x_base, weights, inside, top, col,
    ROWS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Return the aggregates of a lane's rows at one channel, and the inputs there."""
    columns = (tl.maximum(col - 1, 0), col, tl.minimum(col + 1, WIDTH - 1))
    sums = ()
    for _ in tl.static_range(ROWS):
        sums = sums + (tl.zeros(inside.shape, dtype=tl.float32),)
    middle = ()
    for q in tl.static_range(ROWS + 2):
        # where a lane has all rows of the map, nothing lies above and below
        if HEIGHT > ROWS or (q > 0 and q <= ROWS):
            for j in tl.static_range(3):
                if q == 0:
                    place = tl.maximum(top - 1, 0) * WIDTH + columns[j]
                    x = tl.load(x_base + place[None, :]).to(tl.float32)
                elif q == ROWS + 1 or HEIGHT % ROWS != 0:
                    place = tl.minimum(top + q - 1, HEIGHT - 1) * WIDTH + columns[j]
                    x = tl.load(x_base + place[None, :]).to(tl.float32)
                else:
                    place = x_base + (top * WIDTH + columns[j])[None, :]
                    x = tl.load(place + (q - 1) * WIDTH).to(tl.float32)
                if j == 1 and q > 0 and q <= ROWS:
                    middle = middle + (x,)
                updated = ()
                for r in tl.static_range(ROWS):
                    if q >= r and q - r < 3:
                        weight = weights[((q - r) * 3 + j) * ROWS + r]
                        updated = updated + (tl.fma(x, weight, sums[r]),)
                    else:
                        updated = updated + (sums[r],)
                sums = updated
    return sums, middle


@triton.jit
def aggregate_rows(
    x_ptr, y_ptr, gain_ptr, offset_ptr, mean_ptr, variance_ptr, weights, n, g, inside, top, col,
    weight_channels, EPSILON: tl.constexpr, CHANNELS: tl.constexpr, ROWS: tl.constexpr,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Aggregate, normalise and add the input, channel by channel of those that share filters."""
    base = n * (CHANNELS * weight_channels) * (HEIGHT * WIDTH)
    origin = (g * (HEIGHT * WIDTH))[:, None]
    for m in tl.range(CHANNELS):
        sums, middle = _window_sums(
            (x_ptr + base) + origin, weights, inside, top, col, ROWS, HEIGHT, WIDTH
        )
        scale, shift = _batch_norm(
            gain_ptr, offset_ptr, mean_ptr, variance_ptr, g + m * weight_channels, EPSILON
        )
        for r in tl.static_range(ROWS):
            y = tl.fma(sums[r], scale[:, None], shift[:, None]) + middle[r]
            place = (y_ptr + base) + (origin + (top * WIDTH + col)[None, :])
            written = inside & (top + r < HEIGHT)[None, :]
            tl.store(place + r * WIDTH, y.to(y_ptr.dtype.element_ty), mask=written)
        base += weight_channels * (HEIGHT * WIDTH)
