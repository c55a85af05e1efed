"""Which kernel runs the tail of an LS convolution: a table, read from the top, as `_choices`."""

from dataclasses import dataclass
from typing import Literal

import torch

from ._ls_conv_tail import can_fuse_convolution
from ._ls_problem import Tail
from ._ls_tail import can_fuse

HALVES = (torch.float16, torch.bfloat16)
TailVariant = Literal["product", "norm", "parts"]
_ENDLESS = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class TailChoice:
    """One entry: the tails it is for, the variant, and how that is known.

    Attributes:
        variant: Where the fused kernel begins: with the product that makes the filters, or with
            their norm; or the parts one after the other.
        origin: "modelled", or the device and versions it was measured with.
        dtypes: Element types.
        pixels: Least and most positions of a map.
    """

    variant: TailVariant
    origin: str
    dtypes: tuple[torch.dtype, ...] = (*HALVES, torch.float32)
    pixels: tuple[int, int] = (1, _ENDLESS)

    def is_for(self, problem: Tail) -> bool:
        """Return whether the entry is for this problem."""
        return problem.dtype in self.dtypes and self.pixels[0] <= problem.pixels <= self.pixels[1]


# Reasons, entry by entry. None has been measured.
# 1. filters that never see memory: 2.5 numbers moved per element, rather than 4.75.
# 2. from the norm on there is room for maps of any size whose filters fit into registers.
MODELLED = (
    TailChoice(variant="product", origin="modelled", dtypes=HALVES, pixels=(1, 256)),
    TailChoice(variant="norm", origin="modelled"),
)
_OTHERWISE = TailChoice(variant="parts", origin="no kernel of ours runs it")


def choose_tail(problem: Tail) -> TailChoice:
    """Return the first entry that is for a problem and whose kernel can run it."""
    for choice in MODELLED:
        if choice.is_for(problem) and _can_run(choice.variant, problem):
            return choice
    return _OTHERWISE


def _can_run(variant: TailVariant, problem: Tail) -> bool:
    if variant == "product":
        return problem.inner > 0 and can_fuse_convolution(problem)
    return can_fuse(problem)
