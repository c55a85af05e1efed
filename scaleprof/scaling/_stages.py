"""Recipes whose stages are scaled one by one, and the options they are put together from."""

import msgspec


class StageOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What each stage can be.

    Attributes:
        widths: By stage, factors of its channels before rounding, ascending; 1 is among them.
        achieved: By stage, the same after rounding.
        depths: By stage, numbers of its blocks, ascending; the base's is among them.
        base_depths: Blocks of each stage of the base.
    """

    widths: tuple[tuple[float, ...], ...]
    achieved: tuple[tuple[float, ...], ...]
    depths: tuple[tuple[int, ...], ...]
    base_depths: tuple[int, ...]


class StageRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """A width and a depth for every stage, and what all stages share.

    Attributes:
        widths: Factor of the channels of each stage, before rounding.
        depths: Blocks of each stage.
        width: Factor of all channels, where stages have none of their own.
        resolution: Factor of the input's size, before rounding.
    """

    widths: tuple[float, ...]
    depths: tuple[int, ...]
    width: float = 1.0
    resolution: float = 1.0
