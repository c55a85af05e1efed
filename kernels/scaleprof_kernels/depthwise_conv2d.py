r"""Depthwise convolution with large kernels.

.. math::
    y[n, c, h, w] = b[c] + \sum_{i < K_h, \, j < K_w}
        w[c, i, j] \; x[n, c,\; h S_h - P_t + i D_h,\; w S_w - P_l + j D_w],

zero outside the image. Filters of RepLKNet (Ding et al., 2022, https://arxiv.org/abs/2203.06717),
UniRepLKNet (Ding et al., 2023, https://arxiv.org/abs/2311.15599) and SLaK (Liu et al., 2022,
https://arxiv.org/abs/2207.03620) have 7 to 51 taps a side.

Per output element, with `K = K_h K_w` taps and `e` bytes per number, at stride one:

    forward          2 K FLOPs      reads x once, writes y once             2 e bytes
    input gradient   2 K FLOPs      reads dy once, writes dx once           2 e bytes
    weight gradient  2 K FLOPs      reads x and dy once                     2 e bytes

In half precision that is `K / 2` FLOPs per byte. With 3.0 TB/s of memory and 67 TFLOP/s of ordinary
arithmetic (H100) memory is the floor up to 44 taps, 7×7 at most; above, ordinary arithmetic is, and
tensor cores go further. The products with a band matrix that they need take one to four times the
FLOPs, so up to 17×17 taps memory is the floor again. In float32 they round factors to TF32, and
compute only where torch is asked for that; by default float32 is exact.

Our kernels give the same bits on every run; where the table of choices prefers torch, torch's own
rule holds (`torch.use_deterministic_algorithms`). The three operators are closed under
differentiation: the gradient of each is made of the other two.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import register_flop_formula

from ._arguments import as_paddings, as_pair, autocast, check_reach, check_tensors
from ._choices import choose
from ._launch import capability_of
from ._problem import Operation, Problem, is_channels_last, memory_format, output_length
from ._tf32 import may_round

Pair = Sequence[int]
_HAS_TRITON = find_spec("triton") is not None and torch.version.hip is None
# the A100: older GPUs lack bfloat16 and copies to shared memory that need no register
_OLDEST = 80


# 1. Eager reference: the definition. Everything below must agree with it.
def depthwise_conv2d_reference(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """Convolve with torch; `padding` is top, bottom, left, right."""
    x_padded, even = _with_even_padding(x, padding)
    y = functional.conv2d(x_padded, weight, bias, stride, even, dilation, weight.shape[0])
    return y.contiguous(memory_format=memory_format(x))


def input_grad_reference(
    grad: Tensor, weight: Tensor, size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """Return the gradient of the input, of height and width `size`, with torch."""
    # never read; torch asks it for its shape and order of memory
    shape, kind = (*grad.shape[:2], *size), memory_format(grad)
    x = torch.empty(shape, dtype=grad.dtype, device=grad.device, memory_format=kind)
    x_padded, even = _with_even_padding(x, padding)
    wanted = (True, False, False)
    padded = _torch_gradients(grad, x_padded, weight, stride, even, dilation, wanted)[0]
    top, bottom, left, right = padding
    if x_padded is not x:
        padded = functional.pad(padded, (-left, -right, -top, -bottom))
    x_grad: Tensor = padded.contiguous(memory_format=memory_format(grad))
    return x_grad


def weight_grad_reference(
    grad: Tensor, x: Tensor, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """Return the gradient of the filters with torch."""
    weight = x.new_empty((x.shape[1], 1, *kernel_size))
    x_padded, even = _with_even_padding(x, padding)
    wanted = (False, True, False)
    gradients = _torch_gradients(grad, x_padded, weight, stride, even, dilation, wanted)
    weight_grad: Tensor = gradients[1].contiguous()
    return weight_grad


def _torch_gradients(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    wanted: tuple[bool, bool, bool],
) -> Any:
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, dilation, False, (0, 0), x.shape[1], wanted
    )


def _with_even_padding(x: Tensor, padding: Pair) -> tuple[Tensor, tuple[int, int]]:
    """Leave to torch the padding it can do, the same on both sides; do any other here."""
    top, bottom, left, right = padding
    if top == bottom >= 0 and left == right >= 0:
        return x, (top, left)
    return functional.pad(x, (left, right, top, bottom)), (0, 0)


# 2. Triton kernels, in the files beside this one; `choose` says which one runs.
def _forward_cuda(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    problem = _problem(x, weight.shape[2:], stride, padding, dilation)
    variant = _variant("forward", problem, x.device)
    if variant == "torch":
        return depthwise_conv2d_reference(x, weight, bias, stride, padding, dilation)
    from ._kernels import convolve

    return convolve(variant, problem, x, weight, bias)


def _input_grad_cuda(
    grad: Tensor, weight: Tensor, size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    problem = _problem(grad, weight.shape[2:], stride, padding, dilation)
    problem = replace(problem, size=(size[0], size[1]))
    variant = _variant("input_grad", problem, grad.device)
    if variant == "torch":
        return input_grad_reference(grad, weight, size, stride, padding, dilation)
    from ._kernels import input_gradient

    return input_gradient(variant, problem, grad, weight)


def _weight_grad_cuda(
    grad: Tensor, x: Tensor, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    problem = _problem(x, kernel_size, stride, padding, dilation)
    variant = _variant("weight_grad", problem, x.device)
    if variant == "torch":
        return weight_grad_reference(grad, x, kernel_size, stride, padding, dilation)
    from ._kernels import weight_gradient

    return weight_gradient(variant, problem, x, grad)


def _problem(x: Tensor, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Problem:
    batch, channels, height, width = x.shape
    top, bottom, left, right = padding
    return Problem(
        batch=batch,
        channels=channels,
        size=(height, width),
        kernel=(kernel_size[0], kernel_size[1]),
        stride=(stride[0], stride[1]),
        padding=(top, bottom, left, right),
        dilation=(dilation[0], dilation[1]),
        dtype=x.dtype,
        channels_last=is_channels_last(x),
        tf32=x.dtype == torch.float32 and may_round(),
    )


def kernel_for(
    x: Tensor,
    weight: Tensor,
    stride: Pair,
    padding: int | Pair | Literal["same", "valid"],
    dilation: Pair,
) -> str:
    """Return which kernel runs the forward pass on a GPU: "toeplitz", "direct" or "torch"."""
    steps = as_pair(stride, "stride"), as_pair(dilation, "dilation")
    paddings = as_paddings(padding, weight.shape[2:], *steps)
    x = autocast(x, x)
    return _variant(
        "forward", _problem(x, weight.shape[2:], steps[0], paddings, steps[1]), x.device
    )


def _variant(operation: Operation, problem: Problem, device: torch.device) -> str:
    if not _HAS_TRITON or problem.outputs == 0 or capability_of(device) < _OLDEST:
        return "torch"
    return choose(operation, problem).variant


# 3. Operators: device dispatch, shape inference, backward, FLOP formula.
#    Plain `Tensor` annotations: torch infers the operators' schemas from them.
@torch.library.custom_op("scaleprof::depthwise_conv2d", mutates_args=())
def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    return depthwise_conv2d_reference(x, weight, bias, stride, padding, dilation)


@torch.library.custom_op("scaleprof::depthwise_conv2d_input_grad", mutates_args=())
def _input_grad(
    grad: Tensor,
    weight: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    return input_grad_reference(grad, weight, size, stride, padding, dilation)


@torch.library.custom_op("scaleprof::depthwise_conv2d_weight_grad", mutates_args=())
def _weight_grad(
    grad: Tensor,
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    return weight_grad_reference(grad, x, kernel_size, stride, padding, dilation)


_conv.register_kernel("cuda")(_forward_cuda)
_input_grad.register_kernel("cuda")(_input_grad_cuda)
_weight_grad.register_kernel("cuda")(_weight_grad_cuda)


@_conv.register_fake
def _(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    top, bottom, left, right = padding
    edges = ((top, bottom), (left, right))
    size = [
        output_length(
            x.shape[2 + axis],
            taps=weight.shape[2 + axis],
            before=edges[axis][0],
            after=edges[axis][1],
            stride=stride[axis],
            dilation=dilation[axis],
        )
        for axis in (0, 1)
    ]
    shape = (*x.shape[:2], *size)
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=memory_format(x))


@_input_grad.register_fake
def _(
    grad: Tensor, weight: Tensor, size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    shape = (*grad.shape[:2], *size)
    kind = memory_format(grad)
    return torch.empty(shape, dtype=grad.dtype, device=grad.device, memory_format=kind)


@_weight_grad.register_fake
def _(
    grad: Tensor, x: Tensor, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    return x.new_empty((x.shape[1], 1, *kernel_size))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Keep the two tensors, and the geometry, with which the arguments of all three end."""
    ctx.save_for_backward(*inputs[:2])
    ctx.geometry = inputs[-3:]


def _conv_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    wants_x, wants_weight, wants_bias = ctx.needs_input_grad[:3]
    return (
        _input_grad(grad, weight, x.shape[2:], *ctx.geometry) if wants_x else None,
        _weight_grad(grad, x, weight.shape[2:], *ctx.geometry) if wants_weight else None,
        grad.sum((0, 2, 3)) if wants_bias else None,
        None,
        None,
        None,
    )


def _input_grad_backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    grad, weight = ctx.saved_tensors
    wants_grad, wants_weight = ctx.needs_input_grad[:2]
    return (
        _conv(upstream, weight, None, *ctx.geometry) if wants_grad else None,
        _weight_grad(grad, upstream, weight.shape[2:], *ctx.geometry) if wants_weight else None,
        *(None,) * 4,
    )


def _weight_grad_backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    grad, x = ctx.saved_tensors
    wants_grad, wants_x = ctx.needs_input_grad[:2]
    return (
        _conv(x, upstream, None, *ctx.geometry) if wants_grad else None,
        _input_grad(grad, upstream, x.shape[2:], *ctx.geometry) if wants_x else None,
        *(None,) * 4,
    )


_conv.register_autograd(_conv_backward, setup_context=_setup_context)
_input_grad.register_autograd(_input_grad_backward, setup_context=_setup_context)
_weight_grad.register_autograd(_weight_grad_backward, setup_context=_setup_context)


@register_flop_formula(torch.ops.scaleprof.depthwise_conv2d)
def _conv_flops(x_shape: Pair, weight_shape: Pair, *_: Any, out_shape: Pair, **__: Any) -> int:
    return 2 * math.prod(out_shape) * math.prod(weight_shape[2:])


@register_flop_formula(torch.ops.scaleprof.depthwise_conv2d_input_grad)
def _input_grad_flops(grad_shape: Pair, weight_shape: Pair, *_: Any, **__: Any) -> int:
    return 2 * math.prod(grad_shape) * math.prod(weight_shape[2:])


@register_flop_formula(torch.ops.scaleprof.depthwise_conv2d_weight_grad)
def _weight_grad_flops(
    grad_shape: Pair, x_shape: Pair, kernel_size: Pair, *_: Any, **__: Any
) -> int:
    return 2 * math.prod(grad_shape) * math.prod(kernel_size)


# 4. Public function: validate, cast under autocast, call
def depthwise_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int | Pair = 1,
    padding: int | Pair | Literal["same", "valid"] = "same",
    dilation: int | Pair = 1,
) -> Tensor:
    """Convolve each channel with a filter of its own.

    Equal to `torch.nn.functional.conv2d` with as many groups as channels, and to it alone where the
    table of choices says that torch is faster, on devices without Triton, and for several filters
    per channel. float32 is exact unless torch is asked for TF32, as by
    ``torch.set_float32_matmul_precision("high")``. On tensor cores, a NaN or infinity spreads a few
    pixels further than the filter reaches, within its image and channel.

    Args:
        x: Images, [batch, channels, height, width] or [channels, height, width], in either order
            of memory, which the output follows.
        weight: Filters, [channels, 1, kernel height, kernel width].
        bias: One number per channel, or None.
        stride: Step between outputs, the same both ways or vertical and horizontal.
        padding: Zeros around the image, the same on all sides or vertical and horizontal. "same"
            keeps the size at stride one; of an odd number the larger half is below and right.
        dilation: Step between taps, the same both ways or vertical and horizontal.

    Returns:
        The output, of the dtype of `x`, or of autocast's.

    Raises:
        ValueError: If shapes, padding or devices do not fit together.
        TypeError: If dtypes do not.

    Examples:
        >>> depthwise_conv2d(torch.ones(1, 2, 4, 4), torch.ones(2, 1, 3, 3))[0, 0]
        tensor([[4., 6., 6., 4.],
                [6., 9., 9., 6.],
                [6., 9., 9., 6.],
                [4., 6., 6., 4.]])
    """
    x, weight = autocast(x, x), autocast(weight, x)
    bias = None if bias is None else autocast(bias, x)
    check_tensors(x, weight, bias)
    steps = as_pair(stride, "stride"), as_pair(dilation, "dilation")
    paddings = as_paddings(padding, weight.shape[2:], *steps)
    batched = x if x.dim() == 4 else x[None]
    check_reach(batched.shape[2:], weight.shape[2:], paddings, steps[1])
    if weight.shape[0] == batched.shape[1]:
        y: Tensor = _conv(batched, weight, bias, steps[0], paddings, steps[1])
    else:
        x_padded, even = _with_even_padding(batched, paddings)
        groups = batched.shape[1]
        y = functional.conv2d(x_padded, weight, bias, steps[0], even, steps[1], groups)
    return y if x.dim() == 4 else y[0]
