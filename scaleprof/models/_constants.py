"""Numbers in the code of constructors: literals, and defaults of arguments that nobody gives.

A network may pass some of its sizes on to no argument: they are literals in its constructor, or
defaults of the constructors of its parts. Each is named by its class and by what it is there,
``{"Attention": {"resolution": 7}, "Net": {"(96)": 96, "(64, 128)": (64, 128)}}``, and while a
network is built it can be another number, as if the author had written that.
"""

import __future__

import ast
import copy
import functools
import inspect
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from ..errors import ModelError
from ._constructors import replaced_constructors
from ._imports import import_target, target_of

Constants = Mapping[str, Mapping[str, Any]]
"""Whole numbers, or sequences of them, by the name of a class and by what they are in it."""

# smaller literals are kernels, strides and indices rather than channels
_MIN_LITERAL = 8
# a default of one is mostly that there is one of a thing
_MIN_DEFAULT = 2

_Init = types.FunctionType


def find_constants(
    builder: Callable[..., nn.Module], build: Callable[[], nn.Module]
) -> dict[str, dict[str, Any]]:
    """Find the numbers in the code of the constructors that a network is built with.

    Args:
        builder: Class or function that builds the network; classes beside it have short names.
        build: Builds it.

    Returns:
        Their values, by class and by name; of classes that can be imported and are not torch's.
    """
    module = build()
    owners = _owners(type(part) for part in module.modules())
    left: dict[type, dict[str, Any]] = {owner: {} for owner in owners}
    with replaced_constructors({o: _noting(init, left[o]) for o, init in owners.items()}):
        build()
    found: dict[str, dict[str, Any]] = {}
    for owner, init in owners.items():
        # what the network itself leaves out is an argument of its call
        values = {**({} if isinstance(module, owner) else left[owner]), **_literals(init)}
        if values and (name := _name_of(owner, builder)) is not None:
            found[name] = values
    return found


@contextmanager
def replaced_constants(builder: Callable[..., nn.Module], constants: Constants) -> Iterator[None]:
    """Give constructors other numbers inside the ``with`` block.

    Args:
        builder: What builds the network; classes that are named without a module stand beside it.
        constants: The numbers; see the module.

    Raises:
        ModelError: If there is no such class, no such number in it, or the new value is none.
    """
    with ExitStack() as stack:
        for name, values in constants.items():
            init = _init_of(constant_owner(builder, name))
            stack.callback(_restore, init, init.__defaults__, init.__kwdefaults__, init.__code__)
            _replace(init, name, values)
        yield


def constant_owner(builder: Callable[..., nn.Module], name: str) -> type[nn.Module]:
    """Return the class in whose constructor numbers are, by the name that `find_constants` gives.

    Raises:
        ModelError: If there is none.
    """
    found = import_target(name) if ":" in name else _namespace(builder).get(name)
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        raise ModelError(f"`{name}` is no module class beside `{_qualname(builder)}`")
    return found


def _owners(classes: Iterable[type]) -> dict[type, _Init]:
    """Classes that have a constructor written in Python, torch's left out, in a fixed order."""
    owners = dict.fromkeys(owner for cls in classes for owner in cls.__mro__)
    return {
        owner: init
        for owner in owners
        if issubclass(owner, nn.Module)
        and owner.__module__.partition(".")[0] != "torch"
        and isinstance(init := vars(owner).get("__init__"), _Init)
    }


def _noting(init: _Init, left: dict[str, Any]) -> Callable[..., None]:
    """A constructor that notes the numbers among its defaults that it is not given."""
    signature = inspect.signature(init, follow_wrapped=False)
    numbers = {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if _is_constant(parameter.default, _MIN_DEFAULT)
    }

    @functools.wraps(init)
    def noting(self: Any, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(self, *args, **kwargs).arguments
        left.update({name: value for name, value in numbers.items() if name not in given})
        init(self, *args, **kwargs)

    return noting


def _is_constant(value: Any, least: int) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(_is_constant(item, least) for item in value)
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _count(value: Any) -> int | None:
    return len(value) if isinstance(value, list | tuple) else None


def _name_of(owner: type, builder: Callable[..., nn.Module]) -> str | None:
    if _namespace(builder).get(owner.__qualname__) is owner:
        return str(owner.__qualname__)
    try:
        return target_of(owner)
    except ModelError:
        return None


def _namespace(builder: Callable[..., nn.Module]) -> Mapping[str, Any]:
    function = inspect.unwrap(builder.__init__ if inspect.isclass(builder) else builder)
    return getattr(function, "__globals__", {})


def _qualname(builder: Callable[..., nn.Module]) -> str:
    return str(getattr(builder, "__qualname__", builder))


def _init_of(owner: type) -> _Init:
    init = vars(owner).get("__init__")
    if not isinstance(init, _Init):
        raise ModelError(f"`{owner.__qualname__}` has no constructor of its own")
    return init


def _restore(init: _Init, defaults: Any, keywords: Any, code: types.CodeType) -> None:
    init.__defaults__, init.__kwdefaults__, init.__code__ = defaults, keywords, code


def _replace(init: _Init, name: str, values: Mapping[str, Any]) -> None:
    defaults = _defaults(init)
    known = {**defaults, **_literals(init)}
    for key, new in values.items():
        if key not in known:
            raise ModelError(f"the constructor of `{name}` has no number `{key}`")
        if not _is_constant(new, 1) or _count(new) != _count(known[key]):
            raise ModelError(
                f"`{key}` in the constructor of `{name}` must stay whole and positive, got {new!r}"
            )
    _set_defaults(init, {key: new for key, new in values.items() if key in defaults})
    literals = {key: new for key, new in values.items() if key not in defaults}
    if literals:
        init.__code__ = _with_literals(init, literals)


def _defaults(init: _Init) -> dict[str, Any]:
    # what it wraps has defaults of its own, which it may not use
    parameters = inspect.signature(init, follow_wrapped=False).parameters.values()
    return {p.name: p.default for p in parameters if _is_constant(p.default, _MIN_DEFAULT)}


def _set_defaults(init: _Init, new: Mapping[str, Any]) -> None:
    code, old = init.__code__, init.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount][code.co_argcount - len(old) :]
    init.__defaults__ = tuple(
        _like(value, new.get(name, value)) for name, value in zip(names, old, strict=True)
    )
    if init.__kwdefaults__:
        init.__kwdefaults__ = {
            name: _like(value, new.get(name, value)) for name, value in init.__kwdefaults__.items()
        }


def _like(old: Any, new: Any) -> Any:
    return type(old)(new) if isinstance(old, list | tuple) else new


def _literals(init: _Init) -> dict[str, Any]:
    """Literals of a constructor by their text in parentheses; equal ones are one."""
    definition = _definition(init)
    nodes = () if definition is None else _sites(definition.body)
    return {_text(value): value for value in map(_value, nodes)}


def _text(value: int | tuple[int, ...]) -> str:
    return f"({value})" if isinstance(value, int) else str(value)


@functools.cache
def _definition(init: _Init) -> ast.FunctionDef | None:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(init)))
    except (OSError, SyntaxError, TypeError):
        # without source, as in a console
        return None
    first = tree.body[0]
    # what a decorator made of it is another function
    plain = isinstance(first, ast.FunctionDef) and not first.decorator_list
    return first if plain and not hasattr(init, "__wrapped__") else None  # type: ignore[return-value]


def _sites(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """Expressions that are a number, or several in a list or tuple."""
    left: list[ast.AST] = list(body)
    while left:
        node = left.pop(0)
        if _value(node) is not None:
            yield node
        else:
            left = [*ast.iter_child_nodes(node), *left]


def _value(node: ast.AST) -> Any:
    """The number, or the tuple of numbers, that an expression is; None if it is something else."""
    items = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    values = [item.value if isinstance(item, ast.Constant) else None for item in items]
    if not _is_constant(values, _MIN_LITERAL):
        return None
    if node is items[0]:
        return values[0]
    # a list of one is mostly repeated: its number is the literal
    return tuple(values) if len(values) > 1 else None


class _Replacer(ast.NodeTransformer):
    """Puts new numbers where literals are."""

    def __init__(self, new: Mapping[str, Any]) -> None:
        self._new = new

    def visit(self, node: ast.AST) -> ast.AST:
        """Replace a literal, or look for some inside a node."""
        value = _value(node)
        if value is None:
            return self.generic_visit(node)
        new = self._new.get(_text(value), value)
        # tuples and lists stay what they were
        if isinstance(node, ast.List | ast.Tuple):
            node.elts = [ast.Constant(number) for number in new]
            return node
        return ast.copy_location(ast.Constant(new), node)


def _with_literals(init: _Init, new: Mapping[str, Any]) -> types.CodeType:
    """Compile a constructor with other literals.

    It is compiled inside a class of its own class's name: ``super()`` and private names need one.
    """
    definition = copy.deepcopy(_definition(init))
    assert definition is not None
    for statement in definition.body:
        _Replacer(new).visit(statement)
    owner = init.__qualname__.split(".")[-2:-1] or ["_"]
    inside = ast.parse(f"class {owner[0]}:\n    pass").body[0]
    assert isinstance(inside, ast.ClassDef)
    inside.body = [definition]
    tree = ast.fix_missing_locations(ast.Module(body=[inside], type_ignores=[]))
    ast.increment_lineno(tree, init.__code__.co_firstlineno - 1)
    # annotations are evaluated, or not, as in the file that it comes from
    flags = init.__code__.co_flags & __future__.annotations.compiler_flag
    code = compile(tree, init.__code__.co_filename, "exec", flags=flags, dont_inherit=True)
    (body,) = (c for c in code.co_consts if isinstance(c, types.CodeType))
    (found,) = (
        c
        for c in body.co_consts
        if isinstance(c, types.CodeType) and c.co_name == init.__code__.co_name
    )
    return found
