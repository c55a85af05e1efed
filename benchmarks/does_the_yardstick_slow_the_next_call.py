"""Does a model find colder caches after a row of the yardstick, and take longer?

In one process, calls of a model after a row of the yardstick are timed in turn with calls after
another call of the model, each over the call before. After the yardstick the median may be 2 %
longer or shorter, and the 90th percentile 5 % longer.

Usage: ``does_the_yardstick_slow_the_next_call.py [MODEL...] [--calls N]``; names of timm.
"""

import argparse
import statistics

import timm
import torch

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
    parser.add_argument("--calls", type=int, default=200, help="of each kind")
    given = parser.parse_args()
    print(
        "| model | call, ms | after the yardstick, median | 90 % | after the model, median | 90 % |"
    )
    print("|---|--:|--:|--:|--:|--:|")
    wrong = []
    for model in given.models:
        typical, beside, alone = ratios(model, given.calls)
        print(
            f"| {model} | {1e3 * typical:.2f} | {cells(beside)} | {cells(alone)} |",
            flush=True,
        )
        if abs(statistics.median(beside) - statistics.median(alone)) > _MEDIAN_WITHIN:
            wrong.append(f"{model}: the median of the next call")
        if tail(beside) - tail(alone) > _TAIL_WITHIN:
            wrong.append(f"{model}: the 90th percentile of the next call")
    assert not wrong, "; ".join(wrong)


def ratios(name: str, calls: int) -> tuple[float, list[float], list[float]]:
    """Time of a call; of calls after the yardstick and after the model, over the one before."""
    model, x = timm.create_model(name).eval(), torch.randn(1, 3, _SIDE, _SIDE)
    timer, beside = CpuTimer(lambda: model(x)), yardstick()
    before, after_yardstick, after_model = [], [], []
    with torch.inference_mode():
        timer.time(_WARM_UP)
        for _ in range(calls):
            before.append(timer.time(1))
            after_model.append(timer.time(1) / before[-1])
            beside.time(_ROW)
            after_yardstick.append(timer.time(1) / before[-1])
            # what follows the yardstick's row leaves the caches to the model again
            timer.time(1)
    return statistics.median(before), after_yardstick, after_model


def tail(values: list[float]) -> float:
    return statistics.quantiles(values, n=10)[-1]


def cells(values: list[float]) -> str:
    return f"{statistics.median(values) - 1:+.1%} | {tail(values) - 1:+.1%}"


if __name__ == "__main__":
    main()
