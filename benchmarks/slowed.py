"""A model of timm that takes a given share longer than it does: for tests of what notices."""

import time
from typing import Any

import timm
from torch import Tensor, nn


class Slowed(nn.Module):
    """Run a model, then keep its core busy for a share of the time that took.

    Args:
        name: Model of timm.
        share: 0.1 for ten percent more.
    """

    def __init__(self, name: str, share: float) -> None:
        super().__init__()
        self.model = timm.create_model(name)
        self._share = share

    def forward(self, x: Tensor) -> Any:
        """Return what the model returns."""
        began = time.perf_counter()
        out = self.model(x)
        until = time.perf_counter() + self._share * (time.perf_counter() - began)
        while time.perf_counter() < until:
            pass
        return out
