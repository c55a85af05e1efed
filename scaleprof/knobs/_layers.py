"""Width and depth for models without arguments for them, by scaleprof's own builder.

Layers are built wider by interception; blocks that stand in a row of equals are repeated.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from ..costs import count_module
from ..models import ConstructorCall, build_module, deeper_call, wider_call
from ..models.scaled import block_rows
from ..records import Axis
from ._groups import Group
from ._probe import Built, Prober, cast, shapes_of
from ._same_shape import blocks_of_same_shape
from ._shares import share_on_target

LAYERS = "width of all layers"
"""Name of the group: all channel counts of a model, as one factor. No argument is called so."""

BLOCKS = "blocks in rows"
"""Name of the group: the number of blocks that stand in rows of equals, as one factor."""

# all channels double, so that FLOPs grow like the square or a little less
_MIN_EXPONENT = 1.4
# blocks that do not stand in rows stay: with less than this, most of the model is such
_MIN_DEPTH_EXPONENT = 0.45
# with less than this, there is nothing to speak of
_MIN_PART = 0.1
# halves too: channel counts that fit together at twice the width may not at others
_FACTORS = (2.0, 0.5)


def built_groups(axes: Mapping[str, Axis]) -> dict[str, Group]:
    """Return the groups of a model that scaleprof's own builder turns."""
    return {
        name: Group(name=name, kind="layers", paths=(), values=(1.0,), base=1.0)
        for axis, name in (("width", LAYERS), ("depth", BLOCKS))
        if axis in axes and name in axes[axis].base
    }


def built(
    call: ConstructorCall, axes: Mapping[str, Axis], new: Mapping[str, Sequence[float]]
) -> ConstructorCall:
    """Wrap a call where new values ask for wider layers or more blocks."""
    width, depth = (float(new[name][0]) if name in new else 1.0 for name in (LAYERS, BLOCKS))
    if width != 1.0:
        call = _with_wider_layers(call, axes["width"].base, width)
    return call if depth == 1.0 else deeper_call(call, depth, axes["depth"].base.get("blocks"))


def _with_wider_layers(
    call: ConstructorCall, base: Mapping[str, Any], factor: float
) -> ConstructorCall:
    return wider_call(call, factor, inputs=base["inputs"], outputs=base["outputs"])


def layers_axis(probe: Prober, module: nn.Module, *, above: float = 0.0) -> Axis | None:
    """Return the width axis of a model whose layers can be intercepted; None if they cannot.

    Args:
        probe: Of the base.
        module: The base.
        above: Share of the channel sizes of which more must move.
    """
    outputs = outputs_of(module)
    if outputs is None or not probe.inputs or len(probe.inputs[0].shape) < 4:
        return None
    base: dict[str, Any] = {
        LAYERS: 1.0,
        "inputs": probe.inputs[0].shape[1],
        "outputs": outputs,
    }
    built = _built(probe, lambda factor: _with_wider_layers(probe.call, base, factor))
    if built is None or min(exponents := _exponents(probe, built)) < _MIN_EXPONENT:
        return None
    fixed = (base["inputs"], outputs)
    if share_on_target(probe.base.shapes, built[0].shapes, _FACTORS[0], fixed=fixed) <= above:
        return None
    return Axis(
        status="ok",
        arguments=(LAYERS,),
        base=base,
        how="no argument: the recipe calls scaleprof's own builder, which widens layers",
        flops_exponent=exponents[0],
    )


def blocks_axis(probe: Prober, module: nn.Module) -> Axis | None:
    """Return the depth axis of a model with blocks that can be repeated; None if it has none.

    They stand in rows of equals, or else keep the shape of what passes through them.
    """
    exponent = _depth_exponent(probe, None)
    if exponent is not None and exponent >= _MIN_DEPTH_EXPONENT:
        return _blocks_axis({BLOCKS: 1.0, "rows": block_rows(module)}, exponent)
    names = blocks_of_same_shape(module, probe.inputs)
    exponent = _depth_exponent(probe, names) if names else None
    if exponent is not None and exponent >= _MIN_PART:
        rows = block_rows(module, names)
        return _blocks_axis({BLOCKS: 1.0, "rows": rows, "blocks": names}, exponent)
    return None


def _depth_exponent(probe: Prober, blocks: Sequence[str] | None) -> float | None:
    built = _built(probe, lambda factor: deeper_call(probe.call, factor, blocks))
    if built is None:
        return None
    exponents = _exponents(probe, built)
    # halving rows of two or three leaves one or two blocks of each: it is not held to the power,
    # and rows of one stay as they are
    fewest = -1e-9 if blocks is not None else 1e-9
    return exponents[0] if exponents[1] > fewest else None


def _blocks_axis(base: dict[str, Any], exponent: float) -> Axis:
    part = exponent < _MIN_DEPTH_EXPONENT
    return Axis(
        status="partial" if part else "ok",
        reason=f"all its blocks that can be repeated are {2**exponent - 1:.0%} of its FLOPs"
        if part
        else None,
        arguments=(BLOCKS,),
        base=base,
        how="no argument: the recipe calls scaleprof's own builder, which repeats blocks",
        flops_exponent=exponent,
    )


def outputs_of(module: nn.Module) -> int | None:
    """Size of the last layer's output: the classes, in a classifier."""
    layers = [m for m in module.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)]
    return int(layers[-1].weight.shape[0]) if layers else None


def _built(probe: Prober, call_at: Callable[[float], ConstructorCall]) -> list[Built] | None:
    """What is built at each factor; None if one of them does not build or run."""
    found = []
    for factor in _FACTORS:
        try:
            module = cast(build_module(call_at(factor), meta=True), probe.dtype)
            found.append(Built(shapes_of(module), count_module(module, probe.inputs)))
        except Exception:  # channel counts in the code of a forward pass may not fit
            return None
    return found


def _exponents(probe: Prober, found: Sequence[Built]) -> list[float]:
    """Powers with which FLOPs grow at each factor."""
    return [probe.exponent(built, f) for built, f in zip(found, _FACTORS, strict=True)]
