r"""Direct convolution on ordinary arithmetic: any stride, dilation, kernel size and memory order.

One axis of the image is the *tuple axis* `t`: a program keeps `BLOCK_T` of its outputs in
registers, so that an input that is loaded once meets all the taps that use it. The other spatial
axis `u` goes into the lanes, together with images or with channels. In NCHW the tuple axis is the
height and neighbouring lanes are neighbouring columns; in NHWC it is the width and they are
channels.

Per step along `u` a lane loads `BLOCK_T + TAPS_T - 1` inputs and `TAPS_T` weights, and does
`BLOCK_T * TAPS_T` multiply-adds. Filters of many taps along `t` are taken in parts.
"""

from functools import lru_cache

import triton
import triton.language as tl

from ._axes import WARPS, Axes
from ._launch import Launch
from ._layout import Layout, dense
from ._problem import Problem


@triton.jit
def _direct_kernel(
    x_ptr, w_ptr, b_ptr, y_ptr,
    batch, channels, in_t, in_u, out_t, out_u, pad_t, pad_u, stride_u, dilation_u, taps_t,
    taps_u, tap_blocks, lane_blocks, t_blocks, x_n, x_c, x_t, x_u, y_n, y_c, y_t, y_u,
    w_c, w_t, w_u, w_origin,
    STRIDE_T: tl.constexpr, DILATION_T: tl.constexpr, TAPS_T: tl.constexpr,
    BLOCK_T: tl.constexpr, BLOCK_L: tl.constexpr, BLOCK_C: tl.constexpr, HAS_BIAS: tl.constexpr,
):  # fmt: skip
    pid = tl.program_id(0)
    lane = (pid % lane_blocks) * BLOCK_L + tl.arange(0, BLOCK_L)[:, None]
    t0 = (pid // lane_blocks) % t_blocks * BLOCK_T
    c = (pid // lane_blocks) // t_blocks * BLOCK_C + tl.arange(0, BLOCK_C)[None, :]
    n = (lane // out_u).to(tl.int64)
    u = lane % out_u
    inside = (lane < batch * out_u) & (c < channels)
    x_base = x_ptr + n * x_n + c.to(tl.int64) * x_c
    w_base = w_ptr + w_origin + c * w_c

    sums = ()
    for _ in tl.static_range(BLOCK_T):
        sums = sums + (tl.zeros((BLOCK_L, BLOCK_C), dtype=tl.float32),)
    for step in range(taps_u * tap_blocks):
        tap_u = step // tap_blocks
        tap_t = step % tap_blocks * TAPS_T
        w_step = w_base + tap_t * w_t + tap_u * w_u
        weights = ()
        for i in tl.static_range(TAPS_T):
            # a number per channel: the interpreter cannot mask by a scalar
            ok = (c < channels) & (tap_t + i + 0 * c < taps_t)
            weights = weights + (tl.load(w_step + i * w_t, mask=ok, other=0.0).to(tl.float32),)
        in_col = u * stride_u - pad_u + tap_u * dilation_u
        in_cols = inside & (in_col >= 0) & (in_col < in_u)
        for q in tl.static_range((BLOCK_T - 1) * STRIDE_T + (TAPS_T - 1) * DILATION_T + 1):
            # a row number per lane: the interpreter cannot mask by a scalar
            in_row = t0 * STRIDE_T - pad_t + tap_t * DILATION_T + q + 0 * in_col
            ok = in_cols & (in_row >= 0) & (in_row < in_t)
            x = tl.load(x_base + in_row * x_t + in_col * x_u, mask=ok, other=0.0).to(tl.float32)
            updated = ()
            for r in tl.static_range(BLOCK_T):
                # output r meets input q through tap i where q = r * stride + i * dilation
                if (q - r * STRIDE_T) % DILATION_T == 0 and (
                    q >= r * STRIDE_T and q - r * STRIDE_T < TAPS_T * DILATION_T
                ):
                    weight = weights[(q - r * STRIDE_T) // DILATION_T]
                    updated = updated + (tl.fma(x, weight, sums[r]),)
                else:
                    updated = updated + (sums[r],)
            sums = updated

    bias = 0.0
    if HAS_BIAS:
        bias = tl.load(b_ptr + c, mask=c < channels, other=0.0).to(tl.float32)
    y_base = y_ptr + n * y_n + c.to(tl.int64) * y_c + u * y_u
    for r in tl.static_range(BLOCK_T):
        out_row = t0 + r + 0 * u
        y = (sums[r] + bias).to(y_ptr.dtype.element_ty)
        tl.store(y_base + out_row * y_t, y, mask=inside & (out_row < out_t))


@lru_cache(maxsize=1024)
def plan_direct(
    problem: Problem,
    *,
    turned: bool,
    has_bias: bool,
    capability: int,
    layout: Layout | None = None,
) -> Launch:
    """Return the launch of the direct kernel.

    Args:
        problem: What is convolved.
        turned: Whether the filters are turned by half a turn.
        has_bias: Whether a bias is added.
        capability: The generation of the GPU, which makes no difference here.
        layout: Where filters and outputs lie in memory; dense by default.
    """
    axes = Axes(problem)
    layout = layout or dense(problem)
    strides = {**axes.output_strides(layout), **axes.weight_strides(layout, turned=turned)}
    return Launch(
        kernel=_direct_kernel,
        grid=axes.lane_blocks * axes.t_blocks * axes.channel_blocks,
        pointers=dict.fromkeys(("x_ptr", "w_ptr", "b_ptr", "y_ptr"), problem.dtype),
        integers={**axes.integers(), **strides},
        constants={**axes.constants(), "HAS_BIAS": has_bias},
        num_warps=WARPS,
    )
