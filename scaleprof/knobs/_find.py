"""Find which constructor arguments are a model's knobs by turning each and looking at what moves.

An argument turns *width* if sizes of weights move and no module comes or goes, and *depth* if
modules are added that look like those that were there. Numbers are found however deep they are
nested in arguments. Names are used as a veto alone: class counts, vocabularies and image sizes grow
weights too, and are not width.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from torch import nn

from ..costs import count_module
from ..errors import ModelError, RecipeError
from ..models import ConstructorCall, Declaration, ResolvedModel, build_module, no_collection
from ..records import Axis, InputSpec
from ._capture import capture_arguments, class_call, storable
from ._constants import with_constants
from ._declared import declared_arguments, declared_axes
from ._depth import depth_axis
from ._effects import Effect, find_effects
from ._groups import Arguments, find_groups
from ._inner import with_inner_defaults
from ._knobs import Knobs
from ._layers import blocks_axis, layers_axis, outputs_of
from ._names import is_dependent
from ._probe import Built, Prober, cast, shapes_of
from ._resolution import INPUT, resolution_axis
from ._resolve import resolve_factors
from ._sizes import kernel_axis, patch_axis
from ._ways import WIDTH_STEPS, is_channels, stepped_widths
from ._width import ENOUGH, width_axis

# factors next to one, at which channels that divide by nothing in particular show it
_BESIDES = (0.8, 1.3)
# a width further from the factor than this, as a log, is none at that factor
_NEAR = math.log(1.2)
# what no constructor can use; one that builds the same model with it does not look at it
_NONSENSE = "no value at all"


@no_collection()
def find_knobs(
    model: str, resolved: ResolvedModel, inputs: Sequence[InputSpec], *, dtype: str = "float32"
) -> Knobs:
    """Find the knobs of a model: width, depth, resolution, patch size and kernel size.

    Args:
        model: The reference, for the record.
        resolved: The model.
        inputs: What it is called with, the batch in front.
        dtype: Floating-point type of its weights.

    Raises:
        Exception: What the model's constructor or forward pass raises.
    """
    module = build_module(resolved.call, meta=True)
    base = Built(shapes_of(module), count_module(cast(module, dtype), inputs))
    probe = Prober(
        call=resolved.call,
        arguments=Arguments({}),
        groups={},
        inputs=tuple(inputs),
        base=base,
        dtype=dtype,
    )
    if resolved.declared is not None:
        probe = _declared_call(probe, module, resolved.declared)
        return _knobs(model, probe, declared_axes(probe, resolved.declared))
    probe, effects, why = _best_call(probe, module)
    width, share = width_axis(probe, effects, why, outputs=outputs_of(module))
    layers = layers_axis(probe, module, above=ENOUGH) if share < ENOUGH else None
    axes = _axes(probe, module, effects, why, layers or width)
    probe, axes = with_constants(probe, module, effects, axes)
    if share < ENOUGH and axes["width"] is width:
        axes["width"] = layers_axis(probe, module, above=share) or width
    knobs = _knobs(model, probe, axes)
    others = _other_widths(knobs, width, lambda: layers or layers_axis(probe, module))
    knobs = _with_step(_tried(knobs, "width", (0.5, 0.75), others), probe)
    return _tried(knobs, "depth", (0.5,), _other_depths(knobs, probe, module))


def _other_widths(knobs: Knobs, width: Axis, layers: Callable[[], Axis | None]) -> Iterator[Knobs]:
    """Other knobs for the width: the arguments, what divides them turned along, and all layers."""
    if width.status != "none":
        by_arguments = _with_axis(knobs, "width", width)
        if width != knobs.axes["width"]:
            yield by_arguments
        arguments = with_inner_defaults(knobs.arguments)
        if arguments != knobs.arguments:
            yield replace(by_arguments, arguments=arguments)
    if (found := layers()) is not None and found != knobs.axes["width"]:
        yield _with_axis(knobs, "width", found)


def _other_depths(knobs: Knobs, probe: Prober, module: nn.Module) -> Iterator[Knobs]:
    found = blocks_axis(probe, module)
    if found is not None and found != knobs.axes["depth"]:
        yield _with_axis(knobs, "depth", found)


def _knobs(model: str, probe: Prober, axes: dict[str, Axis]) -> Knobs:
    return Knobs(
        model=model,
        call=probe.call,
        arguments=probe.arguments,
        inputs=probe.inputs,
        axes=axes,
        cost=probe.base.cost,
        dtype=probe.dtype,
    )


def _axes(
    probe: Prober, module: nn.Module, effects: Sequence[Effect], why: str | None, width: Axis
) -> dict[str, Axis]:
    depth = depth_axis(probe, effects, why)
    if depth.status == "none":
        depth = blocks_axis(probe, module) or depth
    return {
        "width": width,
        "depth": depth,
        "resolution": resolution_axis(probe, besides=width.arguments),
        "patch_size": patch_axis(probe),
        "kernel_size": kernel_axis(probe, effects),
    }


def _with_call(probe: Prober, call: ConstructorCall, arguments: Arguments) -> Prober:
    groups = find_groups(arguments.values)
    return dataclasses.replace(probe, call=call, arguments=arguments, groups=groups, reasons={})


def _declared_call(probe: Prober, module: nn.Module, declared: Declaration) -> Prober:
    """The call that has the declared arguments: what was named, or else the class behind it."""
    names = {*declared.width, *declared.depth, *declared.resolution} - {INPUT}
    named = _with_call(probe, probe.call, declared_arguments(probe.call))
    if names <= named.groups.keys():
        return named
    for call, arguments, _, _ in _scalable_calls(probe, module):
        other = _with_call(probe, call, arguments)
        if names <= other.groups.keys():
            return other
    return named


def _tried(knobs: Knobs, axis: str, factors: Sequence[float], others: Iterable[Knobs]) -> Knobs:
    """Turn a knob down as recipes will; where that fails, take others that do better."""
    failed, left = _failed(knobs, axis, factors), iter(others)
    while failed and (other := next(left, None)) is not None:
        if len(fewer := _failed(other, axis, factors)) < len(failed):
            knobs, failed = other, fewer
    if not failed:
        return knobs
    at = ", ".join(f"×{factor:g}" for factor in failed)
    reason = f"nothing near {at} builds and runs"
    return _with_axis(knobs, axis, replace(knobs.axes[axis], status="partial", reason=reason))


def _with_step(knobs: Knobs, probe: Prober) -> Knobs:
    """Note the smallest multiple that channels can be rounded to, where one is found."""
    axis = knobs.axes["width"]
    groups = [knobs.groups[name] for name in axis.arguments if name in probe.groups]
    if axis.status == "none" or not any(map(is_channels, groups)):
        return knobs
    for step in WIDTH_STEPS:
        values = [stepped_widths(groups, step, factor) for factor in _BESIDES]
        if all(probe.build(new) is not None for new in values):
            return _with_axis(knobs, "width", replace(axis, step=step))
    return knobs


def _failed(knobs: Knobs, axis: str, factors: Sequence[float]) -> list[float]:
    if knobs.axes[axis].status == "none":
        return []
    return [factor for factor in factors if not _resolves(knobs, axis, factor)]


def _resolves(knobs: Knobs, axis: str, factor: float) -> bool:
    """Tell whether there is a variant at a factor; of width, one near it."""
    width, depth = (factor if axis == name else 1.0 for name in ("width", "depth"))
    try:
        variant = resolve_factors(knobs, width=width, depth=depth)
    except RecipeError:
        return False
    # stages of one block cannot shrink; channels can
    off = abs(math.log(variant.recipe.achieved[axis] / factor))
    return axis != "width" or (off < _NEAR and variant.cost.macs < knobs.cost.macs)


def _with_axis(knobs: Knobs, name: str, axis: Axis) -> Knobs:
    return replace(knobs, axes={**knobs.axes, name: axis})


def _best_call(probe: Prober, module: nn.Module) -> tuple[Prober, list[Effect], str | None]:
    """Choose the call to change, with the effects of its arguments: the one that moves most."""
    best: tuple[Prober, list[Effect], str | None] | None = None
    for call, arguments, whole, why in _scalable_calls(probe, module):
        trial = _with_call(probe, call, arguments)
        effects = find_effects(trial)
        if best is None or _reach(effects) > _reach(best[1]):
            best = trial, effects, why
        if effects and whole:
            break
    assert best is not None
    return best


def _reach(effects: Sequence[Effect]) -> tuple[int, int]:
    """Number of sizes that arguments move, those of channels before those of ratios."""
    moved = {size for e in effects if not is_dependent(e.group.name) for size in e.elasticity}
    return len(moved), len(effects)


def _scalable_calls(
    probe: Prober, module: nn.Module
) -> Iterator[tuple[ConstructorCall, Arguments, bool, str | None]]:
    """What may be called with changed arguments: what the user named, or else the class.

    A builder function may set arguments itself and refuse them from outside ("multiple values for
    keyword argument"), or ignore them; the class behind it then takes them.

    Yields:
        A call, its arguments, whether these are all that the class has, and why there are none.
    """
    call = probe.call
    try:
        captured = capture_arguments(call, type(module))
    except (ModelError, TypeError, ValueError) as error:
        yield call, Arguments(call.arguments, call.callables), False, str(error)
        return
    arguments = storable(captured)
    if _rebuilds(probe, _explicit(call, arguments)):
        ignored = _ignored(probe, arguments)
        yield call, _without(arguments, ignored), not ignored, None
    why = "its arguments cannot be set from outside"
    try:
        for keep_lists in (False, True):
            direct = class_call(type(module), captured, keep_lists=keep_lists)
            arguments = storable(captured, keep_lists=keep_lists)
            if _rebuilds(probe, _explicit(direct, arguments)):
                yield direct, arguments, True, None
                return
    except ModelError as error:
        why = f"{why}, and {error}"
    # a builder that changes what the class builds still has arguments of its own
    own = declared_arguments(call)
    if _with_numbers(own):
        yield call, own, True, None
    else:
        yield call, Arguments({}), False, why


def _ignored(probe: Prober, arguments: Arguments) -> set[str]:
    """Arguments that a builder makes itself, whatever it is given: nonsense changes nothing.

    Only objects that hold numbers are tried; of plain numbers the effect shows the same.
    """
    objects = {path.split(".")[0] for path in arguments.callables} & _with_numbers(arguments)
    call = probe.call
    return {name for name in objects if _rebuilds(probe, call.override({name: _NONSENSE}))}


def _without(arguments: Arguments, names: set[str]) -> Arguments:
    values = {name: value for name, value in arguments.values.items() if name not in names}
    inside = tuple(path for path in arguments.callables if path.split(".")[0] not in names)
    return Arguments(values, inside)


def _explicit(call: ConstructorCall, arguments: Arguments) -> ConstructorCall:
    """The call with every argument given that has numbers in it."""
    names = _with_numbers(arguments)
    inside = [path for path in arguments.callables if path.split(".")[0] in names]
    return call.override({name: arguments.values[name] for name in names}, inside)


def _with_numbers(arguments: Arguments) -> set[str]:
    groups: Mapping[str, Any] = find_groups(arguments.values)
    return {str(path[0]) for group in groups.values() for path in group.paths}


def _rebuilds(probe: Prober, call: ConstructorCall) -> bool:
    """Tell whether a call builds the base: the same weights, and the same work with them."""
    try:
        module = build_module(call, meta=True)
        if shapes_of(module) != probe.base.shapes:
            return False
        cost, base = count_module(cast(module, probe.dtype), probe.inputs), probe.base.cost
        return (cost.macs, cost.activations) == (base.macs, base.activations)
    except Exception:  # the trial may raise whatever a constructor raises; that is its answer
        return False
