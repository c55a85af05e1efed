"""Which share of the channels of a model's layers moves by the factor."""

from collections.abc import Sequence

from msgspec.structs import replace
from torch import Tensor, nn

from ..costs import count_module
from ..records import Axis, InputSpec
from ._effects import Effect
from ._groups import Group
from ._probe import Prober, Shapes, scaled_by
from ._resolution import axis_dims, following_sizes, input_sizes, scale_input
from ._shares import MIN_CHANNELS, TOLERANCE
from ._width import Size


class MovedChannels:
    """Measures which share of the channels of layers is twice what it was.

    Channels are sizes of weights of layers, without the model's input and its classes.

    Args:
        probe: Of the base.
        module: The base.
    """

    def __init__(self, probe: Prober, module: nn.Module) -> None:
        self._probe, self._module = probe, module
        weights = {name: part.weight for name, part in module.named_modules() if _is_layer(part)}
        fixed = {spec.shape[1] for spec in probe.inputs if len(spec.shape) > 1}
        # the last layer's output: the classes
        fixed |= {tuple(weights.values())[-1].shape[0]} if weights else set()
        self._channels = {
            (f"{name}.weight", i): size
            for name, weight in weights.items()
            for i, size in enumerate(weight.shape[:2])
            if size >= MIN_CHANNELS and size not in fixed
        }

    def leave_out_positions(self, resolution: Axis) -> None:
        """Leave out sizes that move with the resolution, and layers of positions alone.

        The work of these does not grow with the batch.

        Args:
            resolution: The axis.
        """
        larger = self._larger(resolution)
        once, twice = (self._work(batch) for batch in (1, 2))
        self._channels = {
            (name, i): size
            for (name, i), size in self._channels.items()
            if larger.get(name, ())[i : i + 1] in ((), (size,))
            and once.get(name.removesuffix(".weight")) != twice.get(name.removesuffix(".weight"))
        }

    def share(self, new: Shapes) -> float:
        """Share at these shapes of weights; one if there are no channels."""
        pairs = [
            (size, new[name][i])
            for (name, i), size in self._channels.items()
            if len(new.get(name, ())) > i
        ]
        moved = sum(abs(other - 2 * size) <= TOLERANCE * 2 * size for size, other in pairs)
        return moved / len(pairs) if pairs else 1.0

    def doubling(self, probe: Prober, groups: Sequence[Group]) -> float:
        """Share when all of these groups double; 0 if that does not build."""
        new = probe.shapes({group.name: scaled_by(group, 2.0) for group in groups})
        return 0.0 if new is None else self.share(new)

    def expected(self, effects: Sequence[Effect]) -> float:
        """Share when all of these groups double, by what each of them does alone."""
        powers: dict[Size, float] = {}
        for effect in effects:
            for size, elasticity in effect.elasticity.items():
                powers[size] = powers.get(size, 0.0) + elasticity
        return self.share(
            {
                name: tuple(round(n * 2 ** powers.get((name, i), 0.0)) for i, n in enumerate(shape))
                for name, shape in self._probe.base.shapes.items()
            }
        )

    def _larger(self, resolution: Axis) -> Shapes:
        """Shapes of weights at twice the resolution; none if that does not build."""
        if resolution.status == "none":
            return {}
        dims = axis_dims(resolution)
        old = input_sizes(self._probe.inputs, dims)
        new = input_sizes(scale_input(self._probe.inputs, 2.0, resolution.step or 1, dims), dims)
        groups = [self._probe.groups.get(name) for name in resolution.arguments]
        return self._probe.shapes({g.name: following_sizes(g, old, new) for g in groups if g}) or {}

    def _work(self, batch: int) -> dict[str, int]:
        """MACs of every module for a batch."""
        inputs = [_with_batch(spec, batch) for spec in self._probe.inputs]
        try:
            cost = count_module(self._module, inputs, module_depth=99)
        except Exception:  # a forward pass may insist on its batch
            return {name: batch for name, _ in self._module.named_modules()}
        return {part.path: part.macs for part in cost.modules or ()}


def _with_batch(spec: InputSpec, batch: int) -> InputSpec:
    return replace(spec, shape=(batch, *spec.shape[1:]))


def _is_layer(module: nn.Module) -> bool:
    """Tell a layer between channels: not a table, whatever its class is called."""
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() > 1 and not isinstance(module, nn.Embedding)
