"""Calls of constructors, recorded on the objects that they made.

Most objects do not say with which arguments they were built. While such a class is recorded, each
object it makes keeps them, so that the object can be stored and pasted as that call.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

_KEPT = "_scaleprof_call"


def recorded_call(value: Any) -> dict[str, Any] | None:
    """Return the keywords that an object was built with; None if nobody recorded them."""
    kept: dict[str, Any] | None = getattr(value, "__dict__", {}).get(_KEPT)
    return kept


@contextmanager
def recorded_calls(classes: Iterable[type]) -> Iterator[None]:
    """Record how objects of these classes are built, inside the ``with`` block."""
    originals = {cls: vars(cls).get("__init__") for cls in classes}
    for cls in originals:
        setattr(cls, "__init__", _recorder(cls))  # noqa: B010
    try:
        yield
    finally:
        for cls, original in originals.items():
            if original is None:
                delattr(cls, "__init__")
            else:
                setattr(cls, "__init__", original)  # noqa: B010


def _recorder(cls: type) -> Callable[..., None]:
    original: Callable[..., None] = getattr(cls, "__init__")  # noqa: B009 - not of an instance
    signature = inspect.signature(original)

    @functools.wraps(original)
    def recorder(self: Any, *args: Any, **kwargs: Any) -> None:
        keywords = None
        if type(self) is cls:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            # copied before the constructor can change them
            keywords = _copied(as_keywords(signature, bound.arguments))
        original(self, *args, **kwargs)
        if keywords is not None and hasattr(self, "__dict__"):
            self.__dict__[_KEPT] = keywords

    return recorder


def as_keywords(signature: inspect.Signature, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """Bound arguments by keyword: without ``self``, and with ``**kwargs`` spread out.

    Returns:
        None if some can only be given by position.
    """
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
    return named


def _copied(keywords: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if keywords is None else {name: copied(v) for name, v in keywords.items()}


def copied(value: Any) -> Any:
    """Copy what a constructor could change; what cannot be copied is kept as it is."""
    if callable(value) and not isinstance(value, functools.partial):
        return value
    try:
        return deepcopy(value)
    except Exception:  # copying may fail in any way
        return value
