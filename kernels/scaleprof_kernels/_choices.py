"""Which kernel runs which convolution: a table, read from the top, each entry with its origin.

An entry says what it is for, which variant runs there, and where that is known from: "modelled"
for what follows from counted instructions and bytes, or the device on which it was measured.
A table that was measured goes in front of ours with `use_choices`.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch

from ._axes import Axes
from ._phases import phases_of
from ._problem import Operation, Problem
from ._window import window_of

Variant = Literal["toeplitz", "direct", "torch"]
HALVES = ("float16", "bfloat16")
_ANY: tuple[Operation, ...] = ("forward", "input_grad", "weight_grad")
_FLOATS = (*HALVES, "float32")
_ENDLESS = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One entry: the problems it is for, the variant, and how that is known.

    Attributes:
        variant: What runs: a kernel of ours, or torch.
        origin: "modelled", or the device and versions it was measured with.
        operations: Of forward, input_grad, weight_grad.
        dtypes: Names of element types.
        taps: Least and most taps along the longer side of a filter.
        outputs: Least and most outputs along the longer side of a map.
        planes: Least and most images times channels.
        flops: Least and most FLOPs.
        strides: Least and most product of both strides.
        plain: Whether stride and dilation are one; None for both.
        channels_last: Whether memory runs over channels first; None for both.
        tf32: Whether factors of float32 may be rounded to TF32; None for both.
    """

    variant: Variant
    origin: str
    operations: tuple[Operation, ...] = _ANY
    dtypes: tuple[str, ...] = _FLOATS
    taps: tuple[int, int] = (1, _ENDLESS)
    outputs: tuple[int, int] = (1, _ENDLESS)
    planes: tuple[int, int] = (1, _ENDLESS)
    flops: tuple[int, int] = (0, _ENDLESS)
    strides: tuple[int, int] = (1, _ENDLESS)
    plain: bool | None = None
    channels_last: bool | None = None
    tf32: bool | None = None

    def is_for(self, operation: Operation, problem: Problem) -> bool:
        """Return whether the entry is for this problem."""
        ranges = (
            (self.taps, max(problem.kernel)),
            (self.outputs, max(problem.out_size)),
            (self.planes, problem.batch * problem.channels),
            (self.flops, problem.flops),
            (self.strides, math.prod(problem.stride)),
        )
        return (
            operation in self.operations
            and str(problem.dtype).removeprefix("torch.") in self.dtypes
            and all(low <= value <= high for (low, high), value in ranges)
            and self.plain in {None, problem.is_plain}
            and self.channels_last in {None, problem.channels_last}
            and self.tf32 in {None, problem.tf32}
        )


# Reasons, entry by entry. None has been measured.
# 1. torch unrolls 1, 3 and 5 taps, and cuDNN takes the half precisions there.
# 2. a few microseconds of work: starting a kernel decides, and torch starts faster than Triton.
# 3. input gradients at a stride are as many launches as the strides' product: not beyond four.
# 4. a transposed copy in and out costs more than few taps in the order of memory they are in.
# 5. tensor cores reach the memory floor up to 17 taps, and beat other arithmetic beyond.
# 6. input gradients at a stride are convolutions at stride one, each with every so many taps.
# 7. float32 that may be rounded to TF32 runs on tensor cores too, at half the rate.
# 8. the direct kernel loads an input once for all outputs of a lane; torch loads it for each.
MODELLED = (
    Choice(variant="torch", origin="modelled", taps=(1, 5)),
    Choice(variant="torch", origin="modelled", flops=(0, 20_000_000)),
    Choice(variant="torch", origin="modelled", operations=("input_grad",), strides=(5, _ENDLESS)),
    Choice(variant="direct", origin="modelled", dtypes=HALVES, taps=(6, 7), channels_last=True),
    Choice(variant="toeplitz", origin="modelled", dtypes=HALVES, plain=True),
    Choice(variant="toeplitz", origin="modelled", dtypes=HALVES, operations=("input_grad",)),
    Choice(variant="toeplitz", origin="modelled", dtypes=("float32",), tf32=True),
    Choice(variant="direct", origin="modelled"),
)
_OTHERWISE = Choice(variant="torch", origin="no kernel of ours runs it")
_LARGEST_OFFSET = 2**31
# images whose offsets one step of the weight gradient holds: 16, and some rows below the last
_IMAGES_OF_A_STEP = 32
_in_use: tuple[Choice, ...] = MODELLED


def choose(operation: Operation, problem: Problem) -> Choice:
    """Return the first entry that is for a problem and whose variant can run it."""
    for choice in _in_use:
        if choice.is_for(operation, problem) and can_run(choice.variant, operation, problem):
            return choice
    return _OTHERWISE


@lru_cache(maxsize=4096)
def can_run(variant: Variant, operation: Operation, problem: Problem) -> bool:
    """Return whether a variant gives the right result for a problem, fast or not."""
    if variant == "torch":
        return True
    if not _is_addressable(operation, problem):
        return False
    if operation == "input_grad" and problem.stride != (1, 1):
        phases = phases_of(problem)
        return phases is not None and all(_fits(variant, phase.problem) for phase in phases)
    return _fits(variant, problem.transposed() if operation == "input_grad" else problem)


def _fits(variant: Variant, problem: Problem) -> bool:
    """Whether a kernel can run one convolution."""
    if variant == "toeplitz":
        half = problem.dtype in {torch.float16, torch.bfloat16}
        rounded = problem.dtype == torch.float32 and problem.tf32
        return (half or rounded) and problem.is_plain and window_of(problem) is not None
    return problem.dtype != torch.float64 and Axes(problem).fits


def _is_addressable(operation: Operation, problem: Problem) -> bool:
    """Whether offsets inside an image, or inside the images of a step, are 32-bit numbers."""
    pixels = max(size[0] * size[1] for size in (problem.size, problem.out_size))
    images = _IMAGES_OF_A_STEP if operation == "weight_grad" else 1
    within = pixels * problem.channels * images < _LARGEST_OFFSET
    return within and problem.outputs // _IMAGES_OF_A_STEP < _LARGEST_OFFSET


def use_choices(choices: Sequence[Choice] | str | Path | None) -> None:
    """Put entries in front of the built-in table, for the whole process.

    Args:
        choices: Entries, or a file that `write_choices` wrote; None for the built-in table alone.

    Raises:
        ValueError: If the file does not hold entries.
    """
    global _in_use  # noqa: PLW0603 - one table per process is what is meant
    entries = read_choices(choices) if isinstance(choices, str | Path) else choices
    _in_use = (*(entries or ()), *MODELLED)


def write_choices(choices: Sequence[Choice], path: str | Path) -> None:
    """Write entries as JSON."""
    rows = [asdict(choice) for choice in choices]
    Path(path).write_text(json.dumps({"choices": rows}, indent=1) + "\n")


def read_choices(path: str | Path) -> tuple[Choice, ...]:
    """Read entries that `write_choices` wrote.

    Raises:
        ValueError: If the file does not hold entries.
    """
    try:
        rows = json.loads(Path(path).read_text())["choices"]
        return tuple(
            Choice(**{key: _as_tuple(value) for key, value in row.items()}) for row in rows
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"`{path}` does not hold choices of kernels: {error}") from None


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
