"""How long does small-kernel aggregation take, beside torch and beside moving the same bytes?

The method is that of `bench`. Torch's ways are the sum over taps, unfolding with a product, and the
latter through torch's compiler. A *step* is the forward pass and both gradients, by autograd. The
*tail* is the group norm of the weights, the aggregation, batch norm and residual of an LS
convolution in inference: fused, beside its parts one after the other. The *conv_tail* begins at the
1×1 convolution that makes the weights.
"""

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from ._aggregation_problem import Aggregation
from ._ls_problem import Tail
from .bench import sets_beyond_cache, time_or_reason
from .check_aggregation import random_aggregation
from .ls_conv_tail import ls_conv_tail
from .ls_tail import ls_tail
from .small_kernel_aggregation import (
    gradients_reference,
    small_kernel_aggregation,
    small_kernel_aggregation_reference,
)

Pass = Literal["forward", "backward", "step", "tail", "conv_tail"]
TAILS: tuple[Pass, ...] = ("tail", "conv_tail")
PASSES: tuple[Pass, ...] = ("forward", "backward", "step")
Contender = Callable[[Tensor, Tensor, Tensor], Any]
# copies of the inputs at most
_MOST_CALLS = 64
OURS, COPY, PARTS = "ours", "copy", "parts"
_EPSILON = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregationTiming:
    """One contender on one problem.

    Attributes:
        operation: Forward pass, both gradients, both passes, or the tail of an LS convolution.
        problem: What was aggregated.
        contender: What did it, or "copy", which moves as many bytes as the operation must.
        samples_s: Seconds per call, one for each replay; empty if it did not run.
        failure: Why it did not run.
    """

    operation: Pass
    problem: Aggregation
    contender: str
    samples_s: tuple[float, ...] = ()
    failure: str | None = None

    @property
    def median_s(self) -> float | None:
        """Median of the samples, or None."""
        return statistics.median(self.samples_s) if self.samples_s else None


def unfolded(x: Tensor, weight: Tensor) -> Tensor:
    """Aggregate by unfolding windows, with zeros around the image, and a product."""
    batch, _, height, width = x.shape
    side = math.isqrt(weight.shape[2])
    windows = functional.unfold(x, side, padding=side // 2)
    windows = windows.view(batch, -1, weight.shape[1], side * side, height, width)
    return torch.einsum("nmgkhw,ngkhw->nmghw", windows, weight.to(x.dtype)).flatten(1, 2)


def aggregation_contenders(
    operation: Pass, problem: Aggregation, *, compilers: bool = False
) -> dict[str, Contender]:
    """Return who can compute an operation.

    Args:
        operation: Forward pass, both gradients, both passes, or the tail of an LS convolution.
        problem: What is aggregated; unfolding knows no clamped border.
        compilers: Whether torch's compiler contends too, which takes a while.
    """
    if operation in TAILS:
        return tail_contenders(operation, problem, compilers=compilers)
    clamped = problem.clamped
    border: Literal["zeros", "clamped"] = "clamped" if clamped else "zeros"

    def ours(x: Tensor, weight: Tensor) -> Tensor:
        return small_kernel_aggregation(x, weight, border=border)

    forwards: dict[str, Callable[[Tensor, Tensor], Tensor]] = {OURS: ours}
    if not clamped:
        forwards["unfold"] = unfolded
    if compilers and not clamped:
        forwards["torch.compile"] = torch.compile(unfolded, fullgraph=True, dynamic=False)
    if operation == "backward":
        return {
            OURS: _kernel_gradients(problem),
            "taps": lambda x, w, grad: gradients_reference(grad, x, w, clamped),
        }
    if operation == "step":
        return {name: _step(forward) for name, forward in forwards.items()}
    forwards["taps"] = lambda x, w: small_kernel_aggregation_reference(x, w, clamped)
    return {name: _forward(forward) for name, forward in forwards.items()}


def tail_contenders(
    operation: Pass, problem: Aggregation, *, device: str = "cuda", compilers: bool = False
) -> dict[str, Contender]:
    """Return who can compute the tail of an LS convolution: the fused kernel, and its parts.

    Args:
        operation: Of `TAILS`.
        problem: What is aggregated, with zeros around the image.
        device: Where the parameters of the norms lie.
        compilers: Whether torch's compiler contends too, with the parts.
    """
    filters = problem.weight_channels

    def several(count: int, length: int) -> Tensor:
        return torch.rand(count, length, dtype=problem.dtype, device=device) + 0.5

    gamma, beta = several(2, filters * problem.taps)
    gain, offset, mean, variance = several(4, problem.channels)

    def ours(x: Tensor, weight: Tensor, _: Tensor) -> Any:
        batch_norm = [gain, offset, mean, variance]
        return ls_tail(x, weight, [gamma, beta], batch_norm, _EPSILON, _EPSILON)

    def parts(x: Tensor, weight: Tensor, _: Tensor) -> Tensor:
        flat = functional.group_norm(weight.flatten(1, 2), filters, gamma, beta, _EPSILON)
        y = small_kernel_aggregation(x, flat.view_as(weight))
        return functional.batch_norm(y, mean, variance, gain, offset, eps=_EPSILON) + x

    # of the convolution, with sums that are about one
    inner = problem.channels // 2
    factors = several(filters * problem.taps, inner).view(filters, problem.taps, inner) / inner
    bias = several(1, filters * problem.taps)[0]

    def ours_whole(x: Tensor, hidden: Tensor, _: Tensor) -> Any:
        norms = [gamma, beta], [gain, offset, mean, variance]
        return ls_conv_tail(x, hidden, [factors, bias], *norms, _EPSILON, _EPSILON)

    def all_parts(x: Tensor, hidden: Tensor, _: Tensor) -> Tensor:
        made = functional.conv2d(hidden, factors.flatten(0, 1)[..., None, None], bias)
        return parts(x, made.view(len(x), filters, problem.taps, *problem.size), _)

    found: dict[str, Contender] = {OURS: ours, PARTS: parts}
    if operation == "conv_tail":
        found = {OURS: ours_whole, PARTS: all_parts}
    if compilers:
        found["torch.compile"] = torch.compile(found[PARTS], fullgraph=True, dynamic=False)
    return found


def _forward(forward: Callable[[Tensor, Tensor], Tensor]) -> Contender:
    return lambda x, weight, _: forward(x, weight)


def _step(forward: Callable[[Tensor, Tensor], Tensor]) -> Contender:
    def step(x: Tensor, weight: Tensor, grad: Tensor) -> Any:
        inputs = x.detach().requires_grad_(), weight.detach().requires_grad_()
        return torch.autograd.grad(forward(*inputs), inputs, grad)

    return step


def _kernel_gradients(problem: Aggregation) -> Contender:
    operator = torch.ops.scaleprof.small_kernel_aggregation_grads
    return lambda x, weight, grad: operator(grad, x, weight, problem.clamped, True, True)


def bench_aggregation(
    operation: Pass, problem: Aggregation, *, compilers: bool = False
) -> Iterator[AggregationTiming]:
    """Time every contender on a problem, and a copy that moves as many bytes.

    Args:
        operation: Forward pass, both gradients, both passes, or the tail of an LS convolution.
        problem: What to aggregate.
        compilers: Whether torch's compiler contends too.

    Yields:
        A timing for each.
    """
    floor = floor_bytes(operation, problem)
    # a copy reads a byte for each that it writes
    half = torch.empty(floor // 2, dtype=torch.uint8, device="cuda")
    halves = sets_beyond_cache((half,), floor, most=_MOST_CALLS)
    yield _timed(COPY, operation, problem, lambda tensor: tensor.clone(), halves)
    first = random_inputs(operation, problem, device="cuda")
    sets = sets_beyond_cache(first, floor, most=_MOST_CALLS)
    for name, contender in aggregation_contenders(operation, problem, compilers=compilers).items():
        yield _timed(name, operation, problem, contender, sets)


def random_inputs(
    operation: Pass, problem: Aggregation, *, device: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what contenders are called with: a hidden image for weights where they are made."""
    x, weight, grad = random_aggregation(problem, device=device)
    if operation == "conv_tail":
        weight = grad[:, : problem.channels // 2].contiguous()
    return x, weight, grad


def floor_bytes(operation: Pass, problem: Aggregation) -> int:
    """Return the fewest bytes that an operation moves; a tail moves what a forward pass does."""
    if operation == "conv_tail":
        return Tail(
            batch=problem.batch, channels=problem.channels, groups=problem.groups,
            size=problem.size, kernel_size=problem.kernel_size, dtype=problem.dtype,
            inner=problem.channels // 2,
        ).bytes  # fmt: skip
    forward = problem.bytes if operation != "backward" else 0
    return forward + (problem.backward_bytes if operation in {"backward", "step"} else 0)


def _timed(
    name: str,
    operation: Pass,
    problem: Aggregation,
    contender: Callable[..., Any],
    sets: list[tuple[Tensor, ...]],
) -> AggregationTiming:
    samples, failure = time_or_reason(contender, sets)
    return AggregationTiming(
        operation=operation, problem=problem, contender=name, samples_s=samples, failure=failure
    )
