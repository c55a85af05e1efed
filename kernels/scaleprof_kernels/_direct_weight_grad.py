"""Weight gradient on ordinary arithmetic: any stride, dilation, kernel size and memory order.

The roles of outputs and weights in the direct convolution are swapped: a program keeps the
gradients of `TAPS_T` taps in registers while inputs and output gradients pass by, for one position
of the filter along `u`. Each program adds up its share of the images in a fixed order and writes
it down; the shares are then added in a fixed order too, so the result never depends on timing.
"""

from functools import lru_cache

import torch
import triton
import triton.language as tl

from ._axes import WARPS, Axes
from ._launch import Launch
from ._layout import dense
from ._problem import Problem
from ._window import blocks

# enough programs for a large GPU, the same on every GPU, so that results do not depend on it
_PROGRAMS = 2048


@triton.jit
def _direct_weight_grad_kernel(
    x_ptr, g_ptr, p_ptr,
    batch, channels, in_t, in_u, out_t, out_u, pad_t, pad_u, stride_u, dilation_u, taps_t,
    taps_u, tap_blocks, lane_blocks, t_blocks, x_n, x_c, x_t, x_u, y_n, y_c, y_t, y_u,
    w_t, w_u, chunk,
    STRIDE_T: tl.constexpr, DILATION_T: tl.constexpr, TAPS_T: tl.constexpr,
    BLOCK_T: tl.constexpr, BLOCK_L: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    tap_u = tl.program_id(0) % taps_u
    tap_t = tl.program_id(0) // taps_u % tap_blocks * TAPS_T
    pid = tl.program_id(0) // taps_u // tap_blocks
    channel_blocks = tl.cdiv(channels, BLOCK_C)
    c = pid % channel_blocks * BLOCK_C + tl.arange(0, BLOCK_C)[None, :]
    split = pid // channel_blocks
    sums = ()
    for _ in tl.static_range(TAPS_T):
        sums = sums + (tl.zeros((BLOCK_L, BLOCK_C), dtype=tl.float32),)
    for step in range(split * chunk, tl.minimum(split * chunk + chunk, lane_blocks * t_blocks)):
        lane = step % lane_blocks * BLOCK_L + tl.arange(0, BLOCK_L)[:, None]
        t0 = step // lane_blocks * BLOCK_T
        n = (lane // out_u).to(tl.int64)
        u = lane % out_u
        inside = (lane < batch * out_u) & (c < channels)
        g_base = g_ptr + n * y_n + c.to(tl.int64) * y_c + u * y_u
        grads = ()
        for r in tl.static_range(BLOCK_T):
            # a row number per lane: the interpreter cannot mask by a scalar
            row = t0 + r + 0 * u
            g = tl.load(g_base + row * y_t, mask=inside & (row < out_t), other=0.0)
            grads = grads + (g.to(tl.float32),)
        col = u * stride_u - pad_u + tap_u * dilation_u
        in_cols = inside & (col >= 0) & (col < in_u)
        x_base = x_ptr + n * x_n + c.to(tl.int64) * x_c + col * x_u
        for q in tl.static_range((BLOCK_T - 1) * STRIDE_T + (TAPS_T - 1) * DILATION_T + 1):
            row = t0 * STRIDE_T - pad_t + tap_t * DILATION_T + q + 0 * u
            ok = in_cols & (row >= 0) & (row < in_t)
            x = tl.load(x_base + row * x_t, mask=ok, other=0.0).to(tl.float32)
            updated = ()
            for i in tl.static_range(TAPS_T):
                # tap i joins input q and output r where q = r * stride + i * dilation
                if (q - i * DILATION_T) % STRIDE_T == 0 and (
                    q >= i * DILATION_T and q - i * DILATION_T < BLOCK_T * STRIDE_T
                ):
                    g = grads[(q - i * DILATION_T) // STRIDE_T]
                    updated = updated + (tl.fma(x, g, sums[i]),)
                else:
                    updated = updated + (sums[i],)
            sums = updated

    p_base = p_ptr + (split.to(tl.int64) * channels + c) * taps_t * taps_u + tap_u * w_u
    for i in tl.static_range(TAPS_T):
        ok = (c < channels) & (tap_t + i + 0 * c < taps_t)
        tl.store(p_base + (tap_t + i) * w_t, tl.sum(sums[i], axis=0)[None, :], mask=ok)


@lru_cache(maxsize=1024)
def plan_direct_weight_grad(problem: Problem, *, capability: int) -> tuple[Launch, int]:
    """Return the launch, the same on every GPU, and the number of shares it divides into."""
    axes = Axes(problem)
    programs = problem.kernel[axes.u] * axes.tap_blocks * axes.channel_blocks
    steps = axes.lane_blocks * axes.t_blocks
    chunk = blocks(steps, min(steps, blocks(_PROGRAMS, programs)))
    splits = blocks(steps, chunk)
    # the shares are rows, columns of a filter, whatever the order of memory
    w_t, w_u = (1, problem.kernel[1]) if problem.channels_last else (problem.kernel[1], 1)
    launch = Launch(
        kernel=_direct_weight_grad_kernel,
        grid=programs * splits,
        pointers={"x_ptr": problem.dtype, "g_ptr": problem.dtype, "p_ptr": torch.float32},
        integers={
            **axes.integers(),
            **axes.output_strides(dense(problem)),
            "w_t": w_t,
            "w_u": w_u,
            "chunk": chunk,
        },
        constants=axes.constants(),
        num_warps=WARPS,
    )
    return launch, splits
