"""Calls of operators that were counted before, by the shapes of their tensors.

Blocks repeat within a model, and models within a search. What a call of one of torch's operators on
the meta device gives and costs follows from the shapes, strides and types of its tensors and from
its plain arguments; a call that was there before is not asked again.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch._ops import OpOverload

from ..records import WorkKind

WorkKey = tuple[WorkKind, int, int, int, int, int]
"""Kind, MACs, bytes moved, bytes of weights, width and depth."""

# types whose values say all there is about them
_PLAIN = frozenset(
    {
        *(bool, int, float, str, type(None)),
        *(torch.dtype, torch.device, torch.layout, torch.memory_format),
    }
)
# tensors of these may be lazily conjugated, which no shape tells
_COMPLEX = frozenset({torch.complex32, torch.complex64, torch.complex128})
# so many are remembered: those of some hundred variants
_MOST = 100_000

NewTensor = tuple[torch.Size, tuple[int, ...], torch.dtype]
"""Size, stride and type."""
Output = NewTensor | Literal["first", "run"]
"""A new tensor; the first argument; or what the operator returns when it is run, such as a view."""


class Known(NamedTuple):
    """What calls of one operator with the same shapes have in common.

    Attributes:
        output: What such a call returns.
        macs: Multiply-adds of one call.
        products: Activations of one call, in elements and bytes.
        read: Bytes read.
        written: Bytes written.
        work: What kind of work it is; None for a view.
        call: The call as part of a graph: operator, plain arguments, shapes.
        text: The same as text.
    """

    output: Output
    macs: int
    products: tuple[int, int]
    read: int
    written: int
    work: WorkKey | None
    call: tuple[Any, ...]
    text: str


class KnownCalls:
    """The calls that were counted in this process, while torch's formulas stay what they are."""

    def __init__(self) -> None:
        self._calls: dict[tuple[Any, ...], Known] = {}
        self._formulas: tuple[Any, ...] = ()

    def forget_if(self, formulas: tuple[Any, ...]) -> None:
        """Forget everything if these are not the formulas that were in use."""
        if formulas != self._formulas:
            self._calls.clear()
            self._formulas = formulas

    def find(self, key: tuple[Any, ...]) -> Known | None:
        """Return what is known about a call; None if it is new."""
        return self._calls.get(key)

    def add(self, key: tuple[Any, ...], known: Known) -> None:
        """Remember what a call gave and costs."""
        if len(self._calls) >= _MOST:
            self._calls.clear()
        self._calls[key] = known


def call_key(
    func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Any, ...] | None:
    """What a call depends on; None if it may depend on more than that."""
    # what others register may depend on anything
    if func.namespace != "aten":
        return None
    # operators of torch stay, and so do their identities, which are faster to compare
    parts: list[Any] = [id(func)]
    fixed = _add_parts(parts, args)
    if fixed and kwargs:
        parts += kwargs
        fixed = _add_parts(parts, kwargs.values())
    return tuple(parts) if fixed else None


def _add_parts(parts: list[Any], values: Iterable[Any]) -> bool:
    """Add what says all there is about some arguments; False if nothing does."""
    for value in values:
        cls = type(value)
        if cls is Tensor or cls is nn.Parameter:
            dtype, stride = value.dtype, value.stride()
            if not value.is_meta or dtype in _COMPLEX:
                return False
            parts += (value.shape, stride, dtype)
            # a broadcast tensor has fewer bytes than elements; how many, its storage says
            if 0 in stride:
                parts.append(value.untyped_storage().nbytes())
        elif cls in _PLAIN:
            # 2 and 2.0 are equal, and give tensors of other types
            parts += (cls, value)
        elif cls is list or cls is tuple:
            parts += (cls, len(value))
            if not _add_parts(parts, value):
                return False
        else:
            return False
    return True


def output_of(inputs: Sequence[Tensor], out: Any) -> Output:
    """Say how the output of a call is made without asking torch, if it can be.

    Args:
        inputs: The tensors that the operator got.
        out: What it returned.
    """
    if type(out) is not Tensor or not out.is_meta or out.storage_offset():
        return "run"
    storage = out.untyped_storage()
    if any(storage._cdata == x.untyped_storage()._cdata for x in inputs):
        return "run"
    output = (out.shape, out.stride(), out.dtype)
    made = make(output)
    same = made.untyped_storage().nbytes() == storage.nbytes() and made.stride() == output[1]
    return output if same else "run"


def make(output: NewTensor) -> Tensor:
    """Make a new tensor without data."""
    size, stride, dtype = output
    return torch.empty_strided(size, stride, dtype=dtype, device="meta")
