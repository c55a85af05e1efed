"""Groups of numbers inside constructor arguments, each turned as one knob.

Arguments are JSON values (see `scaleprof.models.encode_arguments`), nested as deep as the model's
author liked. Numbers that sit at the same place of like things are one group, and its name says
where: ``dims``, ``cfg.blocks[*].c``, ``stage#.2`` (third entry of ``stage1``, ``stage2``, …). A
group may also be the *lengths* of lists of blocks, ``len(block_args[*])``, or the lengths of *runs*
of equal numbers in a list that also has other items, ``runs(cfg)``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, NamedTuple

Number = int | float
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Numbers that are turned together.

    Attributes:
        name: Where they are, for people.
        kind: Whether they are values, or lengths of lists or of runs in a list; ``layers`` is the
            factor of all channel counts of a model that has no argument for it.
        paths: Where they are, inside the arguments.
        values: Their values in the base.
        base: The same as shown: a whole argument in its own shape.
    """

    name: str
    kind: Literal["values", "len", "runs", "layers"]
    paths: tuple[Path, ...]
    values: tuple[Number, ...]
    base: Any


def find_groups(arguments: Mapping[str, Any]) -> dict[str, Group]:
    """Find the groups of values, list lengths and run lengths in a call's arguments."""
    found: dict[str, list[tuple[Path, Number]]] = {}
    for name, value in arguments.items():
        for path, number in _leaves(value, (name,)):
            found.setdefault(_pattern(path, arguments), []).append((path, number))
    groups = [_value_group(name, leaves, arguments) for name, leaves in found.items()]
    groups += [group for group in map(_column_group, _columns(found)) if group]
    groups += _length_groups(arguments)
    return {group.name: group for group in groups}


class Arguments(NamedTuple):
    """Arguments as JSON values, with the paths of callables and objects among them."""

    values: dict[str, Any]
    callables: tuple[str, ...] = ()


def turn(
    arguments: Arguments, groups: Mapping[str, Group], new: Mapping[str, Sequence[Number]]
) -> Arguments:
    """Return the top-level arguments that change when groups take new values.

    Args:
        arguments: All arguments of the base.
        groups: Its groups.
        new: New values by name of group, in the order of `Group.values`.
    """
    # in one order, so that one recipe is one text
    names = sorted({str(path[0]) for name in new for path in groups[name].paths})
    changed = Arguments(
        {name: deepcopy(arguments.values[name]) for name in names},
        tuple(path for path in arguments.callables if path.split(".")[0] in names),
    )
    # lengths last, so that added items are copies of turned ones
    for name in sorted(new, key=lambda name: groups[name].kind != "values"):
        changed = _turn_group(changed, groups[name], new[name])
    values = {name: _tuples(value) for name, value in changed.values.items()}
    return Arguments(values, changed.callables)


def _turn_group(changed: Arguments, group: Group, new: Sequence[Number]) -> Arguments:
    values, callables = changed
    if group.kind == "runs":
        path = group.paths[0]
        _set(values, path, _with_runs(_get(values, path), [int(n) for n in new]))
        return changed
    for path, number in zip(group.paths, new, strict=True):
        if group.kind == "len":
            items = _get(values, path)
            callables = _with_length_callables(callables, path, len(items), int(number))
            _set(values, path, _with_length(items, int(number)))
        else:
            _set(values, path, number)
    return Arguments(values, callables)


def _with_length_callables(
    callables: tuple[str, ...], path: Path, old: int, new: int
) -> tuple[str, ...]:
    """Callables of a list that is cut, or whose last item is repeated."""
    prefix = ".".join(map(str, path))

    def of_item(i: int) -> list[str]:
        start = f"{prefix}.{i}"
        return [p for p in callables if p == start or p.startswith(f"{start}.")]

    cut = {p for i in range(new, old) for p in of_item(i)}
    last = [p.removeprefix(f"{prefix}.{old - 1}") for p in of_item(old - 1)]
    added = [f"{prefix}.{i}{rest}" for i in range(old, new) for rest in last]
    return (*(p for p in callables if p not in cut), *added)


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Number]]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value
    for key, item in _items(value):
        yield from _leaves(item, (*path, key))


def _items(value: Any) -> Iterable[tuple[str | int, Any]]:
    if isinstance(value, list | tuple):
        return enumerate(value)
    return value.items() if isinstance(value, dict) else ()


def _pattern(path: Path, arguments: Mapping[str, Any]) -> str:
    """Name of the group of a path: list indices are wild, and so are numbers of sibling keys."""
    name, inside = "", arguments
    for i, key in enumerate(path):
        if isinstance(key, int):
            name += "[*]"
        elif not (key == "keywords" and _stands_for_call(inside)):
            name += f"{'.' if i else ''}{_merged(key, inside)}"
        inside = inside[key]  # type: ignore[index]
    return name


def _stands_for_call(value: Any) -> bool:
    """Tell the JSON form of a partial function or an object, whose keywords are its content."""
    return len(value) == 2 and "keywords" in value


def _merged(key: str, siblings: Mapping[str, Any]) -> str:
    stem = key.rstrip("0123456789")
    numbered = [other for other in siblings if re.fullmatch(rf"{re.escape(stem)}\d+", other)]
    return f"{stem}#" if stem != key and len(numbered) > 1 else key


def _value_group(
    name: str, leaves: Sequence[tuple[Path, Number]], arguments: Mapping[str, Any]
) -> Group:
    paths, values = tuple(path for path, _ in leaves), tuple(value for _, value in leaves)
    plain = re.fullmatch(r"(\w+)(\[\*\])*", name)
    if plain and plain[1] in arguments and _count(arguments[plain[1]]) == len(values):
        whole = _tuples(arguments[plain[1]])
        return Group(name=plain[1], kind="values", paths=paths, values=values, base=whole)
    base = values[0] if len(values) == 1 else values
    return Group(name=name, kind="values", paths=paths, values=values, base=base)


def _count(value: Any) -> int:
    """Number of items inside nested lists, numbers or not; 1 for what is no list."""
    return sum(map(_count, value)) if isinstance(value, list | tuple) else 1


def _columns(
    found: Mapping[str, Sequence[tuple[Path, Number]]],
) -> Iterator[tuple[str, list[tuple[Path, Number]]]]:
    """Split groups over rows of equal length into their columns: rows often mix meanings."""
    for name, leaves in found.items():
        if not name.endswith("[*]") or len(leaves[0][0]) < 3:
            continue
        rows = {path[:-1] for path, _ in leaves}
        columns = sorted({path[-1] for path, _ in leaves}, key=str)
        if len(rows) < 2 or len(columns) < 2 or len(leaves) > len(rows) * len(columns):
            continue
        for column in columns:
            chosen = [(path, value) for path, value in leaves if path[-1] == column]
            yield f"{name[:-3]}[{column}]", chosen


def _column_group(column: tuple[str, Sequence[tuple[Path, Number]]]) -> Group | None:
    name, leaves = column
    if not leaves:
        return None
    paths, values = tuple(path for path, _ in leaves), tuple(value for _, value in leaves)
    return Group(name=name, kind="values", paths=paths, values=values, base=values)


def _length_groups(arguments: Mapping[str, Any]) -> list[Group]:
    lists: dict[str, list[tuple[Path, Any]]] = {}
    for name, value in arguments.items():
        for path, items in _lists(value, (name,)):
            lists.setdefault(_pattern(path, arguments), []).append((path, items))
    groups = []
    for name, found in lists.items():
        paths = tuple(path for path, _ in found)
        lengths = tuple(len(items) for _, items in found)
        base = lengths[0] if len(lengths) == 1 else lengths
        groups.append(
            Group(name=f"len({name})", kind="len", paths=paths, values=lengths, base=base)
        )
        if len(found) == 1 and _is_mixed(found[0][1]):
            runs = _run_lengths(found[0][1])
            groups.append(
                Group(name=f"runs({name})", kind="runs", paths=paths, values=runs, base=runs)
            )
    return groups


def _lists(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, list | tuple) and value:
        yield path, value
    for key, item in _items(value):
        yield from _lists(item, (*path, key))


def _is_mixed(items: Sequence[Any]) -> bool:
    """Tell a list of numbers among which other items, such as ``"M"`` for pooling, stand."""
    numbers = sum(isinstance(item, int) for item in items)
    return 0 < numbers < len(items) and all(isinstance(item, int | str) for item in items)


def _run_lengths(items: Sequence[Any]) -> tuple[int, ...]:
    return tuple(len(list(run)) for item, run in groupby(items) if isinstance(item, int))


def _with_runs(items: Sequence[Any], lengths: Sequence[int]) -> list[Any]:
    left = iter(lengths)
    new: list[Any] = []
    for item, run in groupby(items):
        new += [item] * next(left) if isinstance(item, int) else list(run)
    return new


def _with_length(items: Sequence[Any], length: int) -> list[Any]:
    """Cut a list, or repeat its last item: the first of a stage may change sizes, the last not."""
    last = [deepcopy(items[-1]) for _ in range(length - len(items))]
    return [*items[:length], *last]


def _get(arguments: Any, path: Path) -> Any:
    for key in path:
        arguments = arguments[key]
    return arguments


def _set(arguments: dict[str, Any], path: Path, value: Any) -> None:
    """Set one item; sequences on the way are lists in the copy that is changed."""
    inside: Any = arguments
    for key in path[:-1]:
        if isinstance(inside[key], tuple):
            inside[key] = list(inside[key])
        inside = inside[key]
    inside[path[-1]] = value


def _tuples(value: Any) -> Any:
    """Sequences as tuples, as recipes have them."""
    if isinstance(value, list | tuple):
        return tuple(map(_tuples, value))
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value
