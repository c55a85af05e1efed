"""A family of one model whose latencies follow a law that is known."""

import msgspec
from factories import cost, measured, recipe, variant

from scaleprof.records import Work

# 1 ms per 1e8 multiply-adds, and a start of 10 µs for each of ten calls
SECONDS_PER_MAC = 1e-11
START = 1e-5


def scaled(name, factor, *, known=True, work=True):
    macs = int(1e8 * factor)
    rows = (Work("conv_k", 10, macs // 10, 10_000, 40_000, 512, 4608),) if work else ()
    counted = msgspec.structs.replace(cost(macs=macs, activations=macs // 100), work=rows)
    latency = macs * SECONDS_PER_MAC + 10 * START
    return msgspec.structs.replace(
        variant(name, measurement=measured(latency) if known else None),
        cost=counted,
        recipe=recipe("w", factor, achieved={"width": factor**0.5}),
    )


def family(**kwargs):
    sizes = (1.0, 0.25, 0.5, 2.0, 4.0, 8.0)
    return [scaled("base" if i == 0 else f"v{i}", f, **kwargs) for i, f in enumerate(sizes)]
