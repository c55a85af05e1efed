"""One pass over a model on the meta device that counts everything it needs.

The counter is a dispatch mode: torch hands it every operator that a forward pass calls, in
inference mode before they are split into smaller ones, with tensors that have shapes but no data.
See ``docs/design/0002-counting-by-dispatch-on-meta.md`` for why, and what the others do.
"""

import hashlib
import weakref
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ..models.same_results import make, output_of, tensors_in
from ..records import WorkKind
from . import _ledger
from ._direct import DIRECT, PRODUCTS, Direct
from ._known import Known, KnownCalls, TakenApart, call_key
from ._work import work_of

_VALUES = (
    torch.ops.aten.is_nonzero.default,
    torch.ops.aten.item.default,
    torch.ops.aten._local_scalar_dense.default,
)
"""Operators that ask a tensor for its one value."""

_KNOWN = KnownCalls()

# of tests that are taken as true; a loop that waits for one to fail never ends
_MAX_TESTS = 10_000


@dataclass(slots=True)
class Tally:
    """Running totals of one operator or one module."""

    kind: _ledger.Kind = "free"
    calls: int = 0
    macs: int = 0
    activations: int = 0
    activation_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0

    def add(self, macs: int, products: Sequence[int], read: int, written: int) -> None:
        """Add one call: its MACs, its activations in elements and bytes, and its traffic."""
        self.calls += 1
        self.macs += macs
        self.activations += products[0]
        self.activation_bytes += products[1]
        self.read_bytes += read
        self.written_bytes += written


@dataclass(slots=True)
class LiveBytes:
    """Bytes of the storages that are alive, and the most there ever were.

    A storage counts from the operator that makes it until its last tensor is gone.
    """

    now: int = 0
    peak: int = 0
    _alive: dict[int, weakref.ref[Any] | None] = field(default_factory=dict)

    def keep(self, tensors: Iterable[Tensor]) -> None:
        """Count the storages of these tensors, which somebody holds as long as this, each once."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            if storage._cdata not in self._alive:
                self._alive[storage._cdata] = None
                self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)

    def hold(self, tensors: Iterable[Tensor]) -> None:
        """Count the storages of these tensors from now on, each once."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            key = storage._cdata
            if key not in self._alive:
                self._add(key, storage)
        self.peak = max(self.peak, self.now)

    def holds(self, tensors: Iterable[Tensor]) -> bool:
        """Tell whether the storages of all these tensors are counted."""
        return all(tensor.untyped_storage()._cdata in self._alive for tensor in tensors)

    def _add(self, key: int, storage: torch.UntypedStorage) -> None:
        size = storage.nbytes()

        def forget(_: object) -> None:
            self.now -= size
            del self._alive[key]

        self._alive[key] = weakref.ref(storage, forget)
        self.now += size


@dataclass(slots=True)
class Graph:
    """Operator calls in order: names, plain arguments and the shapes of tensors.

    Blocks repeat, so that a call is mostly one that was there before.
    """

    _calls: dict[Any, int] = field(default_factory=dict)
    _texts: list[str] = field(default_factory=list)
    _order: list[int] = field(default_factory=list)

    def number(self, known: Known) -> int:
        """Return the number of a call, by which it can be added."""
        number = self._calls.setdefault(known.call, len(self._calls))
        if number == len(self._texts):
            self._texts.append(known.text)
        return number

    def add(self, number: int) -> None:
        """Add one call."""
        self._order.append(number)

    def digest(self) -> str:
        """Return 16 hexadecimal digits that change when any call does."""
        text = f"[[{', '.join(self._texts)}], {self._order!r}]"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _graph_call(
    func: OpOverload, args: Iterable[Any], tensors: Iterable[Tensor]
) -> tuple[Any, ...]:
    plain = tuple([_hashable(value) for value in args if not isinstance(value, Tensor)])
    return (func, plain, tuple([(x.shape, x.dtype) for x in tensors]))


def _hashable(value: Any) -> Any:
    """Numbers and lists of them, such as strides; of lists of tensors the shapes are there."""
    if isinstance(value, list):
        return tuple([_hashable(item) for item in value if not isinstance(item, Tensor)])
    return value if isinstance(value, int | float | str | torch.dtype) else None


class CostCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count operators while it is active; use it under `torch.inference_mode`.

    Attributes:
        operators: Totals by operator name.
        live: Bytes alive, and their peak.
        module_totals: Totals by module path, without those of the modules inside; filled when
            `current_module` is kept up to date by module hooks.
        graph: Every operator call in order.
        work: Calls by kind and size: kind, MACs, bytes moved, bytes of weights, width and depth.
        taken_as_true: Tests on values of tensors, which have none here, such as ``mask.all()``.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators: dict[str, Tally] = {}
        self.live = LiveBytes()
        self.current_module: str | None = None
        self.module_totals: dict[str, Tally] = {}
        self.graph = Graph()
        self.work: Counter[tuple[WorkKind, int, int, int, int, int]] = Counter()
        self.taken_as_true = 0
        self._kinds: dict[OpOverload, tuple[_ledger.Kind, Tally | None]] = {}
        self._here: dict[tuple[Any, ...], tuple[Known, Tally, int]] = {}
        self._added: list[Known] = []
        # what numbers become where no type is given
        _KNOWN.forget_if((torch.get_default_dtype(), *flop_registry.items()))

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run one operator on shapes and add its cost."""
        kwargs = kwargs or {}
        if func in _VALUES and args[0].dtype is torch.bool and args[0].is_meta:
            self.taken_as_true += 1
            if self.taken_as_true > _MAX_TESTS:
                raise RuntimeError(
                    "it loops until values of tensors change, which meta has none of"
                )
            return True
        key = call_key(func, args, kwargs)
        if key is not None and (here := self._find(func, key)) is not None:
            output = here[0].output
            if type(output) is tuple:
                out = make(output)
            else:
                out = args[0] if output == "first" else func(*args, **kwargs)
            self._add(*here, outputs=_outputs(out))
            return out
        return self._count(func, args, kwargs, key)

    def _find(self, func: OpOverload, key: tuple[Any, ...]) -> tuple[Known, Tally, int] | None:
        """Return a call that was counted before, with where this pass counts it."""
        here = self._here.get(key)
        if here is None and (known := _KNOWN.find(key)) is not None:
            here = self._here[key] = self._place(func, known)
        return here

    def _place(self, func: OpOverload, known: Known) -> tuple[Known, Tally, int]:
        number = self.graph.number(known)
        tally = self._look_up(func)[1]
        assert tally is not None, "a composite operator is never recorded"
        return known, tally, number

    def _count(
        self,
        func: OpOverload,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        key: tuple[Any, ...] | None,
    ) -> Any:
        """Run one operator, add its cost, and remember it if it may be remembered."""
        direct = DIRECT.get(func)
        got = direct(*args, **kwargs) if direct is not None else None
        if got is None:
            kind, _ = self._look_up(func)
            if kind == "composite":
                return self._take_apart(func, args, kwargs, key)
            out = func(*args, **kwargs)
            cost = _registered_cost(func, args, kwargs, out) if kind == "counted" else (0, 0)
            got = Direct(out, *cost)
            direct = None
        known = _known(func, args, kwargs, got, asked=direct is None)
        if key is not None:
            _KNOWN.add(key, known)
        self._add(*self._place(func, known), outputs=_outputs(got.output))
        return got.output

    def _take_apart(
        self,
        func: OpOverload,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        key: tuple[Any, ...] | None,
    ) -> Any:
        """Count an operator by those that torch expresses it through."""
        inputs = list(tensors_in((*args, *kwargs.values())))
        # a tensor that nobody has counted yet is counted with the first operator that returns it
        if key is None or not self.live.holds(inputs):
            with self:
                return func.decompose(*args, **kwargs)
        if (known := _KNOWN.find_apart(key)) is not None:
            return self._repeat(known)
        start, before = len(self._added), (self.live.now, self.live.peak, self.taken_as_true)
        self.live.peak = self.live.now
        with self:
            out = func.decompose(*args, **kwargs)
        rise = self.live.peak - before[0]
        self.live.peak = max(self.live.peak, before[1])
        output = output_of(inputs, out)
        if type(output) is tuple and self.taken_as_true == before[2]:
            _KNOWN.add_apart(key, TakenApart(tuple(self._added[start:]), rise, output))
        return out

    def _repeat(self, known: TakenApart) -> Tensor:
        """Add what an operator is taken apart into, as it was before."""
        self.live.peak = max(self.live.peak, self.live.now + known.rise)
        for part in known.parts:
            self._add(*self._place(part.call[0], part), outputs=[])
        out = make(known.output)
        self.live.hold([out])
        return out

    def _look_up(self, func: OpOverload) -> tuple[_ledger.Kind, Tally | None]:
        found = self._kinds.get(func)
        if found is None:
            found = self._kinds[func] = self._classify(func)
        return found

    def _classify(self, func: OpOverload) -> tuple[_ledger.Kind, Tally | None]:
        direct = func in DIRECT
        kind = _ledger.kind(func)
        if direct and func.overloadpacket.__name__ in PRODUCTS:
            tally_kind: _ledger.Kind = "counted"
        elif kind == "composite" and not direct:
            return kind, None
        else:
            tally_kind = "free" if kind == "composite" else kind
        tally = self.operators.setdefault(_ledger.name(func), Tally(kind=tally_kind))
        return kind, tally

    def _add(self, known: Known, tally: Tally, number: int, *, outputs: list[Tensor]) -> None:
        """Add one call."""
        _, macs, products, read, written, work, _, _ = known
        self._added.append(known)
        self.graph.add(number)
        tally.add(macs, products, read, written)
        if work is not None:
            self.work[work] += 1
        if self.current_module is not None:
            module = self.module_totals.setdefault(self.current_module, Tally())
            module.add(macs, products, read, written)
        self.live.hold(outputs)


def _known(
    func: OpOverload,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    result: Direct,
    *,
    asked: bool,
) -> Known:
    """What there is to know about a call, whether or not torch was asked for its output."""
    out, macs, activations = result
    inputs = [*tensors_in(args), *tensors_in(kwargs.values())]
    outputs = _outputs(out)
    moved = _moves_data(func, inputs, outputs)
    read = sum(map(_bytes, inputs)) if moved else 0
    written = sum(map(_bytes, outputs)) if moved else 0
    itemsize = outputs[0].itemsize if activations else 0
    work = None
    if moved:
        kind, weights, width, depth = work_of(func, args, kwargs)
        work = (kind, macs, read + written - weights, weights, width, depth)
    call = _graph_call(func, (*args, *kwargs.values()), (*inputs, *outputs))
    # such as `add_`, which changes values alone; others may change the shape of their argument
    alone = not asked or torch.Tag.pointwise in func.tags
    first = alone and bool(args) and out is args[0]
    return Known(
        output="first" if first else output_of(inputs, out),
        macs=macs,
        products=(activations, activations * itemsize),
        read=read,
        written=written,
        work=work,
        call=call,
        text=repr((str(func), *call[1:])),
    )


def _outputs(out: Any) -> list[Tensor]:
    return [out] if type(out) is Tensor else list(tensors_in((out,)))


def _bytes(tensor: Tensor) -> int:
    """Bytes of the elements that exist in memory: a broadcast dimension counts once."""
    size = tensor.nbytes
    if 0 in tensor.stride():
        size = min(size, tensor.untyped_storage().nbytes())
    return size


def _moves_data(func: OpOverload, inputs: list[Tensor], outputs: list[Tensor]) -> bool:
    """Tell an operator that touches elements from one that only renames them (a view)."""
    if func.is_view or not outputs:
        return False
    if func._schema.is_mutable or not inputs:
        return True
    # `reshape`, `contiguous`, `to`, `dropout`, … are views or copies depending on their input
    first = inputs[0].untyped_storage()._cdata
    return any(out.untyped_storage()._cdata != first for out in outputs)


def _registered_cost(
    func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> tuple[int, int]:
    """MACs by torch's formula, and activations: the outputs, or both products of an attention."""
    flops = flop_registry[func.overloadpacket](*args, **kwargs, out_val=out)
    first = next(tensors_in((out,)))
    if "attention" in func.overloadpacket.__name__:
        scores = first.numel() // first.shape[-1] * args[1].shape[-2]
        return flops // 2, scores + first.numel()
    return flops // 2, first.numel()
