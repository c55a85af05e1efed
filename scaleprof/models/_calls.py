"""A model as a constructor call: a value that can be stored, compared, printed and executed.

Arguments are kept as JSON values, so that a report can hold them. Callables among them become
``module:qualname`` strings, and partial functions a mapping; the paths of both are listed, so that
a plain string that happens to look like a name is never resolved. Tuples and lists become JSON
arrays, and arrays come back as tuples, which constructors take for either.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ..errors import ModelError
from ..records import InputSpec, Recipe
from ._imports import import_target, target_of

_PARTIAL = "functools.partial"


class ConstructorCall(msgspec.Struct, frozen=True, kw_only=True):
    """What is called to build a model.

    Attributes:
        target: ``module:qualname`` of a class or function that returns a module; the module part
            may be a path that ends in ``.py``.
        arguments: Keyword arguments as JSON values.
        callables: Paths inside `arguments` whose strings name callables.
    """

    target: str
    arguments: dict[str, Any] = {}
    callables: tuple[str, ...] = ()

    def override(self, changes: Mapping[str, Any]) -> "ConstructorCall":
        """Return the call with some arguments replaced by plain values."""
        kept = tuple(path for path in self.callables if path.split(".")[0] not in changes)
        arguments = self.arguments | dict(changes)
        return ConstructorCall(target=self.target, arguments=arguments, callables=kept)


def variant_id(call: ConstructorCall, inputs: Sequence[InputSpec]) -> str:
    """Return an identifier that depends on the resolved call and the input alone.

    The batch and the floating-point type are conditions of a measurement and do not enter.

    Examples:
        >>> call = ConstructorCall(target="torch.nn:Linear", arguments={"in_features": 2})
        >>> variant_id(call, [InputSpec(shape=(1, 2))])
        'ccac866a9d'
    """
    shapes = [[list(spec.shape[1:]), spec.high, spec.name] for spec in inputs]
    content = json.dumps([call.target, msgspec.to_builtins(call.arguments), shapes], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:10]


def encode_arguments(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Turn keyword arguments into JSON values and the paths of callables among them.

    Raises:
        ModelError: If an argument is neither a JSON value, a container of such, nor a callable
            that can be imported by name.
    """
    callables: list[str] = []
    encoded = {name: _encode(value, name, callables) for name, value in arguments.items()}
    return encoded, tuple(callables)


def _encode(value: Any, path: str, callables: list[str]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_encode(item, f"{path}.{i}", callables) for i, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _encode(item, f"{path}.{key}", callables) for key, item in value.items()}
    if isinstance(value, functools.partial) and not value.args:
        callables.append(path)
        inner = {
            k: _encode(v, f"{path}.keywords.{k}", callables) for k, v in value.keywords.items()
        }
        return {_PARTIAL: target_of(value.func), "keywords": inner}
    if callable(value):
        callables.append(path)
        return target_of(value)
    raise ModelError(f"argument `{path}` is of type {type(value).__name__}, which has no JSON form")


def decode_arguments(
    call: ConstructorCall, *, resolve: Callable[[str], Any] = import_target
) -> dict[str, Any]:
    """Turn a call's JSON arguments back into what its target takes."""
    callables = frozenset(call.callables)
    return {
        name: _decode(value, name, callables, resolve) for name, value in call.arguments.items()
    }


def _decode(value: Any, path: str, callables: frozenset[str], resolve: Callable[[str], Any]) -> Any:
    if path in callables:
        if isinstance(value, str):
            return resolve(value)
        if not _is_partial(value):
            raise ModelError(f"argument `{path}` is neither the name of a callable nor a partial")
        keywords = {
            key: _decode(item, f"{path}.keywords.{key}", callables, resolve)
            for key, item in value["keywords"].items()
        }
        return functools.partial(resolve(value[_PARTIAL]), **keywords)
    if isinstance(value, list | tuple):
        return tuple(
            _decode(item, f"{path}.{i}", callables, resolve) for i, item in enumerate(value)
        )
    if isinstance(value, dict):
        return {k: _decode(item, f"{path}.{k}", callables, resolve) for k, item in value.items()}
    return value


def _is_partial(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get(_PARTIAL), str)
        and isinstance(value.get("keywords"), dict)
    )


def call_of(recipe: Recipe) -> "ConstructorCall":
    """Return the constructor call of a recipe."""
    return ConstructorCall(
        target=recipe.target, arguments=recipe.arguments, callables=recipe.callables
    )


def render(call: ConstructorCall) -> tuple[tuple[str, ...], str]:
    """Return the import lines and the expression that build the model.

    A model from a file is run from its path, so that the line works where the path does.

    Examples:
        >>> render(ConstructorCall(target="torch.nn:Linear", arguments={"in_features": 2}))
        (('import torch.nn',), 'torch.nn.Linear(in_features=2)')
    """
    modules: set[str] = set()
    callables = frozenset(call.callables)
    arguments = dict(call.arguments)
    positional = []
    if call.target == "timm:create_model":
        positional = [repr(arguments.pop("model_name", None))]
    if not all(name.isidentifier() for name in arguments):
        raise ModelError(f"`{call.target}` has arguments that are no Python names")
    shown = [f"{name}={_show(v, name, callables, modules)}" for name, v in arguments.items()]
    expression = f"{_dotted(call.target, modules)}({', '.join([*positional, *shown])})"
    return tuple(f"import {module}" for module in sorted(modules)), expression


def _dotted(target: str, modules: set[str]) -> str:
    module, _, qualname = target.rpartition(":")
    names = [*([] if module.endswith(".py") else module.split(".")), *qualname.split(".")]
    if not all(name.isidentifier() for name in names):
        raise ModelError(f"`{target}` does not name a Python object")
    if module.endswith(".py"):
        modules.add("runpy")
        first, *rest = qualname.split(".")
        return ".".join([f"runpy.run_path({module!r})[{first!r}]", *rest])
    modules.add(module)
    return f"{module}.{qualname}"


def _show(value: Any, path: str, callables: frozenset[str], modules: set[str]) -> str:
    if path in callables:
        if isinstance(value, str):
            return _dotted(value, modules)
        if not _is_partial(value):
            raise ModelError(f"argument `{path}` is neither the name of a callable nor a partial")
        modules.add("functools")
        inner = [
            f"{key}={_show(item, f'{path}.keywords.{key}', callables, modules)}"
            for key, item in value["keywords"].items()
        ]
        return f"functools.partial({', '.join([_dotted(value[_PARTIAL], modules), *inner])})"
    if isinstance(value, list | tuple):
        items = [_show(item, f"{path}.{i}", callables, modules) for i, item in enumerate(value)]
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    if isinstance(value, dict):
        pairs = [
            f"{key!r}: {_show(v, f'{path}.{key}', callables, modules)}" for key, v in value.items()
        ]
        return f"{{{', '.join(pairs)}}}"
    return repr(value)
