"""What scaling needs to know about one model."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import msgspec

from ..models import ConstructorCall
from ..records import Axis, Cost, InputSpec
from ._groups import Arguments, Group, Number, find_groups
from ._layers import BLOCKS, LAYERS, built, built_groups
from ._resolution import axis_dims, input_sizes
from ._turned import turned_call


class Knobs(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The knobs of one model: what scaling needs to know about it.

    Attributes:
        model: The reference the user gave.
        call: The constructor call whose arguments are turned.
        arguments: All its arguments, defaults included, as far as they have a JSON form.
        inputs: What the base is called with.
        axes: What was found, by axis.
        cost: Cost of the base.
        dtype: Floating-point type of weights and inputs.
    """

    model: str
    call: ConstructorCall
    arguments: Arguments
    inputs: tuple[InputSpec, ...]
    axes: dict[str, Axis]
    cost: Cost
    dtype: str = "float32"

    @cached_property
    def groups(self) -> dict[str, Group]:
        """Return the groups of numbers among the arguments, by name."""
        return find_groups(self.arguments.values) | built_groups(self.axes)

    def input_sizes(self) -> tuple[int, ...]:
        """Return the sizes of the input that the resolution turns: height and width, or length."""
        return input_sizes(self.inputs, axis_dims(self.axes["resolution"]))

    def turned(self, new: Mapping[str, Sequence[Number]]) -> ConstructorCall:
        """Return the call with new values for some groups."""
        known = self.groups
        # a group left at its base values stays out of the call: one model, one call
        arguments = {
            name: values
            for name, values in new.items()
            if name not in (LAYERS, BLOCKS) and list(values) != list(known[name].values)
        }
        call = turned_call(self.call, self.arguments, known, arguments)
        return built(call, self.axes, new)
