"""Are the kernels right? Compare each with float64, element by element, on problems that differ.

The error of an output may be as large as rounding explains, and no larger: a small multiple of the
precision of its dtype times the sum of the absolute products that it adds up. The multiple does
not depend on the size of the filter, so a kernel that adds up in less than float32 fails at large
filters.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from ._choices import Variant, can_run
from ._problem import Operation, Problem
from .depthwise_conv2d import (
    depthwise_conv2d_reference,
    input_grad_reference,
    weight_grad_reference,
)

OPERATIONS: tuple[Operation, ...] = ("forward", "input_grad", "weight_grad")
KERNELS: tuple[Variant, ...] = ("toeplitz", "direct")
# a half is rounded once, by at most half a unit; float32 rounds each of its sums
_BOUNDS = {torch.float16: 1.0, torch.bfloat16: 1.0, torch.float32: 4.0}
# of two factors, cut off rather than rounded; in units of float32, which has 13 bits more
_BOUND_OF_TF32 = 2.0 * 2**13
_HALF, _BRAIN, _SINGLE = torch.float16, torch.bfloat16, torch.float32


def same_size(*, dilation: tuple[int, int] = (1, 1), **given: Any) -> Problem:
    """Return a problem whose padding keeps the size at stride one, if its filter is odd.

    Args:
        dilation: Vertical and horizontal step between taps.
        given: Other attributes of `Problem`; the dtype may be given by its name.
    """
    if isinstance(given.get("dtype"), str):
        given["dtype"] = getattr(torch, given["dtype"])
    rows, columns = (d * (k - 1) // 2 for d, k in zip(dilation, given["kernel"], strict=True))
    defaults = {"padding": (rows, rows, columns, columns), "dilation": dilation}
    return Problem(**{**defaults, **given})


def _case(size: tuple[int, int], kernel: tuple[int, int], **given: Any) -> Problem:
    """A problem of two images and three channels in float16, unless given."""
    defaults = {"batch": 2, "channels": 3, "dtype": _HALF}
    return same_size(size=size, kernel=kernel, **{**defaults, **given})


# each differs from the others in what it makes a kernel do
CASES: dict[str, Problem] = {
    "whole-rows-of-14": _case((14, 14), (7, 7)),
    "whole-rows-of-28": _case((28, 28), (13, 13), dtype=_BRAIN),
    "whole-rows-of-56": _case((12, 56), (31, 31), channels=2),
    "blocks-of-56": _case((20, 56), (13, 13), channels=2),
    "blocks-without-a-column-to-spare": _case((9, 72), (17, 17), channels=1),
    "wide-blocks": _case((9, 100), (27, 27), channels=1),
    "windows-of-128": _case((6, 70), (5, 51), channels=1, dtype=_BRAIN),
    "tall-filters": _case((23, 17), (51, 5), channels=1),
    "odd-width": _case((10, 57), (7, 7), channels=1),
    "filter-larger-than-the-image": _case((7, 7), (13, 13), batch=33),
    "even-filter": _case((11, 12), (8, 6), padding=(3, 4, 2, 3)),
    "more-padding-than-filter": _case((5, 9), (3, 7), padding=(9, 0, 12, 2)),
    "cropping": _case((9, 40), (7, 7), padding=(-1, 3, -2, 0), channels=1),
    "one-output": _case((7, 7), (7, 7), padding=(0, 0, 0, 0), batch=7),
    "one-row": _case((1, 31), (1, 7), batch=1),
    "one-column": _case((31, 1), (9, 3), batch=1),
    "more-blocks-than-a-program": _case((33, 14), (7, 7), batch=15, channels=1),
    "many-images": _case((14, 14), (13, 13), batch=16, channels=2),
    "many-images-within-the-filter": _case((14, 14), (31, 31), batch=16, channels=1, dtype=_BRAIN),
    "many-images-of-several-strips": _case((28, 28), (7, 7), batch=16, channels=1),
    "tf32": _case((14, 14), (7, 7), dtype=_SINGLE, tf32=True),
    "tf32-blocks": _case((20, 56), (13, 13), batch=16, channels=1, dtype=_SINGLE, tf32=True),
    "tf32-stride-2": _case((13, 15), (7, 7), stride=(2, 2), dtype=_SINGLE, tf32=True),
    "single-precision": _case((15, 13), (9, 11), dtype=_SINGLE),
    "single-precision-tall-filter": _case((9, 20), (31, 3), dtype=_SINGLE, channels=1),
    "stride-2": _case((15, 14), (7, 5), stride=(2, 2), dtype=_SINGLE),
    "stride-2-odd": _case((13, 15), (7, 7), stride=(2, 2)),
    "stride-2-many-taps": _case((28, 28), (13, 13), stride=(2, 2), channels=2, dtype=_BRAIN),
    "stride-3-even": _case((11, 9), (4, 6), stride=(3, 3), padding=(1, 2, 3, 0), dtype=_SINGLE),
    "stride-1-by-3": _case((9, 14), (5, 5), stride=(1, 3)),
    "dilation-2": _case((15, 14), (5, 7), dilation=(2, 2), padding=(4, 4, 6, 6)),
    "dilation-7": _case((20, 23), (3, 3), dilation=(7, 5), padding=(7, 7, 5, 5), dtype=_SINGLE),
    "stride-and-dilation": _case((16, 19), (5, 4), stride=(2, 3), dilation=(3, 2), dtype=_SINGLE),
    "channels-last": _case((9, 8), (7, 7), channels=33, channels_last=True),
    "channels-last-single": _case((8, 9), (5, 9), channels_last=True, dtype=_SINGLE),
    "channels-last-stride": _case((9, 9), (3, 5), channels=40, channels_last=True, stride=(2, 1)),
}
# what Triton's interpreter, which runs one block of a program at a time, does in seconds
SMALL_CASES: dict[str, Problem] = {
    "13x13-on-7x7": _case((7, 7), (13, 13), batch=1, channels=1),
    "7x7-on-5x5-single": _case((5, 5), (7, 7), batch=1, channels=1, dtype=_SINGLE),
    **{
        name: CASES[name]
        for name in ("one-output", "one-row", "cropping", "stride-and-dilation", "stride-1-by-3")
    },
}
# the maps of common networks, with more images and channels than one program takes
LARGE_CASES: dict[str, Problem] = {
    f"{size}x{size}-k{taps}-{dtype}": _case(
        (size, size), (taps, taps), batch=batch, channels=channels, dtype=getattr(torch, dtype)
    )
    for size, batch, channels in ((7, 32, 96), (14, 33, 80), (28, 16, 48), (57, 5, 40), (100, 3, 8))
    for taps in (1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 17, 21, 29, 31, 51)
    for dtype in ("float16", "bfloat16", "float32")
}


def lacking() -> str | None:
    """Return what the kernels need and this machine lacks, or None if they can run here."""
    if not torch.cuda.is_available():
        return "a GPU that torch's CUDA can use"
    return None if find_spec("triton") else "triton"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One kernel on one problem.

    Attributes:
        case: Name of the problem.
        operation: Forward or one of the gradients.
        variant: The kernel.
        error: Largest error, in units of the precision times the sum of absolute products.
        bound: The largest that rounding explains.
        repeats: Whether every run gave the same bits.
    """

    case: str
    operation: Operation
    variant: str
    error: float
    bound: float
    repeats: bool

    @property
    def passed(self) -> bool:
        """Whether the kernel is right; a NaN is not."""
        return self.repeats and self.error <= self.bound


def check(
    cases: dict[str, Problem] = CASES, *, device: str = "cuda", variants: Iterable[str] = KERNELS
) -> Iterator[Verdict]:
    """Run every kernel on every problem that it can run, forward and backward.

    Args:
        cases: Problems by name.
        device: Where; "cpu" only under Triton's interpreter.
        variants: Which kernels.

    Yields:
        A verdict for each.
    """
    for name, problem in cases.items():
        for operation in OPERATIONS:
            for variant in variants:
                if can_run(variant, operation, problem):
                    yield check_one(name, problem, operation, variant, device=device)


def check_one(
    name: str, problem: Problem, operation: Operation, variant: str, *, device: str, runs: int = 2
) -> Verdict:
    """Run one kernel on random numbers, and compare with float64 and with further runs."""
    tensors = random_tensors(problem, operation, device=device)
    got, *again = (run_variant(variant, operation, problem, *tensors) for _ in range(runs))
    want = in_float64(operation, problem, *tensors)
    magnitude = in_float64(operation, problem, *(tensor.abs() for tensor in tensors))
    return Verdict(
        case=name,
        operation=operation,
        variant=variant,
        error=worst_error(got, want, magnitude),
        bound=bound_of(problem, variant, device),
        repeats=all(torch.equal(got, other) for other in again),
    )


def bound_of(problem: Problem, variant: str, device: str) -> float:
    """Return how many times its rounding a result of a variant may be off."""
    # Triton's interpreter on a CPU does not round factors
    rounded = problem.tf32 and variant == "toeplitz" and device != "cpu"
    return _BOUNDS[problem.dtype] + (_BOUND_OF_TF32 if rounded else 0.0)


def random_tensors(
    problem: Problem, operation: Operation, *, device: str, seed: int = 0
) -> tuple[Tensor, ...]:
    """Return what an operation takes: input, filters and bias; or output gradient and the other."""
    generator = torch.Generator(device).manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        values = torch.randn(shape, generator=generator, device=device).to(problem.dtype)
        kind = problem.memory_format if shape[0] == problem.batch and len(shape) == 4 else None
        return values.contiguous(memory_format=kind) if kind else values

    x = normal(problem.batch, problem.channels, *problem.size)
    weight = normal(problem.channels, 1, *problem.kernel).contiguous()
    if operation == "forward":
        return x, weight, normal(problem.channels)
    grad = normal(problem.batch, problem.channels, *problem.out_size)
    return (grad, weight) if operation == "input_grad" else (grad, x)


def run_variant(variant: str, operation: Operation, problem: Problem, *tensors: Tensor) -> Tensor:
    """Run one operation on the kernel of that name, or on torch."""
    if variant == "torch":
        return _with_torch(operation, problem, *tensors)
    from ._kernels import convolve, input_gradient, weight_gradient

    if operation == "forward":
        return convolve(variant, problem, *tensors)
    grad, other = tensors
    if operation == "input_grad":
        return input_gradient(variant, problem, grad, other)
    return weight_gradient(variant, problem, other, grad)


def in_float64(operation: Operation, problem: Problem, *tensors: Tensor) -> Tensor:
    """Run one operation on torch in float64."""
    doubles = (tensor.double() for tensor in tensors)
    return _with_torch(operation, replace(problem, dtype=torch.float64), *doubles)


def _with_torch(operation: Operation, problem: Problem, *tensors: Tensor) -> Tensor:
    stride, padding, dilation = problem.stride, problem.padding, problem.dilation
    if operation == "forward":
        x, weight, bias = tensors
        return depthwise_conv2d_reference(x, weight, bias, stride, padding, dilation)
    grad, other = tensors
    if operation == "input_grad":
        return input_grad_reference(grad, other, problem.size, stride, padding, dilation)
    return weight_grad_reference(grad, other, problem.kernel, stride, padding, dilation)


def worst_error(got: Tensor, want: Tensor, magnitude: Tensor) -> float:
    """Return the largest error, in units of the precision times the sum of absolute products."""
    limits = torch.finfo(got.dtype)
    # below the normal numbers precision is absolute
    unit = limits.eps * magnitude.clamp_min(limits.tiny)
    return float(((got.double() - want).abs() / unit).max())
