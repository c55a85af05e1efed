"""Does counting a model of a billion parameters stay under 200 MB of extra memory?

    python benchmarks/how_much_memory_does_counting_take.py [MODEL]

The extra memory is the growth of the peak resident set of this process over what it has after
importing torch and timm, while the model is built and counted.
"""

import sys

import timm  # noqa: F401 - its import is not part of the count
import torch
from torch import nn

from scaleprof.costs import count_module
from scaleprof.models import build_module, parse_reference, resolve_model
from scaleprof.records import InputSpec
from scaleprof.timing.memory import process_peak, reset_process_peak

MAX_BYTES = 200e6
MODEL = "timm:eva_giant_patch14_224"


def main() -> None:
    # what torch loads at its first count is the same for a model of any size
    count_module(nn.Conv2d(3, 3, 1).to("meta"), [InputSpec(shape=(1, 3, 8, 8))])
    resolved = resolve_model(parse_reference(sys.argv[1] if len(sys.argv) > 1 else MODEL))
    before = reset_process_peak()
    cost = count_module(build_module(resolved.call, meta=True), resolved.inputs)
    after = process_peak()
    if before is None or after is None:
        sys.exit("this system does not tell the peak of a process")
    print(f"parameters      {cost.params:,}")
    print(f"weight bytes    {cost.weight_bytes:,}")
    print(f"extra memory    {(after - before) / 1e6:.1f} MB (torch {torch.__version__})")
    assert cost.params > 1e9
    assert after - before < MAX_BYTES


if __name__ == "__main__":
    main()
