"""The size of the input image, and the arguments that must follow it."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ..records import Axis, InputSpec
from ..scaling import round_to_step
from ._groups import Group
from ._probe import Prober

# FLOPs grow with about the square; with less than this, most of the model does not see the size
_MIN_EXPONENT = 0.5
# sizes that are tried besides the double; windows and patches may divide some of them only
_FACTORS = (0.75, 1.25)
# parts of the base's size that may be its grid, where 32 pixels or fewer are no legal step
_SHARES = (16, 14, 12, 10, 8, 7, 6, 5, 4, 3, 2, 1)
# strides of convolutional nets multiply to 32, patches and windows of transformers divide it
RESOLUTION_STEP = 32
# windows that tile the image
_WINDOW = re.compile("window|partition")
# but a size of fewer steps than 224 has of 32 could hardly be scaled
_MIN_STEPS = 7


def resolution_step(inputs: Sequence[InputSpec]) -> int:
    """Return the grid that scaled sizes stay on: that of the base, and no coarser than the stride.

    Examples:
        >>> resolution_step([InputSpec(shape=(1, 3, 28, 28))])
        4
    """
    sizes = inputs[0].shape[2:]
    step = RESOLUTION_STEP
    while any(size % step or size < _MIN_STEPS * step for size in sizes) and step > 1:
        step //= 2
    return step


def resolution_axis(probe: Prober) -> Axis:
    """Find whether the input alone can be larger, or which arguments must say so too.

    Sizes stay on the finest grid whose neighbours of the base run.
    """
    if not probe.inputs or len(probe.inputs[0].shape) < 4:
        return Axis(status="none", reason="its input is not an image")
    choices = list(_choices(probe))
    for step in _steps(probe.inputs):
        for groups in choices:
            exponents = _exponents(probe, groups, step)
            if exponents:
                return _axis(probe, groups, exponents[-1], step)
    return Axis(status="none", reason="it does not run on an input of another size")


def _steps(inputs: Sequence[InputSpec]) -> list[int]:
    """Grids to try, from fine to coarse: the usual one, then parts of the base's own size."""
    size = inputs[0].shape[-1]
    usual = resolution_step(inputs)
    parts = [size // share for share in _SHARES if size % share == 0 and size // share > usual]
    return [usual, *parts]


def _exponents(probe: Prober, groups: Sequence[Group], step: int) -> list[float]:
    """Powers with which FLOPs grow to other sizes; empty unless all of them run."""
    base = probe.inputs[0].shape[-1]
    exponents = []
    for size in _sizes(base, step):
        inputs = scale_input(probe.inputs, size / base, step)
        achieved = inputs[0].shape[-1] / base
        built = probe.build({g.name: input_sizes(g, inputs, achieved) for g in groups}, inputs)
        exponent = probe.exponent(built, achieved) if built else 0.0
        if exponent <= _MIN_EXPONENT:
            return []
        exponents.append(exponent)
    return exponents


def _sizes(base: int, step: int) -> list[int]:
    """A smaller size if there is one, a larger, and the double."""
    larger = max(round_to_step(_FACTORS[1] * base, step), base + step)
    smaller = min(round_to_step(_FACTORS[0] * base, step), base - step)
    sizes = [smaller, larger, 2 * base] if smaller > 0 else [larger, 2 * base]
    return list(dict.fromkeys(sizes))


def _choices(probe: Prober) -> Iterator[list[Group]]:
    yield []
    sizes = [group for group in probe.groups.values() if _is_input_size(group, probe.inputs)]
    if sizes:
        yield sizes
    # windows that tile the image, and grids that are as many as tokens
    windows = [group for group in probe.groups.values() if _is_window(group)]
    if windows:
        yield [*sizes, *windows]


def _is_input_size(group: Group, inputs: Sequence[InputSpec]) -> bool:
    height, width = inputs[0].shape[-2:]
    return group.kind == "values" and (
        group.values == (height, width) or set(group.values) == {width} == {height}
    )


def _is_window(group: Group) -> bool:
    whole = all(isinstance(value, int) and value > 1 for value in group.values)
    return group.kind == "values" and whole and bool(_WINDOW.search(group.name))


def input_sizes(group: Group, inputs: Sequence[InputSpec], factor: float = 1.0) -> list[float]:
    """Values of a group that follows the size of the input."""
    sizes = inputs[0].shape[-2:]
    if _is_window(group):
        return [round(value * factor) for value in group.values]
    if len(group.values) == 2:
        return list(sizes)
    return [sizes[-1] for _ in group.values]


def _axis(probe: Prober, groups: Sequence[Group], exponent: float, step: int) -> Axis:
    base: dict[str, Any] = {group.name: group.base for group in groups}
    coarse = step > probe.inputs[0].shape[-1] // 2
    return Axis(
        status="partial" if coarse else "ok",
        reason=f"it runs on multiples of {step} pixels only" if coarse else None,
        arguments=("input", *base),
        base={"input": probe.inputs[0].shape[2:], **base},
        step=step,
        how="effect of other sizes",
        flops_exponent=exponent,
    )


def scale_input(inputs: Sequence[InputSpec], factor: float, step: int) -> tuple[InputSpec, ...]:
    """Scale the spatial sizes of every image input, rounded to multiples of a step."""
    return tuple(
        msgspec.structs.replace(
            spec,
            shape=(*spec.shape[:2], *(round_to_step(n * factor, step) for n in spec.shape[2:])),
        )
        if len(spec.shape) >= 4
        else spec
        for spec in inputs
    )
