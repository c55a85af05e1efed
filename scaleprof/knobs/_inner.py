"""Numbers that divide channels by default, in the classes that a constructor is given."""

import inspect
from copy import deepcopy
from typing import Any

from ..models import import_target
from ._groups import Arguments
from ._names import may_divide

_PARTIAL = "functools.partial"


def with_inner_defaults(arguments: Arguments) -> Arguments:
    """Return the arguments with defaults of the classes among them that may divide channels.

    A class such as that of a norm may be called by the model with channels alone, and divide them
    by a number of groups that is its default. The class then becomes a partial one, with the
    default spelled out: the same call, in which the number can be turned.
    """
    values = deepcopy(arguments.values)
    for path in arguments.callables:
        *inside, last = path.split(".")
        holder: Any = values
        for key in inside:
            holder = holder[_key(holder, key)]
        # items of tuples stay what they are
        if isinstance(holder, dict | list):
            at = _key(holder, last)
            holder[at] = _spelled_out(holder[at])
    return Arguments(values, arguments.callables)


def _key(holder: Any, key: str) -> Any:
    return key if isinstance(holder, dict) else int(key)


def _spelled_out(value: Any) -> Any:
    given = value.get("keywords", {}) if isinstance(value, dict) else {}
    target = value.get(_PARTIAL) if isinstance(value, dict) else value
    added = _dividing_defaults(target) if isinstance(target, str) else {}
    return {_PARTIAL: target, "keywords": {**added, **given}} if added.keys() - given else value


def _dividing_defaults(target: str) -> dict[str, int]:
    try:
        parameters = inspect.signature(import_target(target)).parameters.values()
    except (TypeError, ValueError):
        # of some that are written in C nothing is known
        return {}
    return {
        p.name: p.default
        for p in parameters
        if type(p.default) is int and p.default > 1 and may_divide(p.name)
    }
