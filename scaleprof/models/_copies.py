"""Copies of modules, as `copy.deepcopy` makes them, in a fraction of its time."""

from collections import OrderedDict
from collections.abc import Iterable
from copy import deepcopy
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

M = TypeVar("M", bound=nn.Module | None)

# what stays itself in a copy, and of tuples of such the tuple
_ATOMS = frozenset({bool, int, float, str, type(None)})
# what a class may have to be copied in a way of its own
_PROTOCOL = ("__reduce_ex__", "__reduce__", "__getstate__", "__new__")
# that of convolutions adds what those had not that were stored long ago
_SET_STATE = (nn.Module.__setstate__, _ConvNd.__setstate__)
_OTHERS = ("__deepcopy__", "__getnewargs__", "__getnewargs_ex__", "__slots__")


def copy_of(module: M) -> M:
    """Return a deep copy of a module: weights that are shared inside it are shared inside the copy.

    Attributes of modules, containers among them, and weights without data are copied here; all
    else, and modules that are copied in their own way, by `copy.deepcopy`.
    """
    copied: M = _copy(module, {})
    return copied


def _copy(value: Any, memo: dict[int, Any]) -> Any:
    cls: Any = type(value)
    if cls in _ATOMS or (cls is tuple and _are_atoms(value)):
        return value
    if (known := memo.get(id(value))) is not None:
        return known
    new: Any
    if cls is dict or cls is OrderedDict:
        memo[id(value)] = new = cls()
        new.update({_copy(key, memo): _copy(item, memo) for key, item in value.items()})
    elif cls is list:
        memo[id(value)] = new = cls()
        new.extend(_copy(item, memo) for item in value)
    elif cls is set and _are_atoms(value):
        memo[id(value)] = new = value.copy()
    elif cls is nn.Parameter and value.is_meta and value.is_contiguous():
        memo[id(value)] = new = _parameter_like(value)
    elif isinstance(value, nn.Module) and _is_ordinary(cls):
        memo[id(value)] = new = cls.__new__(cls)
        new.__dict__.update({name: _copy(item, memo) for name, item in value.__dict__.items()})
    else:
        new = deepcopy(value, memo)
    return new


def _are_atoms(values: Iterable[Any]) -> bool:
    return all(type(item) in _ATOMS for item in values)


def _parameter_like(value: nn.Parameter) -> nn.Parameter:
    with torch._C.DisableTorchFunction():
        data = torch.empty(value.shape, dtype=value.dtype, device="meta")
        return Tensor._make_subclass(nn.Parameter, data, value.requires_grad)


@cache
def _is_ordinary(cls: type[nn.Module]) -> bool:
    """Tell a class whose objects are copied by copying their attributes."""
    usual = all(getattr(cls, name) is getattr(nn.Module, name) for name in _PROTOCOL)
    usual = usual and cls.__setstate__ in _SET_STATE
    return usual and not any(hasattr(cls, name) for name in _OTHERS)
