"""Are the kernels of LS convolution right? Compare each with float64, element by element.

The rule is that of `check`: an error is as large as rounding explains, and no larger.
"""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from ._aggregation_problem import Aggregation
from .check import Verdict, worst_error
from .small_kernel_aggregation import gradients_reference, small_kernel_aggregation_reference

AggregationOperation = Literal["forward", "input_grad", "weight_grad"]
AGGREGATION_OPERATIONS: tuple[AggregationOperation, ...] = ("forward", "input_grad", "weight_grad")
# a half is rounded once, by at most half a unit; float32 rounds each of its sums
_BOUNDS = {torch.float16: 1.0, torch.bfloat16: 1.0, torch.float32: 4.0}
_HALF, _BRAIN, _SINGLE = torch.float16, torch.bfloat16, torch.float32
AGGREGATE = "aggregate"
"""Name of the kernel in verdicts and timings."""


def aggregation(**given: Any) -> Aggregation:
    """Return a problem whose dtype may be given by its name.

    Args:
        given: Attributes of `Aggregation`.
    """
    if isinstance(given.get("dtype"), str):
        given["dtype"] = getattr(torch, given["dtype"])
    return Aggregation(**given)


def _case(size: tuple[int, int], **given: Any) -> Aggregation:
    """A problem of two images in float16, unless given, with 3 weight channels of 2 each."""
    defaults: dict[str, Any] = {"batch": 2, "channels": 6, "groups": 2, "dtype": _HALF}
    return Aggregation(size=size, **{**defaults, **given})


# each differs from the others in what it makes a kernel do
AGGREGATION_CASES: dict[str, Aggregation] = {
    "lsnet-28": _case((28, 28), channels=16, groups=8, batch=1),
    "lsnet-14": _case((14, 14), channels=24, groups=8, dtype=_BRAIN),
    "lsnet-7": _case((7, 7), channels=40, groups=8, weight_dtype=_SINGLE),
    "one-pixel": _case((1, 1), batch=5),
    "one-row": _case((1, 9)),
    "one-column": _case((9, 1), channels_last=True),
    "two-by-two": _case((2, 2), dtype=_SINGLE),
    "odd-sizes": _case((31, 5), channels=5, groups=1),
    "all-channels-share": _case((6, 7), channels=7, groups=7),
    "more-channels-than-a-program": _case((5, 6), channels=24, groups=24),
    "channels-that-eight-does-not-divide": _case((5, 6), channels=22, groups=11, dtype=_SINGLE),
    "many-images-in-a-program": _case((3, 2), batch=40, channels=2, groups=2),
    "channels-last": _case((9, 8), channels=33, groups=3, channels_last=True),
    "channels-last-single": _case((6, 5), channels=16, groups=8, channels_last=True, dtype=_SINGLE),
    "one-tap": _case((5, 4), kernel_size=1),
    "one-tap-channels-last": _case((5, 4), kernel_size=1, channels_last=True, dtype=_BRAIN),
    "five-by-five": _case((9, 8), kernel_size=5, dtype=_BRAIN),
    "five-by-five-autocast": _case((7, 4), kernel_size=5, weight_dtype=_SINGLE),
    "five-by-five-channels-last": _case(
        (5, 7), kernel_size=5, channels=9, groups=3, channels_last=True, dtype=_SINGLE
    ),
    "five-by-five-shares": _case((2, 3), kernel_size=5, channels=22, groups=11, batch=1),
    "seven-by-seven": _case((8, 9), kernel_size=7, batch=1, channels=2, dtype=_SINGLE),
    "seven-by-seven-channels-last": _case(
        (5, 6), kernel_size=7, batch=1, channels=4, channels_last=True, dtype=_BRAIN
    ),
    "wider-than-the-image": _case((3, 2), kernel_size=5),
    "much-wider-than-the-image": _case((1, 2), kernel_size=7),
    "clamped": _case((6, 5), clamped=True),
    "clamped-to-one-window": _case((3, 3), clamped=True, dtype=_SINGLE),
    "clamped-channels-last": _case((5, 7), clamped=True, channels_last=True, dtype=_BRAIN),
    "clamped-five-by-five": _case((7, 6), clamped=True, kernel_size=5),
}
# what Triton's interpreter, which runs one block of a program at a time, does in seconds
SMALL_AGGREGATION_CASES: dict[str, Aggregation] = {
    name: AGGREGATION_CASES[name]
    for name in ("one-pixel", "one-row", "two-by-two", "all-channels-share", "clamped")
}
# the maps of LSNet at 224 pixels, and one of dense prediction
LARGE_AGGREGATION_CASES: dict[str, Aggregation] = {
    f"{size}x{size}-c{channels}-{dtype}{'-nhwc' if channels_last else ''}": _case(
        (size, size), batch=batch, channels=channels, groups=8, dtype=getattr(torch, dtype),
        channels_last=channels_last,
    )
    for size, channels, batch in (
        (28, 128, 32), (14, 192, 33), (14, 256, 32), (7, 320, 64), (7, 384, 65), (100, 64, 3),
    )
    for dtype in ("float16", "bfloat16", "float32")
    for channels_last in (False, True)
}  # fmt: skip


def check_aggregation(
    cases: dict[str, Aggregation] = AGGREGATION_CASES, *, device: str = "cuda"
) -> Iterator[Verdict]:
    """Run the kernels on every problem that they can run.

    Args:
        cases: Problems by name.
        device: Where; "cpu" only under Triton's interpreter.

    Yields:
        A verdict for each problem and operation.
    """
    from ._aggregate import can_aggregate

    for name, problem in cases.items():
        if can_aggregate(problem):
            for operation in AGGREGATION_OPERATIONS:
                yield check_one_aggregation(name, problem, operation, device=device)


def check_one_aggregation(
    name: str,
    problem: Aggregation,
    operation: AggregationOperation,
    *,
    device: str,
    runs: int = 2,
) -> Verdict:
    """Run a kernel on random numbers, and compare with float64 and with further runs."""
    tensors = random_aggregation(problem, device=device)
    got, *again = (run_kernel(operation, problem, *tensors) for _ in range(runs))
    doubles = [tensor.double() for tensor in tensors]
    want = run_reference(operation, problem, *doubles)
    magnitude = run_reference(operation, problem, *(tensor.abs() for tensor in doubles))
    return Verdict(
        case=name,
        operation=operation,
        variant=AGGREGATE,
        error=worst_error(got, want, magnitude),
        bound=_BOUNDS[got.dtype],
        repeats=all(torch.equal(got, other) for other in again),
    )


def random_aggregation(
    problem: Aggregation, *, device: str, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Return an input, its weights and an output gradient."""
    generator = torch.Generator(device).manual_seed(seed)

    def normal(*shape: int, dtype: torch.dtype) -> Tensor:
        return torch.randn(shape, generator=generator, device=device).to(dtype)

    shape = (problem.batch, problem.channels, *problem.size)
    weights = (problem.batch, problem.weight_channels, problem.taps, *problem.size)
    kind = problem.memory_format
    x = normal(*shape, dtype=problem.dtype).contiguous(memory_format=kind)
    weight = normal(*weights, dtype=problem.own_weight_dtype)
    grad = normal(*shape, dtype=problem.dtype).contiguous(memory_format=kind)
    return x, weight, grad


def run_kernel(
    operation: AggregationOperation, problem: Aggregation, x: Tensor, weight: Tensor, grad: Tensor
) -> Tensor:
    """Run one operation on the Triton kernel."""
    from ._aggregate import aggregate
    from ._aggregate_backward import aggregate_backward

    if operation == "forward":
        return aggregate(problem, x, weight)
    x_grad, weight_grad = aggregate_backward(problem, grad, x, weight, (True, True))
    return x_grad if operation == "input_grad" else weight_grad


def run_reference(
    operation: AggregationOperation, problem: Aggregation, x: Tensor, weight: Tensor, grad: Tensor
) -> Tensor:
    """Run one operation on torch."""
    if operation == "forward":
        return small_kernel_aggregation_reference(x, weight, problem.clamped)
    x_grad, weight_grad = gradients_reference(grad, x, weight, problem.clamped)
    return x_grad if operation == "input_grad" else weight_grad
