"""Options whose text means something: lists, durations."""

from collections.abc import Sequence

from ..errors import InputError


def names(text: str) -> tuple[str, ...]:
    """Split a list at its commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def numbers(text: str, option: str) -> tuple[float, ...]:
    """Parse a list of numbers.

    Raises:
        InputError: If one is not a number.
    """
    try:
        return tuple(float(part) for part in names(text))
    except ValueError:
        raise InputError(f"`{option}` must be numbers separated by commas, got `{text}`") from None


def numbers_by_name(texts: Sequence[str], option: str) -> dict[str, tuple[float, ...]]:
    """Parse several ``NAME=NUMBERS``.

    Raises:
        InputError: If one is not that, or a name comes twice.
    """
    found: dict[str, tuple[float, ...]] = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not (name and equals and values):
            raise InputError(
                f"`{option}` must be NAME=NUMBERS, got `{text}`",
                hint=f"write {option} width=0.75,1,1.25",
            )
        if name in found:
            raise InputError(f"`{option}` names {name} twice")
        found[name] = numbers(values, option)
    return found


def seconds(text: str, option: str) -> float:
    """Parse a duration; a bare number is in seconds.

    Raises:
        InputError: If it is not a positive duration.
    """
    from ..units import parse_quantity

    try:
        return parse_quantity(text if text.strip()[-1:].isalpha() else f"{text}s", "time")
    except ValueError as error:
        raise InputError(f"`{option}`: {error}", hint=f"write {option} 120s") from None
