"""The Triton kernels by name: run one on a problem. Tensors may lie on a CPU when interpreted."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ._direct import plan_direct
from ._direct_weight_grad import plan_direct_weight_grad
from ._launch import Launch, capability_of
from ._layout import layout_of
from ._phases import phases_of
from ._problem import Operation, Problem
from ._toeplitz import plan_toeplitz
from ._toeplitz_weight_grad import plan_toeplitz_weight_grad

CONVOLUTIONS = {"direct": plan_direct, "toeplitz": plan_toeplitz}
WEIGHT_GRADS = {"direct": plan_direct_weight_grad, "toeplitz": plan_toeplitz_weight_grad}


def convolve(
    variant: str, problem: Problem, x: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """Convolve on a Triton kernel.

    Args:
        variant: "direct" or "toeplitz".
        problem: What is convolved.
        x: Input.
        weight: Filters.
        bias: One number per channel, or None.

    Returns:
        The output, in the problem's order of memory.
    """
    run = _as_run(variant, problem)
    y = _empty(x, run, run.out_size)
    weight = _as_read(weight, run)
    launch = CONVOLUTIONS[variant](
        run,
        turned=False,
        has_bias=bias is not None,
        capability=capability_of(x.device),
        layout=layout_of(weight, y),
    )
    launch.run(
        x_ptr=x.contiguous(memory_format=run.memory_format),
        w_ptr=weight,
        # a pointer that is not read
        b_ptr=weight if bias is None else bias.contiguous(),
        y_ptr=y,
    )
    return y.contiguous(memory_format=problem.memory_format)


def input_gradient(variant: str, problem: Problem, grad: Tensor, weight: Tensor) -> Tensor:
    """Compute the gradient of the input on a Triton kernel.

    Args:
        variant: "direct" or "toeplitz".
        problem: What was convolved.
        grad: Output gradient.
        weight: Filters.
    """
    run = _as_run(variant, problem)
    grad = grad.contiguous(memory_format=run.memory_format)
    weight = _as_read(weight, run)
    x_grad = _empty(grad, run, run.size)
    for launch, taps, part in _parts(variant, run, weight, x_grad):
        launch.run(x_ptr=grad, w_ptr=taps, b_ptr=taps, y_ptr=part)
    return x_grad.contiguous(memory_format=problem.memory_format)


def _parts(
    variant: str, problem: Problem, weight: Tensor, x_grad: Tensor, capability: int | None = None
) -> Iterator[tuple[Launch, Tensor, Tensor]]:
    """Launches that give input gradients, with the taps that each takes and where it writes."""
    plan = partial(
        CONVOLUTIONS[variant],
        turned=True,
        has_bias=False,
        capability=capability or capability_of(x_grad.device),
    )
    if problem.stride == (1, 1):
        yield plan(problem.transposed(), layout=layout_of(weight, x_grad)), weight, x_grad
        return
    phases = phases_of(problem)
    # `can_run` says so
    assert phases is not None
    for phase in phases:
        taps = weight[..., phase.taps_h, phase.taps_w]
        part = x_grad[..., phase.rows, phase.columns]
        yield plan(phase.problem, layout=layout_of(taps, part)), taps, part


def _empty(like: Tensor, problem: Problem, size: tuple[int, int]) -> Tensor:
    """A tensor of that height and width, in the problem's order of memory."""
    return torch.empty(
        (problem.batch, problem.channels, *size),
        dtype=like.dtype,
        device=like.device,
        memory_format=problem.memory_format,
    )


def weight_gradient(variant: str, problem: Problem, x: Tensor, grad: Tensor) -> Tensor:
    """Compute the gradient of the filters on a Triton kernel.

    Args:
        variant: "direct" or "toeplitz".
        problem: What was convolved.
        x: Input.
        grad: Output gradient.
    """
    problem = _as_run(variant, problem)
    launch, splits = WEIGHT_GRADS[variant](problem, capability=capability_of(x.device))
    shares = x.new_empty(
        (splits, problem.channels, 1, *problem.kernel), dtype=launch.pointers["p_ptr"]
    )
    launch.run(
        x_ptr=x.contiguous(memory_format=problem.memory_format),
        g_ptr=grad.contiguous(memory_format=problem.memory_format),
        p_ptr=shares,
    )
    # a single share is the sum already
    return shares[0].to(x.dtype) if splits == 1 else shares.sum(0).to(x.dtype)


def launches(
    variant: str, operation: Operation, problem: Problem, *, capability: int
) -> tuple[Launch, ...]:
    """Return the launches of a variant on a generation of GPUs, without running them."""
    problem = _as_run(variant, problem)
    if operation == "weight_grad":
        return (WEIGHT_GRADS[variant](problem, capability=capability)[0],)
    if operation == "forward":
        plan = CONVOLUTIONS[variant]
        return (plan(problem, turned=False, has_bias=True, capability=capability),)
    # tensors without memory
    x_grad = _empty(torch.empty((), dtype=problem.dtype, device="meta"), problem, problem.size)
    weight = _as_read(x_grad.new_empty((problem.channels, 1, *problem.kernel)), problem)
    return tuple(launch for launch, *_ in _parts(variant, problem, weight, x_grad, capability))


def _as_run(variant: str, problem: Problem) -> Problem:
    """The problem in the order of memory in which the variant works."""
    return replace(problem, channels_last=problem.channels_last and variant == "direct")


def _as_read(weight: Tensor, problem: Problem) -> Tensor:
    """Filters in the order of memory in which neighbouring lanes read neighbouring numbers."""
    if not problem.channels_last:
        return weight.contiguous()
    return weight.permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1)
