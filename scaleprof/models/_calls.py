"""A model as a constructor call: a value that can be stored, compared, printed and executed.

Arguments are kept as JSON values, so that a report can hold them. Callables among them become
``module:qualname`` strings; partial functions and configuration objects a mapping with the name of
what is called and its keywords. The paths of all three are listed, so that a plain string that
happens to look like a name is never resolved. Tuples and lists become JSON arrays, and arrays come
back as tuples, which most constructors take for either; for those that do not, the paths of lists
are listed too.
"""

import functools
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

import msgspec

from ..errors import ModelError
from ..records import InputSpec, Recipe
from ._imports import import_target, target_of
from ._instances import instance_arguments

_PARTIAL = "functools.partial"
_CLASS = "class"
_FLOAT = "float"
_NOT_FINITE = ("inf", "-inf", "nan")


class ConstructorCall(msgspec.Struct, frozen=True, kw_only=True):
    """What is called to build a model.

    Attributes:
        target: ``module:qualname`` of a class or function that returns a module; the module part
            may be a path that ends in ``.py``.
        arguments: Keyword arguments as JSON values.
        callables: Paths inside `arguments` of strings that name callables, of mappings that stand
            for partial functions and objects, and of arrays that must be lists.
    """

    target: str
    arguments: dict[str, Any] = {}
    callables: tuple[str, ...] = ()

    def override(
        self, changes: Mapping[str, Any], callables: Sequence[str] = ()
    ) -> "ConstructorCall":
        """Return the call with some arguments replaced by JSON values.

        Args:
            changes: New values by argument.
            callables: Paths inside them that stand for callables and objects.
        """
        kept = tuple(path for path in self.callables if path.split(".")[0] not in changes)
        arguments = self.arguments | dict(changes)
        return ConstructorCall(
            target=self.target, arguments=arguments, callables=(*kept, *callables)
        )


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


def encode_arguments(
    arguments: Mapping[str, Any], *, keep_lists: bool = False
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Turn keyword arguments into JSON values and the paths of callables among them.

    Args:
        arguments: The arguments.
        keep_lists: Tell lists from tuples, for a constructor that insists on lists.

    Raises:
        ModelError: If an argument is neither a JSON value, a container of such, nor a callable or
            an object of a class that can be imported by name.
    """
    callables: list[str] = []
    lists: list[str] = []
    encoded = {name: _encode(value, name, callables, lists) for name, value in arguments.items()}
    return encoded, (*callables, *(lists if keep_lists else ()))


def _encode(value: Any, path: str, callables: list[str], lists: list[str]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return _encode_plain(value, path, callables)
    if isinstance(value, list | tuple) and not hasattr(value, "_asdict"):
        if isinstance(value, list):
            lists.append(path)
        return [_encode(item, f"{path}.{i}", callables, lists) for i, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {k: _encode(item, f"{path}.{k}", callables, lists) for k, item in value.items()}
    if isinstance(value, functools.partial) and not value.args:
        callables.append(path)
        keywords = _encode(value.keywords, f"{path}.keywords", callables, lists)
        return {_PARTIAL: target_of(value.func), "keywords": keywords}
    fields = instance_arguments(value)
    if fields is not None:
        callables.append(path)
        keywords = _encode(fields, f"{path}.keywords", callables, lists)
        return {_CLASS: target_of(type(value)), "keywords": keywords}
    if hasattr(value, "__qualname__"):
        callables.append(path)
        return target_of(value)
    raise ModelError(f"argument `{path}` is of type {type(value).__name__}, which has no JSON form")


def _encode_plain(value: Any, path: str, callables: list[str]) -> Any:
    if not isinstance(value, float) or math.isfinite(value):
        return value
    # JSON has no infinity
    callables.append(path)
    return {_FLOAT: repr(value), "keywords": {}}


def called_names(call: ConstructorCall) -> tuple[list[str], list[str]]:
    """Return what decoding the arguments would import, without importing it.

    Returns:
        Names of callables that are passed on, and names of classes that are called.
    """
    passed: list[str] = []
    built: list[str] = []

    def note(name: str) -> Callable[..., None]:
        passed.append(name)
        return lambda: None

    def note_class(name: str, _: dict[str, Any]) -> None:
        built.append(name)

    decode_arguments(call, resolve=note, construct=note_class)
    return passed, built


def _construct(name: str, keywords: dict[str, Any]) -> Any:
    return import_target(name)(**keywords)


def decode_arguments(
    call: ConstructorCall,
    *,
    resolve: Callable[[str], Any] = import_target,
    construct: Callable[[str, dict[str, Any]], Any] = _construct,
) -> dict[str, Any]:
    """Turn a call's JSON arguments back into what its target takes.

    Args:
        call: The call.
        resolve: Finds a callable by name.
        construct: Builds an object from the name of its class and its keywords.
    """
    decode = _Decoder(frozenset(call.callables), resolve, construct)
    return {name: decode(value, name) for name, value in call.arguments.items()}


class _Decoder(NamedTuple):
    callables: frozenset[str]
    resolve: Callable[[str], Any]
    construct: Callable[[str, dict[str, Any]], Any]

    def __call__(self, value: Any, path: str) -> Any:
        if path in self.callables:
            if isinstance(value, str | dict):
                return self._named(value, path)
            if not isinstance(value, list | tuple):
                raise ModelError(f"argument `{path}` does not name a callable")
            return [self(item, f"{path}.{i}") for i, item in enumerate(value)]
        if isinstance(value, list | tuple):
            return tuple(self(item, f"{path}.{i}") for i, item in enumerate(value))
        if isinstance(value, dict):
            return {key: self(item, f"{path}.{key}") for key, item in value.items()}
        return value

    def _named(self, value: str | dict[str, Any], path: str) -> Any:
        if isinstance(value, str):
            return self.resolve(value)
        _check_named(value, path)
        keywords = {
            key: self(item, f"{path}.keywords.{key}") for key, item in value["keywords"].items()
        }
        if _FLOAT in value:
            return float(value[_FLOAT])
        if _CLASS in value:
            return self.construct(value[_CLASS], keywords)
        return functools.partial(self.resolve(value[_PARTIAL]), **keywords)


def _check_named(value: dict[str, Any], path: str) -> None:
    """Refuse what stands where a callable, a partial or an object was announced, and is none."""
    named = isinstance(value.get(_PARTIAL), str) or isinstance(value.get(_CLASS), str)
    named = named or value.get(_FLOAT) in _NOT_FINITE
    if not named or not isinstance(value.get("keywords"), dict):
        raise ModelError(f"argument `{path}` does not name a callable")


def call_of(recipe: Recipe) -> "ConstructorCall":
    """Return the constructor call of a recipe."""
    return ConstructorCall(
        target=recipe.target, arguments=recipe.arguments, callables=recipe.callables
    )


def render(call: ConstructorCall) -> tuple[tuple[str, ...], str]:
    """Return the import lines and the expression that build the model.

    A model from a file is run from its path, so that the lines work where the path does.

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
    return _import_lines(sorted(modules)), expression


def _import_lines(modules: Sequence[str]) -> tuple[str, ...]:
    """Import modules; run each file once, so that its classes are the same wherever they occur."""
    files = [module for module in modules if module.endswith(".py")]
    folders = sorted({str(PurePath(file).parent) for file in files} - {"."})
    names = {*modules} - {*files} | {*(["runpy"] if files else []), *(["sys"] if folders else [])}
    return (
        *(f"import {name}" for name in sorted(names)),
        # its neighbours are importable from it
        *(f"sys.path.append({folder!r})" for folder in folders),
        *(f"{_file_name(file)} = runpy.run_path({file!r})" for file in files),
    )


def _file_name(path: str) -> str:
    """A Python name for what a file holds, which no module has."""
    return "_" + re.sub(r"\W", "_", PurePath(path).stem)


def _dotted(target: str, modules: set[str]) -> str:
    module, _, qualname = target.rpartition(":")
    names = [*([] if module.endswith(".py") else module.split(".")), *qualname.split(".")]
    if not all(name.isidentifier() for name in names):
        raise ModelError(f"`{target}` does not name a Python object")
    if module.endswith(".py"):
        modules.add(module)
        first, *rest = qualname.split(".")
        return ".".join([f"{_file_name(module)}[{first!r}]", *rest])
    modules.add(module)
    return f"{module}.{qualname}"


def _show(value: Any, path: str, callables: frozenset[str], modules: set[str]) -> str:
    if path in callables and not isinstance(value, list | tuple):
        return _show_named(value, path, callables, modules)
    if isinstance(value, list | tuple):
        items = [_show(item, f"{path}.{i}", callables, modules) for i, item in enumerate(value)]
        if path in callables:
            return f"[{', '.join(items)}]"
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    if isinstance(value, dict):
        pairs = [
            f"{key!r}: {_show(v, f'{path}.{key}', callables, modules)}" for key, v in value.items()
        ]
        return f"{{{', '.join(pairs)}}}"
    return repr(value)


def _show_named(
    value: str | dict[str, Any], path: str, callables: frozenset[str], modules: set[str]
) -> str:
    if isinstance(value, str):
        return _dotted(value, modules)
    if not isinstance(value, dict):
        raise ModelError(f"argument `{path}` does not name a callable")
    _check_named(value, path)
    if not all(key.isidentifier() for key in value["keywords"]):
        raise ModelError(f"argument `{path}` has keywords that are no Python names")
    inner = [
        f"{key}={_show(item, f'{path}.keywords.{key}', callables, modules)}"
        for key, item in value["keywords"].items()
    ]
    if _FLOAT in value:
        return f"float({value[_FLOAT]!r})"
    if _CLASS in value:
        return f"{_dotted(value[_CLASS], modules)}({', '.join(inner)})"
    modules.add("functools")
    return f"functools.partial({', '.join([_dotted(value[_PARTIAL], modules), *inner])})"
