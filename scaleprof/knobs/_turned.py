"""The call of a model whose numbers are turned, be they arguments or in its code."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from ..models import CONSTANTS, ConstructorCall, call_with_constants
from ._groups import Arguments, Group, Number, turn


def turned_call(
    call: ConstructorCall,
    arguments: Arguments,
    groups: Mapping[str, Group],
    new: Mapping[str, Sequence[Number]],
) -> ConstructorCall:
    """Return the call with new values for some groups; those in the code go to our own builder.

    Args:
        call: What builds the base.
        arguments: All its arguments, and the numbers in its code.
        groups: The groups among them.
        new: New values by name of group.
    """
    values, callables = turn(arguments, groups, new)
    base = arguments.values.get(CONSTANTS)
    if not _is_of_classes(base):
        # an argument of the model's own, if there is one
        return call.override(values, callables)
    constants = values.pop(CONSTANTS, {})
    changed = call.override(values, callables)
    different = {
        name: {key: v for key, v in numbers.items() if _plain(v) != _plain(base[name][key])}
        for name, numbers in constants.items()
    }
    kept = {name: numbers for name, numbers in different.items() if numbers}
    return call_with_constants(changed, kept) if kept else changed


def _is_of_classes(value: Any) -> TypeGuard[dict[str, dict[str, Any]]]:
    return isinstance(value, dict) and all(isinstance(numbers, dict) for numbers in value.values())


def _plain(value: Any) -> Any:
    """Sequences as lists, which they are after they were stored."""
    return list(value) if isinstance(value, list | tuple) else value
