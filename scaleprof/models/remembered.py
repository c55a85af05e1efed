"""What was found out once and would be found out again, kept within bounds."""

from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
# those of some hundred variants
_MOST = 20_000


def remember(memory: dict[_Key, _Value], key: _Key, value: _Value, *, most: int = _MOST) -> None:
    """Keep a value; a memory that is full is emptied first.

    Args:
        memory: What is remembered so far.
        key: What the value follows from.
        value: What followed from it.
        most: Values that are kept at a time; by default, those of some hundred variants.
    """
    if len(memory) >= most:
        memory.clear()
    memory[key] = value
