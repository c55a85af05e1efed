"""Find which constructor arguments are a model's knobs by turning each and looking at what moves.

An argument turns *width* if sizes of weights move and no module comes or goes, and *depth* if
modules are added that look like those that were there. Numbers are found however deep they are
nested in arguments. Names are used as a veto alone: class counts, vocabularies and image sizes grow
weights too, and are not width.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from ..costs import count_module
from ..errors import ModelError
from ..models import ConstructorCall, ResolvedModel, build_module
from ..records import InputSpec
from ._capture import capture_arguments, class_call, storable
from ._depth import depth_axis
from ._effects import find_effects
from ._groups import Arguments, find_groups
from ._knobs import Knobs
from ._layers import blocks_axis, layers_axis
from ._probe import Built, Prober, cast, shapes_of
from ._resolution import resolution_axis
from ._sizes import kernel_axis, patch_axis
from ._width import width_axis


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
    why: str | None
    for call, arguments, why in _scalable_calls(resolved.call, module, base):  # noqa: B007
        probe = Prober(
            call=call,
            arguments=arguments,
            groups=find_groups(arguments.values),
            inputs=tuple(inputs),
            base=base,
            dtype=dtype,
        )
        effects = find_effects(probe)
        if effects:
            break
    width = width_axis(probe, effects, why)
    if width.status == "none":
        width = layers_axis(probe, module) or width
    depth = depth_axis(probe, effects, why)
    if depth.status == "none":
        depth = blocks_axis(probe) or depth
    axes = {
        "width": width,
        "depth": depth,
        "resolution": resolution_axis(probe),
        "patch_size": patch_axis(probe),
        "kernel_size": kernel_axis(probe),
    }
    return Knobs(
        model=model,
        call=probe.call,
        arguments=probe.arguments,
        inputs=tuple(inputs),
        axes=axes,
        cost=base.cost,
        dtype=dtype,
    )


def _scalable_calls(
    call: ConstructorCall, module: nn.Module, base: Built
) -> Iterator[tuple[ConstructorCall, Arguments, str | None]]:
    """What may be called with changed arguments: what the user named, or else the class.

    A builder function may set arguments itself and refuse them from outside ("multiple values for
    keyword argument"), or ignore them; the class behind it then takes them.
    """
    try:
        captured = capture_arguments(call, type(module))
    except (ModelError, TypeError, ValueError) as error:
        yield call, Arguments(call.arguments, call.callables), str(error)
        return
    arguments = storable(captured)
    if _rebuilds(_explicit(call, arguments), base):
        yield call, arguments, None
    why = "its arguments cannot be set from outside"
    try:
        for keep_lists in (False, True):
            direct = class_call(type(module), captured, keep_lists=keep_lists)
            arguments = storable(captured, keep_lists=keep_lists)
            if _rebuilds(_explicit(direct, arguments), base):
                yield direct, arguments, None
                return
    except ModelError as error:
        why = f"{why}, and {error}"
    yield call, Arguments({}), why


def _explicit(call: ConstructorCall, arguments: Arguments) -> ConstructorCall:
    """The call with every argument given that has numbers in it."""
    names = _with_numbers(arguments)
    inside = [path for path in arguments.callables if path.split(".")[0] in names]
    return call.override({name: arguments.values[name] for name in names}, inside)


def _with_numbers(arguments: Arguments) -> set[str]:
    groups: Mapping[str, Any] = find_groups(arguments.values)
    return {str(path[0]) for group in groups.values() for path in group.paths}


def _rebuilds(call: ConstructorCall, base: Built) -> bool:
    try:
        return shapes_of(build_module(call, meta=True)) == base.shapes
    except Exception:  # the trial may raise whatever a constructor raises; that is its answer
        return False
