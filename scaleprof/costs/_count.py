"""Count a module: its parameters and bytes, and one forward pass on the meta device."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from ..models import no_collection
from ..records import WORK_KINDS, Cost, Coverage, InputSpec, ModuleCost, OperatorCost, Work
from ._counter import CostCounter, Tally


def count_module(
    module: nn.Module, inputs: Sequence[InputSpec], *, module_depth: int | None = None
) -> Cost:
    """Count one forward pass of a module in inference, without allocating or computing anything.

    The module may live on any device: its weights are replaced by shapes for the pass, and it is
    left as it was, in the mode (training or evaluation) it was in.

    Args:
        module: The model. Its forward pass must not depend on the values of tensors; only a test on
            them, such as ``mask.all()``, is taken as true, and noted.
        inputs: What it is called with.
        module_depth: Also return costs by module down to this many dots in the path; None for
            none, 0 for the model alone.

    Returns:
        The cost of one forward pass of the whole batch.

    Raises:
        Exception: Whatever the module's forward pass raises.

    Examples:
        >>> cost = count_module(nn.Linear(3, 5), [InputSpec(shape=(2, 3))])
        >>> cost.params, cost.macs, cost.flops, cost.activations
        (20, 30, 60, 10)
    """
    counter = CostCounter()
    paths: dict[str, nn.Module] = {}
    _add_paths(paths, module, "")
    weights = _weights(paths)
    with no_collection(), _evaluating(paths.values()), torch.inference_mode():
        shapes = _shapes(weights)
        args, kwargs = meta_inputs(inputs)
        counter.live.keep(shapes.values())
        counter.live.hold([*args, *kwargs.values()])
        with _attributing(counter, paths, active=module_depth is not None), counter:
            if all(tensor.is_meta for tensor in weights.values()):
                module(*args, **kwargs)
            else:
                torch.func.functional_call(module, shapes, args, kwargs)
    return _summarise(weights, inputs, counter, _module_costs(paths, counter, module_depth))


def _add_paths(paths: dict[str, nn.Module], module: nn.Module, path: str) -> None:
    """All modules by path, as `nn.Module.named_modules` has them, in a quarter of its time."""
    paths[path] = module
    for name, child in module._modules.items():
        if child is not None:
            _add_paths(paths, child, f"{path}.{name}" if path else name)


def meta_inputs(inputs: Sequence[InputSpec]) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Return positional and keyword inputs as tensors without data."""

    def tensor(spec: InputSpec) -> Tensor:
        return torch.empty(spec.shape, dtype=getattr(torch, spec.dtype), device="meta")

    args = tuple(tensor(spec) for spec in inputs if spec.name is None)
    return args, {spec.name: tensor(spec) for spec in inputs if spec.name is not None}


def _weights(paths: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """All parameters and buffers by name, in one walk; a shared tensor has several names."""
    return {
        f"{path}.{name}" if path else name: tensor
        for path, child in paths.items()
        for name, tensor in (*child._parameters.items(), *child._buffers.items())
        if tensor is not None
    }


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights without data; names that share a tensor go on sharing it."""
    distinct = {id(tensor): tensor for tensor in weights.values()}
    shapes = {
        key: tensor if tensor.is_meta else torch.empty_like(tensor, device="meta")
        for key, tensor in distinct.items()
    }
    return {name: shapes[id(tensor)] for name, tensor in weights.items()}


@contextmanager
def _evaluating(modules: Iterable[nn.Module]) -> Iterator[None]:
    was_training = [child for child in modules if child.training]
    _set_training(was_training, to=False)
    try:
        yield
    finally:
        _set_training(was_training, to=True)


def _set_training(modules: Iterable[nn.Module], *, to: bool) -> None:
    for child in modules:
        # where it is a plain attribute, past the search of modules for what it may be
        if "training" in child.__dict__:
            child.__dict__["training"] = to
        else:
            child.training = to


@contextmanager
def _attributing(
    counter: CostCounter, paths: Mapping[str, nn.Module], *, active: bool
) -> Iterator[None]:
    """Keep `counter.current_module` at the innermost module that is running."""
    if not active:
        yield
        return
    # a module with several paths is known by its first
    names = {id(child): path for path, child in reversed(list(paths.items()))}
    stack: list[str | None] = []

    def enter(child: nn.Module, _: Any) -> None:
        stack.append(counter.current_module)
        counter.current_module = names.get(id(child), counter.current_module)

    def leave(child: nn.Module, _: Any, __: Any) -> None:
        counter.current_module = stack.pop()

    handles = (
        register_module_forward_pre_hook(enter),
        register_module_forward_hook(leave, always_call=True),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _summarise(
    weights: Mapping[str, Tensor],
    inputs: Sequence[InputSpec],
    counter: CostCounter,
    modules: tuple[ModuleCost, ...] | None,
) -> Cost:
    # looked up but never run: torch took it apart into others
    unused = [name for name, tally in counter.operators.items() if not tally.calls]
    for name in unused:
        del counter.operators[name]
    tallies = counter.operators.values()
    macs = sum(tally.macs for tally in tallies)
    distinct = {id(tensor): tensor for tensor in weights.values()}.values()
    return Cost(
        input_shape=inputs[0].shape if inputs else (),
        inputs=tuple(inputs),
        params=sum(t.numel() for t in distinct if isinstance(t, nn.Parameter)),
        weight_bytes=sum(t.nbytes for t in distinct),
        macs=macs,
        flops=2 * macs,
        activations=sum(tally.activations for tally in tallies),
        activation_bytes=sum(tally.activation_bytes for tally in tallies),
        traffic_bytes=sum(tally.read_bytes + tally.written_bytes for tally in tallies),
        peak_bytes=counter.live.peak,
        coverage=_coverage(counter.operators, counter.taken_as_true),
        operators=_operator_costs(counter.operators),
        graph=counter.graph.digest(),
        work=_work(counter),
        modules=modules,
    )


def _coverage(operators: Mapping[str, Tally], taken_as_true: int) -> Coverage:
    calls: dict[str, dict[str, int]] = {"counted": {}, "free": {}, "unknown": {}}
    for name, tally in operators.items():
        calls[tally.kind][name] = tally.calls
    written = sum(tally.written_bytes for tally in operators.values())
    unknown = sum(t.written_bytes for t in operators.values() if t.kind == "unknown")
    return Coverage(
        status="partial" if calls["unknown"] else "complete",
        counted=calls["counted"],
        free=calls["free"],
        unknown=calls["unknown"],
        unknown_output_share=unknown / written if written else 0.0,
        taken_as_true=taken_as_true,
    )


def _operator_costs(operators: Mapping[str, Tally]) -> tuple[OperatorCost, ...]:
    rows = [
        OperatorCost(
            operator=name,
            kind=tally.kind,  # type: ignore[arg-type]
            calls=tally.calls,
            macs=None if tally.kind == "unknown" else tally.macs,
            activations=tally.activations,
            read_bytes=tally.read_bytes,
            written_bytes=tally.written_bytes,
        )
        for name, tally in operators.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-(row.macs or 0), -row.written_bytes, row.operator)))


def _work(counter: CostCounter) -> tuple[Work, ...]:
    rows = [Work(kind, calls, *sizes) for (kind, *sizes), calls in counter.work.items()]
    return tuple(sorted(rows, key=lambda row: (WORK_KINDS.index(row.kind), -row.macs)))


def _module_costs(
    paths: Mapping[str, nn.Module], counter: CostCounter, depth: int | None
) -> tuple[ModuleCost, ...] | None:
    if depth is None:
        return None
    return tuple(
        _module_cost(path, child, counter.module_totals)
        for path, child in paths.items()
        if (path.count(".") + 1 if path else 0) <= depth
    )


def _module_cost(path: str, child: nn.Module, totals: Mapping[str, Tally]) -> ModuleCost:
    inside = [
        tally
        for name, tally in totals.items()
        if not path or name == path or name.startswith(f"{path}.")
    ]
    return ModuleCost(
        path=path,
        type=type(child).__name__,
        params=sum(p.numel() for p in child.parameters()),
        macs=sum(tally.macs for tally in inside),
        activations=sum(tally.activations for tally in inside),
        activation_bytes=sum(tally.activation_bytes for tally in inside),
        traffic_bytes=sum(tally.read_bytes + tally.written_bytes for tally in inside),
    )
