"""Options whose text means something: lists, durations."""

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
