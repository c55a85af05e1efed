"""Calls of constructors, recorded on the objects that they made.

Most objects do not say with which arguments they were built. While such a class is recorded, each
object it makes keeps them, so that the object can be stored and pasted as that call.
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from copy import deepcopy
from typing import Any

from ._constructors import replaced_constructors

_KEPT = "_scaleprof_call"


def recorded_call(value: Any) -> dict[str, Any] | None:
    """Return the keywords that an object was built with; None if nobody recorded them."""
    kept: dict[str, Any] | None = getattr(value, "__dict__", {}).get(_KEPT)
    return kept


def recorded_calls(classes: Iterable[type]) -> AbstractContextManager[None]:
    """Record how objects of these classes are built, inside the ``with`` block."""
    return replaced_constructors({cls: _recorder(cls) for cls in classes})


def _recorder(cls: type) -> Callable[..., None]:
    original: Callable[..., None] = getattr(cls, "__init__")  # noqa: B009 - not of an instance
    signature = inspect.signature(original)

    @functools.wraps(original)
    def recorder(self: Any, *args: Any, **kwargs: Any) -> None:
        # before the constructor can change them
        keywords = received(signature, (self, *args), kwargs) if type(self) is cls else None
        original(self, *args, **kwargs)
        if keywords is not None and hasattr(self, "__dict__"):
            self.__dict__[_KEPT] = keywords

    return recorder


def received(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any] | None:
    """Copies of what a method receives, defaults included, by keyword and without ``self``.

    Returns:
        None if some can only be given by position.
    """
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    arguments = bound.arguments
    named: dict[str, Any] = {}
    for i, (name, parameter) in enumerate(signature.parameters.items()):
        if i == 0:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            if arguments[name]:
                return None
        elif parameter.kind is parameter.VAR_KEYWORD:
            named |= arguments[name]
        else:
            named[name] = arguments[name]
    return {name: _copied(value) for name, value in named.items()}


def _copied(value: Any) -> Any:
    """Copy what a constructor could change; what cannot be copied is kept as it is."""
    if callable(value) and not isinstance(value, functools.partial):
        return value
    try:
        return deepcopy(value)
    except Exception:  # copying may fail in any way
        return value
