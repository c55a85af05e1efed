"""What a device does at most: how fast it copies, multiplies matrices, and starts an operator."""

import torch
from torch import Tensor

from ..records import MeasuredCeilings
from ._measure import StoppingRule, Timer, measure
from .timers import AcceleratorTimer, CpuTimer

_RULE = StoppingRule(half_width=0.02, max_seconds=0.4, warmup_max_seconds=0.2)
_DTYPES = ("float32", "bfloat16", "float16")
# larger than the caches of a server (some 100 MB), and a small part of any device's memory
_COPIED_BYTES = 2**28
# large enough to fill a device: 2 GFLOPs on a CPU, 1.1 TFLOPs on an accelerator
_MATRIX = {"cpu": 1024}
_ACCELERATOR_MATRIX = 8192


def measure_ceilings(device: torch.device) -> MeasuredCeilings:
    """Measure a device for about four seconds.

    Args:
        device: The device.
    """
    rates: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    with torch.inference_mode():
        for name in _DTYPES:
            try:
                rates[name] = _matmul_rate(device, getattr(torch, name))
            except RuntimeError as error:
                rates[name] = None
                reasons[f"matmul_flops_per_s.{name}"] = str(error).splitlines()[0]
        return MeasuredCeilings(
            copy_bytes_per_s=_copy_rate(device),
            matmul_flops_per_s=rates,
            launch_s=_launch_s(device),
            reasons=reasons,
        )


def _copy_rate(device: torch.device) -> float:
    source = torch.ones(_COPIED_BYTES // 4, device=device)
    target = torch.empty_like(source)
    # each byte is read and written
    return 2 * _COPIED_BYTES / _median_s(lambda: target.copy_(source), device)


def _matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    n = _MATRIX.get(device.type, _ACCELERATOR_MATRIX)
    a = torch.randn(n, n, device=device).to(dtype)
    b = torch.randn(n, n, device=device).to(dtype)
    out = torch.empty_like(a)
    return 2 * n**3 / _median_s(lambda: torch.mm(a, b, out=out), device)


def _launch_s(device: torch.device) -> float:
    x = torch.zeros(1, device=device)
    calls = 100

    def several() -> Tensor:
        for _ in range(calls):
            x.add_(1.0)
        return x

    return _median_s(several, device) / calls


def _median_s(function: object, device: torch.device) -> float:
    assert callable(function)
    timer: Timer = (
        CpuTimer(function) if device.type == "cpu" else AcceleratorTimer(function, device)
    )
    samples = sorted(measure(timer, _RULE).samples)
    return samples[len(samples) // 2]
