"""Does a model find colder caches after a row of the yardstick, and take longer?

In one process, calls of a model after a row of the yardstick are timed in turn with calls after
another call of the model. The first over the second, call by call: the 95 % interval of the median
must not lie beyond 2 %, and must not be wider than 4 %. The 90th percentile may be 5 % longer.

Usage: ``does_the_yardstick_slow_the_next_call.py [MODEL...] [--calls N]``; names of timm.
"""

import argparse
import statistics

import timm
import torch

from scaleprof.devices.allocator import keep_freed_memory
from scaleprof.timing import median_interval
from scaleprof.timing.timers import CpuTimer
from scaleprof.timing.yardstick import yardstick

MODELS = ("mobilenetv3_small_100", "vit_tiny_patch16_224", "resnet18")
_SIDE = 224
_WARM_UP = 10
# one that is not timed, and the most that are
_ROW = 5
_MEDIAN_WITHIN = 0.02
_TAIL_WITHIN = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--calls", type=int, default=400, help="of each kind")
    given = parser.parse_args()
    # as where models are measured
    keep_freed_memory()
    print("| model | call, ms | after the yardstick, median | 95 % interval | 90th percentile |")
    print("|---|--:|--:|--:|--:|")
    wrong = []
    for model in given.models:
        beside, alone = calls(model, given.calls)
        ratios = [a / b for a, b in zip(beside, alone, strict=True)]
        low, high = (bound - 1 for bound in median_interval(ratios))
        tails = tail(beside) / tail(alone) - 1
        print(
            f"| {model} | {1e3 * statistics.median(alone):.2f} "
            f"| {statistics.median(ratios) - 1:+.1%} | {low:+.1%} to {high:+.1%} | {tails:+.1%} |",
            flush=True,
        )
        if low > _MEDIAN_WITHIN or high < -_MEDIAN_WITHIN:
            wrong.append(f"{model}: the median of the next call")
        if high - low > 2 * _MEDIAN_WITHIN:
            wrong.append(f"{model}: an interval that tells nothing")
        if tails > _TAIL_WITHIN:
            wrong.append(f"{model}: the 90th percentile of the next call")
    assert not wrong, "; ".join(wrong)


def calls(name: str, count: int) -> tuple[list[float], list[float]]:
    """Time of calls after a row of the yardstick, and of those after another call, in turn."""
    model, x = timm.create_model(name).eval(), torch.randn(1, 3, _SIDE, _SIDE)
    timer, beside = CpuTimer(lambda: model(x)), yardstick()
    after_yardstick, after_model = [], []
    with torch.inference_mode():
        timer.time(_WARM_UP)
        for _ in range(count):
            beside.time(_ROW)
            after_yardstick.append(timer.time(1))
            # leaves the caches to the model again
            timer.time(1)
            after_model.append(timer.time(1))
    return after_yardstick, after_model


def tail(values: list[float]) -> float:
    return statistics.quantiles(values, n=10)[-1]


if __name__ == "__main__":
    main()
