"""The size of the input: pixels of an image or video, else the length of a sequence.

A factor of resolution is one of both sides of an image, so that positions grow with its square. The
length of a sequence grows with that square too, so that a recipe means the same for both.
"""

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ..records import Axis, InputSpec
from ..scaling import round_to_step
from ._groups import Group
from ._names import may_be_grid
from ._probe import Prober

Dims = tuple[int, ...]
"""Dimensions of an input that grow: the last two of an image, one of a sequence."""

IMAGE: Dims = (-2, -1)
INPUT = "input"
"""Stands for the input itself among the arguments of the axis."""

# FLOPs grow with about the square; with less than this, most of the model does not see the size
_MIN_EXPONENT = 0.5
# parts of the base's size that may be its grid, where 32 pixels or fewer are no legal step
_SHARES = (16, 14, 12, 10, 8, 7, 6, 5, 4, 3, 2, 1)
# strides of convolutional nets multiply to 32, patches and windows of transformers divide it
RESOLUTION_STEP = 32
# windows that tile the image
_WINDOW = re.compile("window|partition")
# lengths of tables of positions
_POSITIONS = re.compile("position|pos_emb", re.IGNORECASE)
# of what layers see, to the input
_STRIDES = (4, 8, 16, 32, 64)
# but a size of fewer steps than 224 has of 32 could hardly be scaled
_MIN_STEPS = 7


def resolution_step(sizes: Sequence[int]) -> int:
    """Return the grid that scaled sizes stay on: that of the base, and no coarser than the stride.

    Examples:
        >>> resolution_step([28, 28])
        4
    """
    step = RESOLUTION_STEP
    while any(size % step or size < _MIN_STEPS * step for size in sizes) and step > 1:
        step //= 2
    return step


def resolution_axis(
    probe: Prober,
    choices: Sequence[Sequence[Group]] | None = None,
    *,
    besides: Sequence[str] = (),
) -> Axis:
    """Find whether the input alone can be larger, or which arguments must say so too.

    Sizes stay on the finest grid whose neighbours of the base run.

    Args:
        probe: Of the base.
        choices: Arguments that follow the size, to be tried; None for what looks like them.
        besides: Arguments that are something else, even if they equal the size of the input.
    """
    if not probe.inputs:
        return Axis(status="none", reason="it takes no input")
    others = [group for group in probe.groups.values() if group.name not in besides]
    found = _first_that_runs(probe, choices, others)
    if found is not None and found.status == "ok":
        return found
    if choices is None and (grid := grid_axis(probe, besides=besides)) is not None:
        return grid
    return found or Axis(status="none", reason="it does not run on an input of another size")


def _first_that_runs(
    probe: Prober, choices: Sequence[Sequence[Group]] | None, others: Sequence[Group]
) -> Axis | None:
    for dims in _dims(probe.inputs):
        sizes = input_sizes(probe.inputs, dims)
        for step in _steps(sizes):
            for groups in choices or _choices(others, sizes):
                exponents = _exponents(probe, groups, dims, step)
                if exponents:
                    return _axis(probe, groups, dims, step, exponents[-1])
    return None


def grid_axis(probe: Prober, *, besides: Sequence[str] = ()) -> Axis | None:
    """Find sizes of grids inside the model, positions per side of what layers see, that follow.

    They are the size of the input over a stride: 7 for 224 pixels and a stride of 32.

    Args:
        probe: Of the base.
        besides: Arguments that are something else.

    Returns:
        None unless sizes on a fine grid run with them.
    """
    sizes = input_sizes(probe.inputs, IMAGE) if IMAGE in _dims(probe.inputs) else ()
    others = [group for group in probe.groups.values() if group.name not in besides]
    grids = [group for group in others if _is_grid(group, sizes)]
    if not grids:
        return None
    follow = [group for group in others if _is_input_size(group, sizes)]
    fine = [step for step in _steps(sizes) if step <= sizes[-1] // 2]
    # one of them may be something else, which happens to be as large
    trials = [grids, *([grid] for grid in grids if len(grids) > 1)]
    for step, trial in itertools.product(fine, trials):
        if _exponents(probe, [*follow, *trial], IMAGE, step):
            groups = _needed(probe, [*follow, *trial], step)
            return _axis(probe, groups, IMAGE, step, _exponents(probe, groups, IMAGE, step)[-1])
    return None


def _needed(probe: Prober, groups: Sequence[Group], step: int) -> list[Group]:
    """Those of some groups without which other sizes do not run."""
    kept = list(groups)
    for group in groups:
        rest = [other for other in kept if other is not group]
        if rest and _exponents(probe, rest, IMAGE, step):
            kept = rest
    return kept


def axis_dims(axis: Axis) -> Dims:
    """Return the dimensions of the input that an axis turns."""
    return tuple(axis.base.get("dimensions", IMAGE))


def scaled_input(inputs: Sequence[InputSpec]) -> InputSpec | None:
    """Return the input whose size is the resolution: the first image, else the first input."""
    images = [spec for spec in inputs if len(spec.shape) >= 4]
    return next(iter([*images, *inputs]), None)


def input_sizes(inputs: Sequence[InputSpec], dims: Dims) -> tuple[int, ...]:
    """Return the sizes that the resolution turns."""
    spec = scaled_input(inputs)
    return () if spec is None else tuple(spec.shape[dim] for dim in dims)


def _dims(inputs: Sequence[InputSpec]) -> list[Dims]:
    """Dimensions to try; the batch in front is none of them."""
    spec = scaled_input(inputs)
    if spec is None:
        return []
    length = len(spec.shape)
    if length >= 4:
        # a video may take other numbers of frames where its pictures cannot change
        return [IMAGE, *((dim,) for dim in range(1, length - 2) if length > 4)]
    # features are fewer than positions, and what is fixed fails
    return sorted(((dim,) for dim in range(1, length)), key=lambda dims: -spec.shape[dims[0]])


def _steps(sizes: Sequence[int]) -> list[int]:
    """Grids to try, from fine to coarse: the usual one, then parts of the base's own size."""
    size, usual = sizes[-1], resolution_step(sizes)
    parts = [size // share for share in _SHARES if size % share == 0 and size // share > usual]
    return [usual, *parts]


def _exponents(probe: Prober, groups: Sequence[Group], dims: Dims, step: int) -> list[float]:
    """Powers with which FLOPs grow to other sizes; empty unless all of them run."""
    old = input_sizes(probe.inputs, dims)
    exponents = []
    for size in _other_sizes(old[-1], step):
        inputs = scale_input(probe.inputs, _as_factor(size / old[-1], dims), step, dims)
        new = input_sizes(inputs, dims)
        turned = {g.name: following_sizes(g, old, new) for g in groups}
        built = probe.build(turned, inputs)
        exponent = probe.exponent(built, size_factor(old, new)) if built else 0.0
        # padding to whole windows may swallow a small step, but not the double
        if built is None or exponent < (_MIN_EXPONENT if size == 2 * old[-1] else 0.0):
            return []
        exponents.append(exponent)
    return exponents


def _other_sizes(base: int, step: int) -> list[int]:
    """The next smaller size if there is one, the next larger, and the double."""
    sizes = [base - step, base + step, 2 * base] if base > step else [base + step, 2 * base]
    return list(dict.fromkeys(sizes))


def _as_factor(ratio: float, dims: Dims) -> float:
    """Factor of resolution for a ratio of sizes."""
    return float(ratio ** (len(dims) / 2))


def size_factor(old: Sequence[int], new: Sequence[int]) -> float:
    """Return the factor of resolution between two sizes: the root of that of all positions.

    Examples:
        >>> size_factor([224, 224], [448, 448]), size_factor([128], [512])
        (2.0, 2.0)
    """
    return math.sqrt(math.prod(new) / math.prod(old))


def _choices(groups: Sequence[Group], sizes: Sequence[int]) -> Iterator[list[Group]]:
    yield []
    follow = [group for group in groups if _is_input_size(group, sizes)]
    if follow:
        yield follow
    # windows that tile the image, and grids that are as many as tokens
    windows = [group for group in groups if _is_window(group)]
    if windows:
        yield [*follow, *windows]
    tables = [group for group in groups if _is_table(group)]
    if tables:
        yield [*follow, *tables]


def _is_input_size(group: Group, sizes: Sequence[int]) -> bool:
    same = len(set(sizes)) == 1 and set(group.values) == set(sizes)
    return group.kind == "values" and (group.values == tuple(sizes) or same)


def _is_window(group: Group) -> bool:
    whole = all(isinstance(value, int) and value > 1 for value in group.values)
    return group.kind == "values" and whole and bool(_WINDOW.search(group.name))


def _is_table(group: Group) -> bool:
    """Tell the number of positions of a model, which may see one for several of its input's."""
    whole = all(isinstance(value, int) and value > 1 for value in group.values)
    return group.kind == "values" and whole and bool(_POSITIONS.search(group.name))


def _is_grid(group: Group, sizes: Sequence[int]) -> bool:
    """Tell positions per side at one of the strides of the model, by size and name."""
    whole = all(isinstance(value, int) for value in group.values)
    of_strides = {size // stride for size in sizes for stride in _STRIDES if size % stride == 0}
    return (
        group.kind == "values"
        and whole
        and of_strides.issuperset(group.values)
        and may_be_grid(group.name)
    )


def following_sizes(group: Group, old: Sequence[int], new: Sequence[int]) -> list[float]:
    """Values of a group that follows the size of the input."""
    if not _is_input_size(group, old):
        return [round(value * new[-1] / old[-1]) for value in group.values]
    return list(new) if group.values == tuple(old) else [new[-1] for _ in group.values]


def _axis(probe: Prober, groups: Sequence[Group], dims: Dims, step: int, exponent: float) -> Axis:
    sizes = input_sizes(probe.inputs, dims)
    base: dict[str, Any] = {group.name: group.base for group in groups}
    coarse = step > sizes[-1] // 2
    return Axis(
        status="partial" if coarse else "ok",
        reason=f"it runs on sizes that are multiples of {step} only" if coarse else None,
        arguments=(INPUT, *base),
        base={INPUT: sizes, **({} if dims == IMAGE else {"dimensions": dims}), **base},
        step=step,
        how="effect of other sizes",
        flops_exponent=exponent,
    )


def scale_input(
    inputs: Sequence[InputSpec], factor: float, step: int, dims: Dims = IMAGE
) -> tuple[InputSpec, ...]:
    """Scale the sizes of every input like the one whose size is the resolution.

    Args:
        inputs: All inputs.
        factor: Factor of resolution; see `size_factor`.
        step: Sizes are rounded to multiples of it.
        dims: The dimensions that grow.
    """
    first = scaled_input(inputs)
    grows = factor ** (2 / len(dims))

    def scaled(spec: InputSpec) -> InputSpec:
        if first is None or len(spec.shape) != len(first.shape):
            return spec
        if any(spec.shape[dim] != first.shape[dim] for dim in dims):
            return spec
        shape = list(spec.shape)
        for dim in dims:
            shape[dim] = round_to_step(shape[dim] * grows, step)
        return msgspec.structs.replace(spec, shape=tuple(shape))

    return tuple(map(scaled, inputs))
