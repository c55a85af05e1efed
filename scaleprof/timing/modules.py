"""Which part of a forward pass each module takes, with all that runs inside it."""

from collections.abc import Callable

import torch
from torch import nn

from .share import shares_of_time


def module_shares(
    function: Callable[[], object],
    model: nn.Module,
    device: torch.device,
    *,
    depth: int,
    passes: int,
) -> dict[str, float]:
    """Return the share of a forward pass's time by path of module, between 0 and 1.

    A list or mapping of modules, which is never called itself, takes what those in it take. The
    shares are of one process, and as noisy as it is: they point at where time goes, and decide
    nothing.

    Args:
        function: One forward pass.
        model: The model that it calls.
        device: Where it runs: a CPU or a CUDA device.
        depth: Depth down to which modules are timed: 1 for those of the model itself.
        passes: Passes of which the median counts.

    Returns:
        Shares of the modules that were called, outer ones before those inside. A module with
        several paths is known by its first.
    """
    named = {path: m for path, m in model.named_modules() if path and path.count(".") < depth}
    shares = shares_of_time(function, named.items(), device, passes=passes)
    for path in reversed(named):
        if isinstance(named[path], nn.ModuleList | nn.ModuleDict):
            held = [share for name, share in shares.items() if name.rpartition(".")[0] == path]
            shares |= {path: sum(held)} if held else {}
    # a module that calls itself is in its own time
    return {path: min(shares[path], 1.0) for path in named if path in shares}
