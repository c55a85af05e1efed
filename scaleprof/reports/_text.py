"""Text from outside, made safe to print; and short forms of recipes."""

import re

from ..records import Recipe, Variant
from ..units import format_quantity

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Return text without the control characters that could drive a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


# text of a report that is longer is cut, calls are left out: nobody reads it, and every copy counts
_LONGEST = 10_000
_LONGEST_CODE = 100_000


def one_line(text: str) -> str:
    """Return text from outside as one harmless line, cut where it is too long to be read.

    ``##[`` starts a command of GitHub Actions anywhere in a line of a log.
    """
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}…"
    return plain(" ".join(text.split())).replace("##[", "## [")


def code_line(text: str) -> str:
    """Return a line of code as one harmless line, with its spaces as they are."""
    if len(text) > _LONGEST_CODE:
        return f"(too long to be shown: {len(text):,} characters)"
    return plain(re.sub(r"\s", " ", text)).replace("##[", "## [")


def signed_time(seconds: float) -> str:
    """Return a difference of times with its sign, for example ``+3.10 ms``."""
    return f"{'-' if seconds < 0 else '+'}{format_quantity(abs(seconds), 'time')}"


def recipe_name(variant: Variant) -> str:
    """Return a recipe's short name, for example ``dWr ×2.03``.

    The multiplier is the achieved one, as counted.
    """
    recipe = variant.recipe
    if variant.id == "base":
        return "base"
    return f"{one_line(recipe.strategy)} ×{recipe.counted_multiplier:.2f}"


def factors(recipe: Recipe) -> str:
    """Return the achieved factors in words."""
    return " · ".join(f"{one_line(axis)} {factor:.2f}" for axis, factor in recipe.achieved.items())


def size(variant: Variant) -> str:
    """Return the input size of a variant, without batch and channels: ``256`` or ``256×192``."""
    sizes = variant.cost.input_shape[2:] or variant.cost.input_shape[1:]
    if len(set(sizes)) == 1:
        return str(sizes[0])
    return "×".join(map(str, sizes)) or "?"
