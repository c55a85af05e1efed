"""The arguments a model's class was built with, whoever called it."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from torch import nn

from ..errors import ModelError
from ..models import ConstructorCall, build_module, encode_arguments, target_of
from ._groups import Arguments

Bound = dict[str, Any]


def capture_arguments(call: ConstructorCall, model_class: type[nn.Module]) -> Bound:
    """Build a model once more and keep the arguments its class received, defaults included.

    Arguments of base classes that the class passes on through ``**kwargs`` are merged in.

    Raises:
        ModelError: If the class cannot be told from its call (a constructor by positions only).
    """
    calls: dict[type, Bound] = {}
    with _recording(model_class, calls):
        build_module(call, meta=True)
    if not calls:
        raise ModelError(f"{model_class.__name__} was not built by its own constructor")
    return _merge(model_class, calls)


@contextmanager
def _recording(model_class: type, calls: dict[type, Bound]) -> Iterator[None]:
    owners = [c for c in model_class.__mro__ if issubclass(c, nn.Module) and "__init__" in vars(c)]
    owners = [owner for owner in owners if owner is not nn.Module]
    originals = {owner: vars(owner)["__init__"] for owner in owners}
    for owner, original in originals.items():
        setattr(owner, "__init__", _recorder(owner, original, model_class, calls))  # noqa: B010
    try:
        yield
    finally:
        for owner, original in originals.items():
            setattr(owner, "__init__", original)  # noqa: B010


def _recorder(
    owner: type, original: Callable[..., None], model_class: type, calls: dict[type, Bound]
) -> Callable[..., None]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def recorder(self: Any, *args: Any, **kwargs: Any) -> None:
        if type(self) is model_class and owner not in calls:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            # copied before the constructor can change them
            calls[owner] = {
                name: _copy(value) for name, value in _named(signature, bound.arguments).items()
            }
        original(self, *args, **kwargs)

    return recorder


def _named(signature: inspect.Signature, arguments: Bound) -> Bound:
    """Arguments by keyword: without ``self``, and with ``**kwargs`` spread out."""
    named: Bound = {}
    for i, (name, parameter) in enumerate(signature.parameters.items()):
        if i == 0 or parameter.kind is parameter.VAR_POSITIONAL:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            named |= arguments.get(name, {})
        else:
            named[name] = arguments[name]
    return named


def _copy(value: Any) -> Any:
    if callable(value) and not isinstance(value, functools.partial):
        return value
    try:
        return deepcopy(value)
    except Exception:  # what cannot be copied is kept as it is
        return value


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
