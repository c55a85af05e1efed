"""Knobs of a model whose author declared them: tried, not searched for."""

import inspect
from collections.abc import Sequence

from msgspec.structs import replace

from ..errors import ModelError
from ..models import (
    ConstructorCall,
    Declaration,
    decode_arguments,
    import_target,
)
from ..records import Axis
from ._capture import storable
from ._groups import Arguments, Group, Number
from ._probe import Prober, scaled_by
from ._resolution import INPUT, resolution_axis

_HOW = "declared"
_FACTORS = (2.0, 0.5)
_NONE = Axis(status="none", reason="it is not declared")


def declared_arguments(call: ConstructorCall) -> Arguments:
    """All arguments of a call, defaults included, as its signature names them."""
    signature = inspect.signature(import_target(call.target))
    bound = signature.bind_partial(**decode_arguments(call))
    bound.apply_defaults()
    return storable(bound.arguments)


def declared_axes(probe: Prober, declared: Declaration) -> dict[str, Axis]:
    """The axes that are declared, with how FLOPs grow with each.

    Raises:
        ModelError: If a name is not that of numbers among the arguments.
    """
    return {
        "width": _numbers(probe, declared.width),
        "depth": _numbers(probe, declared.depth),
        "resolution": _resolution(probe, declared.resolution),
        "patch_size": _NONE,
        "kernel_size": _NONE,
    }


def _groups(probe: Prober, names: Sequence[str]) -> list[Group]:
    unknown = [name for name in names if name not in probe.groups]
    if unknown:
        raise ModelError(
            f"`{unknown[0]}` is declared as a knob, but no number among the arguments is so named",
            hint=f"there are {', '.join(probe.groups) or 'none'}",
        )
    return [probe.groups[name] for name in names]


def _numbers(probe: Prober, names: Sequence[str]) -> Axis:
    if not names:
        return _NONE
    groups = _groups(probe, names)
    for factor in _FACTORS:
        built = probe.build({g.name: _at_least_one(g, scaled_by(g, factor)) for g in groups})
        if built is not None:
            return _axis(groups, probe.exponent(built, factor))
    why = next(iter(probe.reasons.values()), "it does not run")
    return Axis(status="none", reason=f"declared, but neither ×2 nor ×0.5 builds and runs: {why}")


def _at_least_one(group: Group, values: Sequence[Number]) -> list[Number]:
    """Counts that were rounded away are one; zero says that there is none, and stays."""
    pairs = zip(group.values, values, strict=True)
    return [1 if isinstance(old, int) and old > 0 and new < 1 else new for old, new in pairs]


def _resolution(probe: Prober, names: Sequence[str]) -> Axis:
    if not names:
        return _NONE
    groups = _groups(probe, [name for name in names if name != INPUT])
    axis = resolution_axis(probe, [groups])
    return axis if axis.status == "none" else replace(axis, how=_HOW)


def _axis(groups: Sequence[Group], exponent: float) -> Axis:
    return Axis(
        status="ok",
        arguments=tuple(group.name for group in groups),
        base={group.name: group.base for group in groups},
        how=_HOW,
        flops_exponent=exponent,
    )
