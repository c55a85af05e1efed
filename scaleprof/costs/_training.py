"""The static plan of a training step: forward and backward pass and a step of AdamW.

Mixed precision keeps other copies; what is planned here is a step in one type, as it is measured.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..records import InputSpec
from ._count import meta_inputs
from ._counter import CostCounter


def training_peak_bytes(module: nn.Module, inputs: Sequence[InputSpec]) -> int:
    """Return the largest sum of live bytes at any moment of the first training step.

    Weights, buffers, inputs, what the forward pass keeps for the backward pass, gradients and the
    optimizer's two moments are all in it, each from where it is made until its last use.

    Args:
        module: The model, on the meta device.
        inputs: What it is called with.

    Raises:
        TypeError: If no output has a gradient.
        Exception: What the model raises in training.
    """
    counter = CostCounter()
    module = module.train()
    args, kwargs = meta_inputs(inputs)
    counter.live.hold([*module.parameters(), *module.buffers(), *args, *kwargs.values()])
    optimizer = torch.optim.AdamW(module.parameters())
    with counter:
        mean_square(module(*args, **kwargs)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return counter.live.peak


def mean_square(outputs: Any) -> Tensor:
    """A loss that every output of a model has a part in.

    Raises:
        TypeError: If no output can be differentiated.
    """
    losses = [out.float().square().mean() for out in _tensors(outputs) if out.requires_grad]
    if not losses:
        raise TypeError("no output of its forward pass has a gradient: it cannot be trained")
    return torch.stack(losses).sum()


def _tensors(outputs: Any) -> Iterator[Tensor]:
    if isinstance(outputs, Tensor):
        yield outputs
    elif isinstance(outputs, Mapping):
        yield from _tensors(outputs.values())
    elif isinstance(outputs, Iterable) and not isinstance(outputs, str):
        for value in outputs:
            yield from _tensors(value)
