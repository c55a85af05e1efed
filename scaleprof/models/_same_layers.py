"""Layers of torch like ones that were built before, without running their constructors again.

Searching for a recipe builds a model a hundred times, and most of that time passes in constructors
of the same few layers with the same few arguments. Their result on the meta device depends on
nothing else: while `layers_from_templates` is active, a second layer of the same class and
arguments gets what the first one got, with weights of its own.
"""

import functools
import marshal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._C import _len_torch_function_stack
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from ._constructors import replaced_constructors
from .remembered import remember

# classes whose constructors set sizes, weights and nothing that depends on anything but arguments
_LAYERS: tuple[type[nn.Module], ...] = (_ConvNd, nn.Linear, _NormBase, nn.GroupNorm, nn.LayerNorm)
_CONSTRUCTORS = {layer: vars(layer)["__init__"] for layer in _LAYERS}
# what these constructors call on the layer; a subclass may do anything else there
_CALLED = (
    *("reset_parameters", "reset_running_stats", "register_parameter", "register_buffer"),
    *("__setattr__", "__getattr__", "__getattribute__", "__delattr__"),
)
_PLAIN = (bool, int, float, str, type(None))
# the oldest form, in which equal values of equal types are equal bytes
_MARSHAL_VERSION = 2


class _Weight(NamedTuple):
    """A weight without data, to be made anew for every layer."""

    shape: torch.Size
    dtype: torch.dtype
    requires_grad: bool


class _Template(NamedTuple):
    """The attributes of a layer.

    Attributes:
        plain: Those that layers may share, since nobody can change them.
        containers: Dictionaries and lists of plain values, copied for each layer.
        weights: Parameters and buffers by the dictionary that they are in.
    """

    plain: Mapping[str, Any]
    containers: Mapping[str, Any]
    weights: Mapping[str, Mapping[str, _Weight | None]]


_TEMPLATES: dict[Any, _Template | None] = {}
_ORDINARY: dict[type, bool] = {}


def layers_from_templates() -> AbstractContextManager[None]:
    """Build layers from those that were built before, inside the ``with`` block.

    Enter it where new tensors are on the meta device. A class whose constructor somebody else has
    replaced already keeps that one.
    """
    genuine = {c: init for c, init in _CONSTRUCTORS.items() if vars(c)["__init__"] is init}
    modes = _len_torch_function_stack()
    return replaced_constructors({c: _from_template(init, modes) for c, init in genuine.items()})


def _from_template(original: Callable[..., None], modes: int) -> Callable[..., None]:
    @functools.wraps(original)
    def init(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        # a further mode may put weights on another device, or do anything else with them
        usual = _len_torch_function_stack() == modes and not self.__dict__
        key = _key(type(self), args, kwargs) if usual else None
        template = _TEMPLATES.get(key) if key is not None else None
        if template is not None:
            _fill(self, template)
            return
        original(self, *args, **kwargs)
        if key is not None and key not in _TEMPLATES:
            remember(_TEMPLATES, key, _template_of(self))

    return init


def _key(cls: type[nn.Module], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a layer depends on; None if that cannot be told."""
    ordinary = _ORDINARY.get(cls)
    if ordinary is None:
        ordinary = _ORDINARY[cls] = _is_ordinary(cls)
    if not ordinary:
        return None
    try:
        # unlike equality, this tells 8 from 8.0, which is no number of channels
        given = marshal.dumps((args, kwargs), _MARSHAL_VERSION)
    except ValueError:
        return None
    return cls, torch.get_default_dtype(), given


def _is_ordinary(cls: type[nn.Module]) -> bool:
    """Tell a class that does nothing of its own when its base sets attributes and weights."""
    base = next(layer for layer in _LAYERS if issubclass(cls, layer))
    torchs = [c for c in cls.__mro__ if issubclass(c, base) and c.__module__.startswith("torch.")]
    ordinary = all(
        any(getattr(cls, name, None) is getattr(known, name, None) for known in torchs)
        for name in _CALLED
    )
    return ordinary and not (cls.call_super_init or hasattr(cls, "__slots__"))


def _template_of(layer: nn.Module) -> _Template | None:
    """What another layer like this needs; None if it has something that is not known here."""
    plain: dict[str, Any] = {}
    containers: dict[str, Any] = {}
    weights: dict[str, dict[str, _Weight | None]] = {}
    for name, value in layer.__dict__.items():
        if name in ("_parameters", "_buffers"):
            if not all(map(_is_weight, value.values())):
                return None
            weights[name] = {key: _weight_of(weight) for key, weight in value.items()}
        elif _is_plain(value):
            plain[name] = value
        elif isinstance(value, dict | set | list) and all(map(_is_plain, value)):
            if isinstance(value, dict) and value:
                return None
            containers[name] = value.copy()
        else:
            return None
    return _Template(plain, containers, weights)


def _is_plain(value: Any) -> bool:
    return type(value) in _PLAIN or (type(value) is tuple and all(map(_is_plain, value)))


def _is_weight(value: Tensor | None) -> bool:
    return value is None or (
        type(value) in (Tensor, nn.Parameter)
        and value.is_meta
        and value.is_contiguous()
        and not value.__dict__
    )


def _weight_of(value: Tensor | None) -> _Weight | None:
    return None if value is None else _Weight(value.shape, value.dtype, value.requires_grad)


def _fill(layer: nn.Module, template: _Template) -> None:
    own = layer.__dict__
    own.update(template.plain)
    for name, value in template.containers.items():
        own[name] = value.copy()
    with torch._C.DisableTorchFunction():
        parameters, buffers = template.weights["_parameters"], template.weights["_buffers"]
        own["_parameters"] = {
            name: weight
            and Tensor._make_subclass(nn.Parameter, _empty(weight), weight.requires_grad)
            for name, weight in parameters.items()
        }
        own["_buffers"] = {name: weight and _empty(weight) for name, weight in buffers.items()}


def _empty(weight: _Weight) -> Tensor:
    return torch.empty(weight.shape, dtype=weight.dtype, device="meta")
