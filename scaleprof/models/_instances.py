"""Objects that a constructor takes as arguments, as calls of their classes.

Models are configured by dataclasses, named tuples and objects with attributes. Each is kept as its
class and the keywords that make an equal one, so that it can be stored and pasted like the model.
"""

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from ._recorded import recorded_call


def instance_arguments(value: Any) -> dict[str, Any] | None:
    """Return the keywords with which an object's class makes an equal object.

    Of the defaults of a dataclass only numbers and what may hold some are given.

    Returns:
        The keywords, or None if the value is not such an object.
    """
    if isinstance(value, type) or inspect.isroutine(value):
        return None
    if (recorded := recorded_call(value)) is not None:
        return recorded
    if dataclasses.is_dataclass(value):
        return _dataclass_arguments(value)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    return _attributes(value)


def is_plain_record(cls: Any) -> bool:
    """Tell dataclasses and named tuples, whose constructors keep their arguments and no more."""
    return inspect.isclass(cls) and (
        dataclasses.is_dataclass(cls) or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
    )


def _dataclass_arguments(value: Any) -> dict[str, Any]:
    given, derived = {}, {}
    for field in dataclasses.fields(value):
        if not field.init:
            continue
        now, default = getattr(value, field.name), _default(field)
        if default is None and now is not None:
            derived[field.name] = now
        elif _may_hold_numbers(now) or not _same(now, default):
            given[field.name] = now
    return {**given, **(_not_derived(type(value), given, derived) if derived else {})}


def _not_derived(cls: type, given: Mapping[str, Any], derived: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some fields that the class does not work out from the others by itself."""
    try:
        again = cls(**given)
    except Exception:  # a class may refuse to be made without them
        return dict(derived)
    return {
        name: now
        for name, now in derived.items()
        # configurations inside configurations have numbers of their own
        if dataclasses.is_dataclass(now) or not _same(getattr(again, name), now)
    }


def _may_hold_numbers(value: Any) -> bool:
    return value is not None and not isinstance(value, bool | str) and not callable(value)


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _attributes(value: Any) -> dict[str, Any] | None:
    """Keywords of a plain object: attributes named like its constructor's parameters."""
    attributes = getattr(value, "__dict__", None)
    if not isinstance(attributes, dict) or callable(value):
        return None
    try:
        parameters = list(inspect.signature(type(value)).parameters.values())
        # argparse.Namespace, types.SimpleNamespace: whatever is given becomes an attribute
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
        names = {p.name for p in parameters}
        keywords = {k: v for k, v in attributes.items() if takes_all or k in names}
        kept = {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        if not kept <= attributes.keys():
            # it keeps something else than it is given
            return None
        again = vars(type(value)(**keywords))
    except Exception:  # a constructor may refuse its own attributes; then there is no such call
        return None
    return keywords if _same_items(again, attributes) else None


def _same_items(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    try:
        return type(a) is type(b) and bool(a == b)
    except Exception:  # arrays and tensors have no single answer
        return False
