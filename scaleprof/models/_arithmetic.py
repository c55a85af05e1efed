"""Functions that only compute with numbers, told apart without calling them."""

import builtins
import types
from typing import Any

# what arithmetic needs; none of them can open, import, evaluate or look up by name
_BUILTINS = frozenset("abs bool float int len max min round sum".split())
_MAX_NESTING = 4


def is_arithmetic(function: Any, nesting: int = 0) -> bool:
    """Tell a plain function that uses no names but arithmetic builtins and functions like itself.

    Its code is inspected, never run: names cover imports, attributes and globals alike.
    """
    if not isinstance(function, types.FunctionType) or nesting > _MAX_NESTING:
        return False
    code = function.__code__
    nested = any(isinstance(constant, types.CodeType) for constant in code.co_consts)
    if nested or function.__closure__ or hasattr(function, "__wrapped__"):
        return False
    return all(_is_arithmetic_name(name, function, nesting) for name in code.co_names)


def _is_arithmetic_name(name: str, function: types.FunctionType, nesting: int) -> bool:
    if name not in function.__globals__:
        return name in _BUILTINS and hasattr(builtins, name)
    return is_arithmetic(function.__globals__[name], nesting + 1)
