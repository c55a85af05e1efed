"""One launch of a Triton kernel as a value: to be run, or compiled for a GPU that is not there."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# the H100; and the first whose products are those of the A100 again, with less shared memory
_HOPPER, _SMALL_BLACKWELL = 90, 120


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
        max_registers: Of a thread at most, so that more programs fit; None for no limit.
    """

    kernel: Any
    grid: int
    pointers: dict[str, torch.dtype]
    integers: dict[str, int]
    constants: Mapping[str, Any]
    num_warps: int
    num_stages: int = 3
    max_registers: int | None = None

    @property
    def options(self) -> dict[str, int]:
        """Return how to compile it.

        Kernels ask for fused multiply-adds by name, so the default of that option, which differs
        between versions of Triton, makes no difference.
        """
        options = {
            "num_warps": self.num_warps,
            "num_stages": self.num_stages,
            "enable_fp_fusion": False,
        }
        if self.max_registers is not None:
            options["maxnreg"] = self.max_registers
        return options

    def compile(self) -> None:
        """Compile for the present GPU and run nothing; runs then find it in Triton's cache."""
        # an element type stands for a tensor of it
        given = {**self.pointers, **self.integers, **self.constants}
        arguments = (given[name] for name in self.kernel.arg_names)
        built = self.kernel.warmup(*arguments, grid=(self.grid,), **self.options)
        # what starts it is C, which is compiled when it is first asked for
        _ = built.run

    def run(self, **tensors: Tensor) -> None:
        """Run on the device of the tensors."""
        device = next(iter(tensors.values())).device
        guard: AbstractContextManager[Any] = nullcontext()
        if device.type == "cuda":
            guard = torch.cuda.device(device)
        with guard:
            self.kernel[(self.grid,)](**tensors, **self.integers, **self.constants, **self.options)


def capability_of(device: torch.device) -> int:
    """Return the generation of a GPU, such as 90; for the interpreter on a CPU, the newest."""
    if device.type != "cuda":
        return _HOPPER
    # these torch's compiler takes for constants
    properties = torch.cuda.get_device_properties(device)
    return 10 * properties.major + properties.minor


def multiplies_from_shared_memory(capability: int) -> bool:
    """Return whether products on tensor cores read shared memory, as on the H100.

    On other GPUs each warp holds both sides of its products in registers, with room for fewer sums,
    and some have 99 KiB of shared memory rather than 227.
    """
    return _HOPPER <= capability < _SMALL_BLACKWELL
