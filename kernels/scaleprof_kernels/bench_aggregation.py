"""How long does small-kernel aggregation take, beside torch and beside moving the same bytes?

The method is that of `bench`. Torch's ways are the sum over taps, unfolding with a product, and the
latter through torch's compiler. A *step* is the forward pass and both gradients, by autograd.
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
from .bench import sets_beyond_cache, time_or_reason
from .check_aggregation import random_aggregation
from .small_kernel_aggregation import (
    gradients_reference,
    small_kernel_aggregation,
    small_kernel_aggregation_reference,
)

Pass = Literal["forward", "backward", "step"]
PASSES: tuple[Pass, ...] = ("forward", "backward", "step")
Contender = Callable[[Tensor, Tensor, Tensor], Any]
# copies of the inputs at most
_MOST_CALLS = 64
OURS, COPY = "ours", "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregationTiming:
    """One contender on one problem.

    Attributes:
        operation: Forward pass, both gradients, or both passes.
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
        operation: Forward pass, both gradients, or both passes.
        problem: What is aggregated; unfolding knows no clamped border.
        compilers: Whether torch's compiler contends too, which takes a while.
    """
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
        operation: Forward pass, both gradients, or both passes.
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
    first = random_aggregation(problem, device="cuda")
    sets = sets_beyond_cache(first, floor, most=_MOST_CALLS)
    for name, contender in aggregation_contenders(operation, problem, compilers=compilers).items():
        yield _timed(name, operation, problem, contender, sets)


def floor_bytes(operation: Pass, problem: Aggregation) -> int:
    """Return the fewest bytes that an operation moves."""
    forward = problem.bytes if operation != "backward" else 0
    return forward + (problem.backward_bytes if operation != "forward" else 0)


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
