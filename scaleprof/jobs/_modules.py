"""The job that tells which modules of a variant take its time."""

import time

import torch

from ..timing.modules import module_shares
from ._forward import Prepared, present_device, set_up_cpu
from ._requests import ModulesReply, ModulesRequest


def time_modules(request: ModulesRequest) -> ModulesReply:
    """Build a variant, and run it a few times while its modules are timed."""
    variant, device = request.variant, present_device(request.variant.device)
    torch.manual_seed(variant.seed)
    if device.type == "cpu":
        set_up_cpu()
    with torch.inference_mode():
        model = Prepared(variant)
        began = time.perf_counter()
        shares = module_shares(
            model.step, model.module, device, depth=request.depth, passes=request.passes
        )
    return ModulesReply(shares=shares, busy_s=time.perf_counter() - began)
