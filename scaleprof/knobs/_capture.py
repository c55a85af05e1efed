"""The arguments a model's class was built with, whoever called it."""

import functools
import inspect
import types
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from torch import nn

from ..errors import ModelError
from ..models import (
    ConstructorCall,
    build_module,
    encode_arguments,
    instance_arguments,
    received,
    recorded_calls,
    replaced_constructors,
    target_of,
)
from ._groups import Arguments

Bound = dict[str, Any]


def capture_arguments(call: ConstructorCall, model_class: type[nn.Module]) -> Bound:
    """Build a model once more and keep the arguments its class received, defaults included.

    Arguments of base classes that the class passes on through ``**kwargs`` are merged in. Arguments
    that are objects keep the calls that made them.

    Raises:
        ModelError: If the class cannot be told from its call (a constructor by positions only).
    """
    recorded: set[type] = set()
    while True:
        calls: dict[type, Bound] = {}
        with _recording(model_class, calls), recorded_calls(recorded):
            build_module(call, meta=True)
        if not calls:
            raise ModelError(f"{model_class.__name__} was not built by its own constructor")
        merged = _merge(model_class, calls)
        opaque = {cls for value in merged.values() for cls in _opaque_classes(value)}
        if opaque <= recorded:
            return merged
        # objects inside those objects show only once these are recorded
        recorded |= opaque


def _opaque_classes(value: Any) -> Iterator[type]:
    """Classes of objects inside a value of which nothing says how they were built."""
    if isinstance(value, dict):
        inside = list(value.values())
    elif isinstance(value, list | tuple):
        inside = list(value)
    elif isinstance(value, functools.partial):
        inside = [*value.args, *value.keywords.values()]
    elif (fields := instance_arguments(value)) is not None:
        inside = list(fields.values())
    else:
        inside = []
        if _may_be_recorded(value):
            yield type(value)
    for item in inside:
        yield from _opaque_classes(item)


def _may_be_recorded(value: Any) -> bool:
    plain = value is None or isinstance(value, bool | int | float | complex | str | bytes | type)
    cls = type(value)
    written = isinstance(getattr(cls, "__init__", None), types.FunctionType)
    return not (plain or inspect.isroutine(value)) and written and hasattr(value, "__dict__")


def _recording(model_class: type, calls: dict[type, Bound]) -> AbstractContextManager[None]:
    owners = [c for c in model_class.__mro__ if issubclass(c, nn.Module) and "__init__" in vars(c)]
    originals = {owner: vars(owner)["__init__"] for owner in owners if owner is not nn.Module}
    return replaced_constructors(
        {owner: _recorder(owner, init, model_class, calls) for owner, init in originals.items()}
    )


def _recorder(
    owner: type, original: Callable[..., None], model_class: type, calls: dict[type, Bound]
) -> Callable[..., None]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def recorder(self: Any, *args: Any, **kwargs: Any) -> None:
        if type(self) is model_class and owner not in calls:
            # before the constructor can change them
            calls[owner] = received(signature, (self, *args), kwargs) or {}
        original(self, *args, **kwargs)

    return recorder


def _merge(model_class: type, calls: dict[type, Bound]) -> Bound:
    """Add what base classes received, as long as each class on the way passes keywords on."""
    merged: Bound = {}
    for owner in model_class.__mro__:
        if owner not in calls:
            continue
        merged = calls[owner] | merged
        parameters = inspect.signature(owner.__init__).parameters.values()  # type: ignore[misc]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return merged


def class_call(
    model_class: type[nn.Module], arguments: Bound, *, keep_lists: bool = False
) -> ConstructorCall:
    """Return the call of the class itself, with the arguments that differ from its defaults.

    Args:
        model_class: The class.
        arguments: All its arguments.
        keep_lists: Tell lists from tuples.

    Raises:
        ModelError: If an argument has no form that can be stored.
    """
    defaults = {
        name: parameter.default
        for owner in reversed(model_class.__mro__)
        if "__init__" in vars(owner)
        for name, parameter in inspect.signature(owner.__init__).parameters.items()  # type: ignore[misc]
    }
    given = {
        name: value
        for name, value in arguments.items()
        if name not in defaults or not _equal(defaults[name], value)
    }
    encoded, callables = encode_arguments(given, keep_lists=keep_lists)
    return ConstructorCall(target=target_of(model_class), arguments=encoded, callables=callables)


def storable(arguments: Bound, *, keep_lists: bool = False) -> Arguments:
    """Return those arguments that have a form that can be stored."""
    values: Bound = {}
    callables: tuple[str, ...] = ()
    for name, value in arguments.items():
        try:
            encoded, inside = encode_arguments({name: value}, keep_lists=keep_lists)
        except ModelError:
            continue
        values |= encoded
        callables += inside
    return Arguments(values, callables)


def _equal(a: Any, b: Any) -> bool:
    return a is b or (
        type(a) is type(b) and isinstance(a, bool | int | float | str | tuple) and a == b
    )
