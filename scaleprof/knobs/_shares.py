"""How many of a model's channel counts a knob moves by its factor."""

from collections.abc import Collection, Iterator

from ._probe import Shapes

# smaller counts are those of heads, or of bottlenecks of gates
MIN_CHANNELS = 24
# models round their channels themselves: to multiples of so many, or by such a part
_STEP = 8
TOLERANCE = 0.1


def share_on_target(
    old: Shapes, new: Shapes, factor: float, *, fixed: Collection[int | None] = ()
) -> float:
    """Share of the sizes of layers' weights that are the factor times what they were.

    Args:
        old: Shapes of the base's weights.
        new: Shapes of the variant's.
        factor: What they should grow by, up to what models round by themselves.
        fixed: Counts that no width moves: channels of the input, classes.

    Returns:
        The share of all inputs and outputs of layers with at least 24 of them; of all if there are
        no such.

    Examples:
        >>> old = {"a.weight": (32, 3), "b.weight": (48, 32)}
        >>> share_on_target(old, {"a.weight": (64, 3), "b.weight": (96, 64)}, 2.0)
        1.0
        >>> share_on_target(old, {"a.weight": (64, 3), "b.weight": (48, 64)}, 2.0)
        0.6666666666666666
    """
    pairs = [(a, b) for a, b in _pairs(old, new) if a not in fixed]
    pairs = [(a, b) for a, b in pairs if a >= MIN_CHANNELS] or pairs
    return sum(_is_near(b, factor * a) for a, b in pairs) / len(pairs) if pairs else 0.0


def _pairs(old: Shapes, new: Shapes) -> Iterator[tuple[int, int]]:
    for name, shape in old.items():
        # tables of positions have other names
        layer = name.endswith("weight") and len(shape) > 1
        if layer and len(new.get(name, ())) == len(shape):
            yield from zip(shape[:2], new[name][:2], strict=True)


def _is_near(size: int, wanted: float) -> bool:
    step = _STEP if wanted >= 2 * MIN_CHANNELS else 0
    return abs(size - wanted) <= max(TOLERANCE * wanted, step)
