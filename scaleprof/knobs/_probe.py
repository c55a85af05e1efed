"""Build a model with changed arguments on the meta device, and look at the difference."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from ..costs import count_module
from ..models import ConstructorCall, build_module
from ..records import Cost, InputSpec
from ._groups import Arguments, Group, Number
from ._turned import turned_call

Shapes = Mapping[str, tuple[int, ...]]
Values = Mapping[str, Sequence[Number]]


@dataclass(frozen=True, slots=True)
class Built:
    """A model on the meta device: its weights' shapes and its cost."""

    shapes: Shapes
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Prober:
    """Builds the base with some groups of numbers at other values.

    Attributes:
        call: What builds the base.
        arguments: All its arguments.
        groups: The groups among them, by name.
        inputs: What the base is called with.
        base: The base itself.
        dtype: Floating-point type of its weights.
        reasons: Why probes failed, by the group that was turned alone.
    """

    call: ConstructorCall
    arguments: Arguments
    groups: Mapping[str, Group]
    inputs: tuple[InputSpec, ...]
    base: Built
    dtype: str
    reasons: dict[str, str] = field(default_factory=dict)

    def module(self, new: Values) -> nn.Module | None:
        """Build with changed arguments; None if that does not work."""
        try:
            call = turned_call(self.call, self.arguments, self.groups, new)
            return build_module(call, meta=True)
        except Exception as error:  # a constructor may refuse a value in any way it likes
            self._note(new, error)
            return None

    def shapes(self, new: Values) -> Shapes | None:
        """Shapes of the weights after a change; None if it does not build."""
        module = self.module(new)
        return None if module is None else shapes_of(module)

    def build(self, new: Values, inputs: Sequence[InputSpec] | None = None) -> Built | None:
        """Build and count after a change; None if it does not build or run."""
        module = self.module(new)
        if module is None:
            return None
        try:
            cost = count_module(cast(module, self.dtype), inputs or self.inputs)
        except Exception as error:  # nor need a forward pass work that its constructor let through
            self._note(new, error)
            return None
        return Built(shapes_of(module), cost)

    def exponent(self, built: Built, factor: float) -> float:
        """Power of the factor with which FLOPs grew."""
        return self.exponent_of(built.cost, factor)

    def exponent_of(self, cost: Cost, factor: float) -> float:
        """Power of the factor with which FLOPs grew to this cost."""
        old, new = self.base.cost.macs, cost.macs
        return math.log(new / old) / math.log(factor) if old and new else 0.0

    def _note(self, new: Values, error: Exception) -> None:
        if len(new) == 1:
            self.reasons[next(iter(new))] = f"{type(error).__name__}: {error}"


def shapes_of(module: nn.Module) -> Shapes:
    """Shapes of a module's parameters by name."""
    return {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}


def cast(module: nn.Module, dtype: str) -> nn.Module:
    """Return the module with its weights in a floating-point type."""
    return module if dtype == "float32" else module.to(getattr(torch, dtype))


def without_digits(name: str) -> str:
    """Name of a module or weight with every number as ``#``."""
    return re.sub(r"\d+", "#", name)


def scaled_by(group: Group, factor: float) -> list[Number]:
    """Values of a group times a factor, integers kept integers."""
    return [
        value * factor if isinstance(value, float) else round(value * factor)
        for value in group.values
    ]
