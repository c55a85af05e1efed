"""How fast the host is just now: a small fixed network, timed between the calls of a model.

On a shared machine a neighbour on the same core, in the same cache or on the same memory slows
everything down, by tens of percent for seconds to minutes, and no counter of the guest shows it. A
fixed piece of work shows it. Of what was tried as such work, small layers of the kinds that models
are made of followed models best; products of matrices, copies and loops of Python follow them less
(`docs/design/0023-a-yardstick-beside-the-model.md`).

Reports hold its times and gates rely on them: a change of this network is a new yardstick, whose
times belong into a field of another name.
"""

import torch
from torch import nn

from .timers import CpuTimer

_CHANNELS = 32
_IMAGE = 56
_TOKENS, _DIM = 64, 96
# calls until oneDNN has made its primitives and the caches hold the weights
_WARM_UP = 5


def yardstick() -> CpuTimer:
    """Return a timer of the fixed network, warmed up: some 1 to 2 ms a call on one core."""
    with torch.inference_mode():
        convolutions = nn.Sequential(
            nn.Conv2d(3, _CHANNELS, 3, stride=2, padding=1),
            nn.ReLU(),
            *_inverted_residual(),
            *_inverted_residual(),
            nn.Conv2d(_CHANNELS, 2 * _CHANNELS, 3, stride=2, padding=1),
        ).eval()
        perceptron = nn.Sequential(
            nn.LayerNorm(_DIM), nn.Linear(_DIM, 4 * _DIM), nn.GELU(), nn.Linear(4 * _DIM, _DIM)
        ).eval()
        image, tokens = torch.randn(1, 3, _IMAGE, _IMAGE), torch.randn(1, _TOKENS, _DIM)

    def run() -> None:
        with torch.inference_mode():
            convolutions(image)
            perceptron(tokens)

    timer = CpuTimer(run)
    timer.time(_WARM_UP)
    return timer


def _inverted_residual() -> tuple[nn.Module, ...]:
    wide = 2 * _CHANNELS
    return (
        nn.Conv2d(_CHANNELS, wide, 1),
        nn.BatchNorm2d(wide),
        nn.Hardswish(),
        nn.Conv2d(wide, wide, 3, padding=1, groups=wide),
        nn.BatchNorm2d(wide),
        nn.ReLU(),
        nn.Conv2d(wide, _CHANNELS, 1),
    )
