"""One launch of a Triton kernel as a value: it can be run, or compiled for a GPU that is not there."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A kernel with everything but its tensors.

    Attributes:
        kernel: The function under ``triton.jit``.
        grid: Number of programs.
        pointers: Element type of each tensor argument.
        integers: Run-time arguments.
        constants: Compile-time arguments; each set of values is a compilation of its own.
        num_warps: Warps per program.
        num_stages: Loads that are under way at once in a loop.
    """

    kernel: Any
    grid: int
    pointers: dict[str, torch.dtype]
    integers: dict[str, int]
    constants: dict[str, int]
    num_warps: int
    num_stages: int = 3

    def run(self, **tensors: Tensor) -> None:
        """Run on the device of the tensors."""
        device = next(iter(tensors.values())).device
        guard = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
        with guard:
            self.kernel[(self.grid,)](
                **tensors,
                **self.integers,
                **self.constants,
                num_warps=self.num_warps,
                num_stages=self.num_stages,
            )
