"""Random weights of a model that is only timed: drawn in part, repeated for the rest."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_DRAWS = frozenset({torch.ops.aten.normal_.default, torch.ops.aten.uniform_.default})
# numbers of a tensor that are drawn: 256 KiB of them, longer than any line of a cache or vector
_DRAWN = 2**16


class RepeatedDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it, a tensor on the CPU draws its first 65,536 random numbers and repeats them.

    Drawing takes most of the time of building a large model, and how long a model runs does not
    depend on whether its weights repeat. Smaller tensors are drawn as ever.
    """

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operator."""
        if func not in _DRAWS or not _is_long(args[0]):
            return func(*args, **(kwargs or {}))
        flat = args[0].view(-1)
        first, rest = flat[:_DRAWN], flat[_DRAWN:]
        func(first, *args[1:], **(kwargs or {}))
        whole = rest.numel() // _DRAWN * _DRAWN
        rest[:whole].view(-1, _DRAWN).copy_(first)
        rest[whole:].copy_(first[: rest.numel() - whole])
        return args[0]


def _is_long(tensor: torch.Tensor) -> bool:
    known = type(tensor) in {torch.Tensor, torch.nn.Parameter} and tensor.device.type == "cpu"
    return known and tensor.is_contiguous() and tensor.numel() > _DRAWN
