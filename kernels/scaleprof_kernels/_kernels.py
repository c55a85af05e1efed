"""The Triton kernels by name: run one on a problem. Tensors may lie on a CPU when interpreted."""

from dataclasses import replace

import torch
from torch import Tensor

from ._direct import plan_direct
from ._direct_weight_grad import plan_direct_weight_grad
from ._launch import Launch, capability_of
from ._problem import Operation, Problem
from ._toeplitz import plan_toeplitz
from ._toeplitz_weight_grad import plan_toeplitz_weight_grad

CONVOLUTIONS = {"direct": plan_direct, "toeplitz": plan_toeplitz}
WEIGHT_GRADS = {"direct": plan_direct_weight_grad, "toeplitz": plan_toeplitz_weight_grad}


def convolve(
    variant: str, problem: Problem, x: Tensor, weight: Tensor, bias: Tensor | None, *, turned: bool
) -> Tensor:
    """Convolve on a Triton kernel.

    Args:
        variant: "direct" or "toeplitz".
        problem: What is convolved; for input gradients, the transposed problem.
        x: Input, or output gradient.
        weight: Filters.
        bias: One number per channel, or None.
        turned: Whether the filters are turned by half a turn.

    Returns:
        The output, in the problem's order of memory.
    """
    wanted = problem.memory_format
    problem = _as_run(variant, problem)
    launch = CONVOLUTIONS[variant](
        problem,
        turned=turned,
        has_bias=bias is not None,
        capability=capability_of(x.device),
    )
    shape = (problem.batch, problem.channels, *problem.out_size)
    y = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=problem.memory_format)
    launch.run(
        x_ptr=x.contiguous(memory_format=problem.memory_format),
        w_ptr=_as_read(weight, problem),
        # a pointer that is not read
        b_ptr=weight if bias is None else bias.contiguous(),
        y_ptr=y,
    )
    return y.contiguous(memory_format=wanted)


def weight_gradient(variant: str, problem: Problem, x: Tensor, grad: Tensor) -> Tensor:
    """Compute the gradient of the filters on a Triton kernel; the arguments are as above."""
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


def launches(variant: str, operation: Operation, problem: Problem, *, capability: int) -> Launch:
    """Return the launch of a variant on a generation of GPUs, without running it."""
    problem = _as_run(variant, problem)
    if operation == "weight_grad":
        return WEIGHT_GRADS[variant](problem, capability=capability)[0]
    turned = operation == "input_grad"
    return CONVOLUTIONS[variant](
        problem.transposed() if turned else problem,
        turned=turned,
        has_bias=not turned,
        capability=capability,
    )


def _as_run(variant: str, problem: Problem) -> Problem:
    """The problem in the order of memory in which the variant works."""
    return replace(problem, channels_last=problem.channels_last and variant == "direct")


def _as_read(weight: Tensor, problem: Problem) -> Tensor:
    """Filters in the order in which neighbouring lanes read neighbouring numbers."""
    return weight.permute(2, 3, 1, 0).contiguous() if problem.channels_last else weight.contiguous()
