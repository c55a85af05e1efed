"""Are our MACs those of torch, and how much faster are they counted than by the others?

    python benchmarks/how_fast_and_how_right_is_counting.py [--every N] [--fvcore-every N]

Over every model that timm registers: builds it on the meta device, counts it with scaleprof and
with torch's `FlopCounterMode`, one after the other in one process, and compares MACs and times.
fvcore needs a real forward pass on the CPU, which takes seconds: it sees a sample of the models.
"""

import argparse
import contextlib
import gc
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator

import timm
import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from scaleprof.costs import count_module
from scaleprof.models import build_module, parse_reference, resolve_model
from scaleprof.records import InputSpec

MACS_TOLERANCE = 0.001
MAX_MEDIAN_S = 0.1
MIN_SPEEDUP_OVER_TORCH = 4.0
MIN_SPEEDUP_OVER_FVCORE = 8.0


def timed(function: Callable[[], int]) -> tuple[float, int]:
    began = time.perf_counter()
    got = function()
    return time.perf_counter() - began, got


def ours(module: nn.Module, inputs: tuple[InputSpec, ...]) -> int:
    return count_module(module, inputs).macs


def torchs(module: nn.Module, inputs: tuple[InputSpec, ...]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(torch.empty(inputs[0].shape, device="meta"))
    return counter.get_total_flops() // 2


def fvcores(module: nn.Module, inputs: tuple[InputSpec, ...]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(module, (torch.randn(inputs[0].shape),))
        return int(analysis.unsupported_ops_warnings(False).total())


def models(every: int) -> Iterator[tuple[str, nn.Module, tuple[InputSpec, ...]]]:
    for name in timm.list_models()[::every]:
        resolved = resolve_model(parse_reference(f"timm:{name}"))
        yield name, build_module(resolved.call, meta=True).eval(), resolved.inputs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="count every Nth model only")
    parser.add_argument("--fvcore-every", type=int, default=20, help="fvcore: every Nth of those")
    options = parser.parse_args()
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    # what each counter loads at its first use is not part of a count
    for _, module, inputs in models(len(timm.list_models())):
        ours(module, inputs), torchs(module, inputs)

    mine, torch_ratio, fvcore_ratio, apart, crashed = [], [], [], [], []
    for i, (name, module, inputs) in enumerate(models(options.every)):
        seconds, macs = timed(lambda m=module, x=inputs: ours(m, x))
        mine.append(seconds)
        try:
            torch_seconds, reference = timed(lambda m=module, x=inputs: torchs(m, x))
        except Exception as error:  # its module tracker fails on some models
            crashed.append(f"{name}: {type(error).__name__}")
        else:
            torch_ratio.append(torch_seconds / seconds)
            if abs(macs - reference) > MACS_TOLERANCE * reference:
                apart.append(f"{name}: {macs:,} against {reference:,}")
        if i % options.fvcore_every == 0:
            real = timm.create_model(name).eval()
            with contextlib.suppress(Exception):
                fvcore_seconds, _ = timed(lambda m=real, x=inputs: fvcores(m, x))
                fvcore_ratio.append(fvcore_seconds / seconds)
            del real
        gc.collect()

    slowest = statistics.quantiles(mine, n=20)[-1]
    print(f"models counted                       {len(mine)}")
    print(f"median / 95th percentile, s          {statistics.median(mine):.4f} / {slowest:.4f}")
    for name, ratios in (("FlopCounterMode", torch_ratio), ("fvcore", fvcore_ratio)):
        label = f"{name} / scaleprof, time"
        print(f"{label:36s} {statistics.median(ratios):.1f} (n={len(ratios)})")
    print(f"FlopCounterMode fails on             {len(crashed)}")
    print(f"MACs apart by more than 0.1 %        {len(apart)}")
    for line in apart:
        print(f"  {line}")
    assert not apart
    assert statistics.median(mine) < MAX_MEDIAN_S
    assert statistics.median(torch_ratio) >= MIN_SPEEDUP_OVER_TORCH
    assert statistics.median(fvcore_ratio) >= MIN_SPEEDUP_OVER_FVCORE


if __name__ == "__main__":
    main()
