"""Find which constructor arguments are a model's knobs by doubling each and looking at what moves.

An argument turns *width* if sizes of weights move and no module comes or goes, *depth* if modules
are added that look like those that were there, and nothing otherwise. Only arguments that are
numbers or sequences of numbers are tried. Names are used as a veto alone: class counts,
vocabularies and image sizes grow weights too, and are not width.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import nn

from ..costs import count_module
from ..errors import ModelError
from ..models import ConstructorCall, ResolvedModel, build_module
from ..records import Axis, Cost, InputSpec
from ._capture import capture_arguments, class_call
from ._numbers import double, is_numbers

Shapes = Mapping[str, tuple[int, ...]]

_VETO = {
    "width": re.compile(
        r"class|vocab|position|img_size|image_size|in_chans|in_channels|patch|kernel|window|stride"
        r"|ratio|divisor|heads|reps|group|seq"
    ),
    "depth": re.compile(r"stem|ratio|divisor|kernel|patch|stride|window|heads|class|img_size"),
}
# FLOPs of a width knob grow with at least this power of the factor, those of a depth knob likewise:
# well under the 1.85 and 1.0 that models show, well over what moves a corner of a model only
_MIN_EXPONENT = {"width": 1.0, "depth": 0.45}
# share of weight sizes that a second width argument must add to be turned along
_MIN_NEW_SHARE = 0.02


class Knobs(msgspec.Struct, frozen=True, kw_only=True):
    """The knobs of one model: what scaling needs to know about it.

    Attributes:
        model: The reference the user gave.
        call: The constructor call whose arguments are turned.
        inputs: What the base is called with.
        axes: What was found, by axis.
        cost: Cost of the base.
        dtype: Floating-point type of weights and inputs.
    """

    model: str
    call: ConstructorCall
    inputs: tuple[InputSpec, ...]
    axes: dict[str, Axis]
    cost: Cost
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class _Built:
    """A model on the meta device, its weights' shapes and its cost."""

    shapes: Shapes
    cost: Cost


@dataclass(frozen=True, slots=True)
class _Effect:
    """What doubling one argument does."""

    argument: str
    base: Any
    moved: frozenset[tuple[str, int]]
    flops_exponent: float


def find_knobs(
    model: str, resolved: ResolvedModel, inputs: Sequence[InputSpec], *, dtype: str = "float32"
) -> Knobs:
    """Find the width, depth and resolution knobs of a model.

    Args:
        model: The reference, for the record.
        resolved: The model.
        inputs: What it is called with, the batch in front.
        dtype: Floating-point type of its weights.

    Raises:
        Exception: What the model's constructor or forward pass raises.
    """
    module = build_module(resolved.call, meta=True)
    base = _Built(_shapes(module), count_module(cast(module, dtype), inputs))
    call, arguments, why = _scalable_call(resolved.call, module, base)
    numbers = {
        name: value
        for name, value in arguments.items()
        if is_numbers(value) and not _is_input_size(value, inputs)
    }
    probe = _Prober(call, tuple(inputs), base, dtype)
    effects = {"width": list[_Effect](), "depth": list[_Effect]()}
    for name, value in numbers.items():
        probe.classify(name, value, effects)
    axes = {
        "width": _width_axis(probe, effects["width"], why),
        "depth": _depth_axis(effects["depth"], why),
        "resolution": _resolution_axis(probe, arguments),
    }
    return Knobs(
        model=model, call=call, inputs=tuple(inputs), axes=axes, cost=base.cost, dtype=dtype
    )


def cast(module: nn.Module, dtype: str) -> nn.Module:
    """Return the module with its weights in a floating-point type."""
    return module if dtype == "float32" else module.to(getattr(torch, dtype))


def _shapes(module: nn.Module) -> Shapes:
    return {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}


def _is_input_size(value: Any, inputs: Sequence[InputSpec]) -> bool:
    size = inputs[0].shape[-1] if inputs else 0
    return value == size or (isinstance(value, list | tuple) and tuple(value) == (size, size))


def _scalable_call(
    call: ConstructorCall, module: nn.Module, base: _Built
) -> tuple[ConstructorCall, dict[str, Any], str | None]:
    """Choose what is called with changed arguments: what the user named, or else the class.

    A builder function may set arguments itself and refuse them from outside ("multiple values for
    keyword argument"); the class behind it then takes them.
    """
    try:
        arguments = capture_arguments(call, type(module))
    except (ModelError, TypeError, ValueError) as error:
        return call, dict(call.arguments), str(error)
    numbers = {name: value for name, value in arguments.items() if is_numbers(value)}
    if _rebuilds(call.override({k: _jsonable(v) for k, v in numbers.items()}), base):
        return call, arguments, None
    try:
        direct = class_call(type(module), arguments)
    except ModelError as error:
        return call, {}, f"its arguments cannot be set from outside, and {error}"
    if _rebuilds(direct, base):
        return direct, arguments, None
    return call, {}, "its arguments cannot be set from outside"


def _jsonable(value: Any) -> Any:
    return tuple(_jsonable(item) for item in value) if isinstance(value, list | tuple) else value


def _rebuilds(call: ConstructorCall, base: _Built) -> bool:
    try:
        return _shapes(build_module(call, meta=True)) == base.shapes
    except Exception:  # the trial may raise whatever a constructor raises; that is its answer
        return False


@dataclass(frozen=True, slots=True)
class _Prober:
    """Builds the model with changed arguments and looks at the difference."""

    call: ConstructorCall
    inputs: tuple[InputSpec, ...]
    base: _Built
    dtype: str

    def build(
        self, changes: Mapping[str, Any], inputs: Sequence[InputSpec] | None = None
    ) -> _Built | None:
        """Build and count with changed arguments; None if that does not work."""
        try:
            module = build_module(self.call.override(changes), meta=True)
            cost = count_module(cast(module, self.dtype), inputs or self.inputs)
            return _Built(_shapes(module), cost)
        except Exception:  # a constructor may refuse a value in any way it likes
            return None

    def exponent(self, built: _Built, factor: float = 2.0) -> float:
        """Power of the factor with which FLOPs grew."""
        old, new = self.base.cost.macs, built.cost.macs
        return math.log(new / old) / math.log(factor) if old and new else 0.0

    def classify(self, name: str, value: Any, effects: dict[str, list[_Effect]]) -> None:
        """Double an argument and add it to the axis it turns, if any."""
        built = self.build({name: double(value)})
        if built is None:
            return
        axis, moved = _difference(self.base.shapes, built.shapes)
        if axis is None or _VETO[axis].search(name):
            return
        exponent = self.exponent(built)
        if axis == "width" or exponent >= _MIN_EXPONENT["depth"]:
            effects[axis].append(_Effect(name, value, moved, exponent))


def _difference(old: Shapes, new: Shapes) -> tuple[str | None, frozenset[tuple[str, int]]]:
    """Say which axis a change of weights' names and shapes is, and which sizes doubled."""
    if old.keys() == new.keys():
        moved = {
            (name, i)
            for name, shape in old.items()
            for i, (a, b) in enumerate(zip(shape, new[name], strict=False))
            if a != b
        }
        return ("width" if moved else None), frozenset(moved)
    kinds = {_without_digits(name) for name in old}
    added = new.keys() - old.keys()
    grown = old.keys() <= new.keys() and all(_without_digits(name) in kinds for name in added)
    unchanged = all(new.get(name) == shape for name, shape in old.items())
    return ("depth" if grown and unchanged else None), frozenset()


def _without_digits(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _width_axis(probe: _Prober, effects: list[_Effect], why: str | None) -> Axis:
    """Turn the argument that moves most sizes, and others that move what it leaves."""
    chosen: list[_Effect] = []
    covered: frozenset[tuple[str, int]] = frozenset()
    sizes = sum(map(len, probe.base.shapes.values()))
    for effect in sorted(effects, key=lambda e: -len(e.moved)):
        new = effect.moved - covered
        overlaps = len(effect.moved & covered) > 0.5 * len(effect.moved)
        if overlaps or (chosen and len(new) < _MIN_NEW_SHARE * sizes):
            continue
        together = probe.build({e.argument: double(e.base) for e in [*chosen, effect]})
        if together is None:
            continue
        chosen.append(effect)
        covered |= effect.moved
    built = probe.build({e.argument: double(e.base) for e in chosen}) if chosen else None
    if built is None or probe.exponent(built) < _MIN_EXPONENT["width"]:
        return Axis(status="none", reason=why or "no argument moves the sizes of its weights")
    return _axis(chosen, probe.exponent(built))


def _depth_axis(effects: list[_Effect], why: str | None) -> Axis:
    if not effects:
        return Axis(status="none", reason=why or "no argument adds blocks like those it has")
    # several names for one thing (depth and a multiplier of it) would scale it twice
    best = max(effects, key=lambda effect: effect.flops_exponent)
    return _axis([best], best.flops_exponent)


def _axis(effects: Sequence[_Effect], exponent: float) -> Axis:
    return Axis(
        status="ok",
        arguments=tuple(effect.argument for effect in effects),
        base={effect.argument: effect.base for effect in effects},
        how="effect of doubling",
        flops_exponent=exponent,
    )


def _resolution_axis(probe: _Prober, arguments: Mapping[str, Any]) -> Axis:
    if not probe.inputs or len(probe.inputs[0].shape) < 4:
        return Axis(status="none", reason="its input is not an image")
    sizes = {k: v for k, v in arguments.items() if _is_input_size(v, probe.inputs)}
    for names in ((), tuple(sizes)):
        built = probe.build(
            {name: double(sizes[name]) for name in names}, scale_input(probe.inputs, 2.0, 1)
        )
        if built is not None and probe.exponent(built) > 0.5:
            return Axis(
                status="ok",
                arguments=("input", *names),
                base={"input": probe.inputs[0].shape[2:], **{n: sizes[n] for n in names}},
                how="effect of doubling",
                flops_exponent=probe.exponent(built),
            )
        if not sizes:
            break
    return Axis(status="none", reason="it does not run on a larger input")


def scale_input(inputs: Sequence[InputSpec], factor: float, step: int) -> tuple[InputSpec, ...]:
    """Scale the spatial sizes of every image input, rounded to multiples of a step."""
    from ..scaling import round_to_step

    return tuple(
        msgspec.structs.replace(
            spec,
            shape=(*spec.shape[:2], *(round_to_step(n * factor, step) for n in spec.shape[2:])),
        )
        if len(spec.shape) >= 4
        else spec
        for spec in inputs
    )
