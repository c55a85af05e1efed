r"""Small-kernel aggregation, backward, for large windows: row by row of what is around a lane.

The kernel beside this one keeps the weights around a lane and their gradient in registers, which
have room for windows of 3×3. This one goes through the rows of the output gradients and inputs
around its lane, and keeps what belongs to one of them: the weights with which that row of outputs
reads the lane's pixels, and the gradients of the weights with which the lane's outputs read that
row of inputs. The sums of the input's gradient, of up to eight channels, stay in registers.

Lanes, the order of sums and the shares of more than eight channels are those of the other kernel,
and both gradients come from one launch.
"""

import triton
import triton.language as tl

from ._aggregate import lanes_at, window_at, zeros


@triton.jit
def _middles(
    g_base, row, col, height, width, step, origin, x_h, x_w,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Read the output gradients of a lane's own pixels, channel by channel."""
    middles = ()
    for m in tl.static_range(CHANNELS):
        for r in tl.static_range(ROWS):
            place = origin + tl.minimum(row + r, height - 1) * x_h + col * x_w
            middles = middles + (tl.load((g_base + m * step) + place).to(tl.float32),)
    return middles


@triton.jit
def _weights_of_row(
    w_base, out_row, row, col, height, width, w_k, w_h, w_w,
    SIDE: tl.constexpr, ROWS: tl.constexpr, SPAN: tl.constexpr, CLAMPED: tl.constexpr,
):  # fmt: skip
    """Read the weights with which a row of outputs reads a lane's pixels; zero where none does."""
    start = window_at(out_row, height, SIDE, CLAMPED)
    weights = ()
    for r in tl.static_range(ROWS):
        down = row + r - start
        seen = (row + r < height) & (out_row >= 0) & (out_row < height)
        seen = seen & (down >= 0) & (down < SIDE)
        base = w_base + down * SIDE * w_k + out_row * w_h
        for b in tl.static_range(SPAN):
            out_col = col + b - SPAN // 2
            right = col - window_at(out_col, width, SIDE, CLAMPED)
            ok = seen & (out_col >= 0) & (out_col < width) & (right >= 0) & (right < SIDE)
            place = base + right * w_k + out_col * w_w
            weights = weights + (tl.load(place, mask=ok, other=0.0).to(tl.float32),)
    return weights


@triton.jit
def _add_row(
    g_base, near, col, width, step, x_w, weights, sums,
    ROWS: tl.constexpr, SPAN: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Add what a row of outputs contributes to the gradient of a lane's inputs."""
    updated = ()
    for m in tl.static_range(CHANNELS):
        own = ()
        for r in tl.static_range(ROWS):
            own = own + (sums[m * ROWS + r],)
        for b in tl.static_range(SPAN):
            near_col = tl.minimum(tl.maximum(col + b - SPAN // 2, 0), width - 1)
            grad = tl.load((g_base + m * step) + (near + near_col * x_w)).to(tl.float32)
            added = ()
            for r in tl.static_range(ROWS):
                added = added + (tl.fma(grad, weights[r * SPAN + b], own[r]),)
            own = added
        updated = updated + own
    return updated


@triton.jit
def _share_of_row(
    x_base, near, left, width, step, x_w, middles,
    ROWS: tl.constexpr, SIDE: tl.constexpr, CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Return the gradient of the weights with which a lane's outputs read a row of inputs."""
    shares = zeros(ROWS * SIDE, BLOCK)
    for m in tl.static_range(CHANNELS):
        updated = ()
        for j in tl.static_range(SIDE):
            near_col = tl.minimum(tl.maximum(left + j, 0), width - 1)
            x = tl.load((x_base + m * step) + (near + near_col * x_w)).to(tl.float32)
            for r in tl.static_range(ROWS):
                updated = updated + (tl.fma(middles[m * ROWS + r], x, shares[j * ROWS + r]),)
        shares = updated
    return shares


@triton.jit
def _store_row(
    gw_base, shares, inside, q, row, top, left, height, width,
    ROWS: tl.constexpr, SIDE: tl.constexpr,
):  # fmt: skip
    """Write what `_share_of_row` returned; weights of what lies outside have no gradient."""
    for r in tl.static_range(ROWS):
        i = q - r
        written = inside & (row + r < height) & (0 * row + i >= 0) & (0 * row + i < SIDE)
        for j in tl.static_range(SIDE):
            ok = (top + q >= 0) & (top + q < height) & (left + j >= 0) & (left + j < width)
            share = tl.where(ok, shares[j * ROWS + r], 0.0)
            place = gw_base + r * width + (i * SIDE + j) * height * width
            tl.store(place, share.to(gw_base.dtype.element_ty), mask=written)


@triton.jit
def aggregate_backward_rows_kernel(
    g_ptr, x_ptr, w_ptr, gx_ptr, gw_ptr,
    total, height, width, weight_channels, row_blocks, lane_blocks, x_n, x_c, x_h, x_w,
    w_n, w_g, w_k, w_h, w_w, share_size,
    SIDE: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr, CLAMPED: tl.constexpr,
    CHANNELS_LAST: tl.constexpr, BLOCK: tl.constexpr,
    SPAN: tl.constexpr, WANTS_X: tl.constexpr, WANTS_WEIGHT: tl.constexpr,
):  # fmt: skip
    """Compute both gradients; the arguments are those of the kernel for small windows."""
    start = tl.program_id(0) % lane_blocks * BLOCK
    chunk = tl.program_id(0) // lane_blocks
    inside = start + tl.arange(0, BLOCK) < total
    first, n, g, row, col = lanes_at(
        start, total, width, weight_channels, row_blocks, BLOCK, CHANNELS_LAST, ROWS
    )
    top = window_at(row, height, SIDE, CLAMPED)
    left = window_at(col, width, SIDE, CLAMPED)
    origin = n * x_n + (g + chunk * CHANNELS * weight_channels) * x_c
    base = first * x_n
    step = weight_channels * x_c
    w_base = w_ptr + first * w_n + (n * w_n + g * w_g)
    gw_image = weight_channels * (SIDE * SIDE) * height * width
    gw_base = gw_ptr + chunk.to(tl.int64) * share_size + first * gw_image
    gw_base += n * gw_image + g * (SIDE * SIDE) * height * width + row * width + col
    sums = zeros(CHANNELS * ROWS, BLOCK)
    middles = _middles(
        g_ptr + base, row, col, height, width, step, origin, x_h, x_w, ROWS, CHANNELS
    )
    for q in tl.range(ROWS + SPAN - 1):
        if WANTS_X:
            out_row = row - SPAN // 2 + q
            weights = _weights_of_row(
                w_base, out_row, row, col, height, width, w_k, w_h, w_w, SIDE, ROWS, SPAN, CLAMPED
            )
            near = origin + tl.minimum(tl.maximum(out_row, 0), height - 1) * x_h
            sums = _add_row(
                g_ptr + base, near, col, width, step, x_w, weights, sums, ROWS, SPAN, CHANNELS
            )
        # windows that were moved into the image can be read from farther than they reach
        if WANTS_WEIGHT and (SPAN == SIDE or q < ROWS + SIDE - 1):
            near = origin + tl.minimum(tl.maximum(top + q, 0), height - 1) * x_h
            shares = _share_of_row(
                x_ptr + base, near, left, width, step, x_w, middles, ROWS, SIDE, CHANNELS, BLOCK
            )
            _store_row(gw_base, shares, inside, q, row, top, left, height, width, ROWS, SIDE)
    if WANTS_X:
        for m in tl.static_range(CHANNELS):
            for r in tl.static_range(ROWS):
                gx = sums[m * ROWS + r].to(gx_ptr.dtype.element_ty)
                place = origin + (row + r) * x_h + col * x_w
                gx_base = (gx_ptr + base) + m * step
                tl.store(gx_base + place, gx, mask=inside & (row + r < height))
