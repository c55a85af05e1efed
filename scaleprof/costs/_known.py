"""Calls of operators that were counted before, by the shapes of their tensors.

Blocks repeat within a model, and models within a search. What a call of one of torch's operators on
the meta device gives and costs follows from the shapes, strides and types of its tensors and from
its plain arguments; a call that was there before is not asked again.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch._ops import OpOverload

from ..models.remembered import remember
from ..models.same_results import NewTensor, Output, add_parts
from ..records import WorkKind

WorkKey = tuple[WorkKind, int, int, int, int, int]
"""Kind, MACs, bytes moved, bytes of weights, width and depth."""

# so many are remembered: those of some hundred variants
_MOST = 100_000


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


class TakenApart(NamedTuple):
    """What calls of one operator that torch expresses through others have in common.

    Attributes:
        parts: The others, in order.
        rise: Bytes alive at most while they run, more than before.
        output: What the last returns.
    """

    parts: tuple[Known, ...]
    rise: int
    output: NewTensor


class KnownCalls:
    """The calls that were counted in this process, while torch's formulas stay what they are."""

    def __init__(self) -> None:
        self._calls: dict[tuple[Any, ...], Known] = {}
        self._apart: dict[tuple[Any, ...], TakenApart] = {}
        self._formulas: tuple[Any, ...] = ()

    def forget_if(self, formulas: tuple[Any, ...]) -> None:
        """Forget everything if these are not the formulas that were in use."""
        if formulas != self._formulas:
            self._calls.clear()
            self._apart.clear()
            self._formulas = formulas

    def find(self, key: tuple[Any, ...]) -> Known | None:
        """Return what is known about a call; None if it is new."""
        return self._calls.get(key)

    def add(self, key: tuple[Any, ...], known: Known) -> None:
        """Remember what a call gave and costs."""
        remember(self._calls, key, known, most=_MOST)

    def find_apart(self, key: tuple[Any, ...]) -> TakenApart | None:
        """Return what is known about a call that torch takes apart; None if it is new."""
        return self._apart.get(key)

    def add_apart(self, key: tuple[Any, ...], known: TakenApart) -> None:
        """Remember what torch made of a call."""
        remember(self._apart, key, known, most=_MOST)


def call_key(
    func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Any, ...] | None:
    """What a call depends on; None if it may depend on more than that."""
    # what others register may depend on anything
    if func.namespace != "aten":
        return None
    # operators of torch stay, and so do their identities, which are faster to compare
    parts: list[Any] = [id(func)]
    fixed = add_parts(parts, args)
    if fixed and kwargs:
        parts += kwargs
        fixed = add_parts(parts, kwargs.values())
    return tuple(parts) if fixed else None
