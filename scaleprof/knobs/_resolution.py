"""The size of the input image, and the arguments that must follow it."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ..records import Axis, InputSpec
from ..scaling import round_to_step
from ._groups import Group
from ._probe import Prober

# FLOPs grow with about the square; with less than this, most of the model does not see the size
_MIN_EXPONENT = 0.5
# sizes that are tried; windows and patches may divide some of them only
_FACTORS = (2.0, 1.25, 0.75)
# strides of convolutional nets multiply to 32, patches and windows of transformers divide it
RESOLUTION_STEP = 32
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
    """Find whether the input alone can be larger, or which arguments must say so too."""
    if not probe.inputs or len(probe.inputs[0].shape) < 4:
        return Axis(status="none", reason="its input is not an image")
    best: Axis | None = None
    most = 0
    for groups in _choices(probe):
        sizes, exponent = _trial(probe, groups)
        if len(sizes) > most:
            best, most = _axis(probe, groups, exponent, sizes), len(sizes)
        if most == len(_FACTORS):
            break
    return best or Axis(status="none", reason="it does not run on an input of another size")


def _trial(probe: Prober, groups: Sequence[Group]) -> tuple[list[int], float]:
    """Sizes that run, whose FLOPs change as they do with resolution, and the exponent."""
    sizes, exponents = list[int](), [0.0]
    for factor in _FACTORS:
        inputs = scale_input(probe.inputs, factor, resolution_step(probe.inputs))
        achieved = inputs[0].shape[-1] / probe.inputs[0].shape[-1]
        new = {group.name: input_sizes(group, inputs, achieved) for group in groups}
        built = None if achieved == 1.0 else probe.build(new, inputs)
        if built is None or probe.exponent(built, achieved) <= _MIN_EXPONENT:
            continue
        sizes.append(inputs[0].shape[-1])
        exponents.append(probe.exponent(built, achieved))
    return sizes, exponents[min(1, len(sizes))]


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
    return group.kind == "values" and whole and "window" in group.name


def input_sizes(group: Group, inputs: Sequence[InputSpec], factor: float = 1.0) -> list[float]:
    """Values of a group that follows the size of the input."""
    sizes = inputs[0].shape[-2:]
    if _is_window(group):
        return [round(value * factor) for value in group.values]
    if len(group.values) == 2:
        return list(sizes)
    return [sizes[-1] for _ in group.values]


def _axis(probe: Prober, groups: Sequence[Group], exponent: float, sizes: Sequence[int]) -> Axis:
    base: dict[str, Any] = {group.name: group.base for group in groups}
    tried = len(_FACTORS)
    some = f"of {tried} other sizes, it runs on {', '.join(map(str, sorted(sizes)))} only"
    return Axis(
        status="ok" if len(sizes) == tried else "partial",
        reason=None if len(sizes) == tried else some,
        arguments=("input", *base),
        base={"input": probe.inputs[0].shape[2:], **base},
        how="effect of doubling",
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
