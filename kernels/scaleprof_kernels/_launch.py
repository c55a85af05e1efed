"""One launch of a Triton kernel as a value: to be run, or compiled for a GPU that is not there."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_HOPPER = 90


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
        on_tensor_cores: Whether it is made of products on tensor cores.
    """

    kernel: Any
    grid: int
    pointers: dict[str, torch.dtype]
    integers: dict[str, int]
    constants: dict[str, int]
    num_warps: int
    num_stages: int = 3
    on_tensor_cores: bool = False

    def options(self, capability: int) -> dict[str, int]:
        """Return how to compile it for a generation of GPUs, such as 90.

        Before Hopper both sides of a product lie in registers, so they are spread over twice the
        warps. Kernels ask for fused multiply-adds by name, so the default of that option, which
        differs between versions of Triton, makes no difference.
        """
        spread = 2 if self.on_tensor_cores and capability < _HOPPER else 1
        return {
            "num_warps": self.num_warps * spread,
            "num_stages": self.num_stages,
            "enable_fp_fusion": False,
        }

    def run(self, **tensors: Tensor) -> None:
        """Run on the device of the tensors."""
        device = next(iter(tensors.values())).device
        guard: AbstractContextManager[Any] = nullcontext()
        capability = _HOPPER
        if device.type == "cuda":
            guard = torch.cuda.device(device)
            major, minor = torch.cuda.get_device_capability(device)
            capability = 10 * major + minor
        with guard:
            self.kernel[(self.grid,)](
                **tensors,
                **self.integers,
                **self.constants,
                **self.options(capability),
            )
