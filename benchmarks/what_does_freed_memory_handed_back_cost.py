"""How far apart are processes whose allocator keeps what a call frees, and those where it does not?

    OMP_NUM_THREADS=1 python benchmarks/what_does_freed_memory_handed_back_cost.py

Processes of each kind are measured in turn. Those that do not keep it have glibc's malloc as it is
(a tunable that is set to what it is anyway lets scaleprof leave the allocator alone). Between them
a process that imports torch comes and goes, as on any machine that does more than measure: what it
leaves behind of the system's free memory is part of what page faults cost.

Printed of each: the range of medians over processes, their standard deviation, and that left with
the yardstick's taken out. Asserted of the first model, a small one: kept memory is no slower, and
beside the yardstick processes are no farther apart.

Usage: ``what_does_freed_memory_handed_back_cost.py [MODEL...] [--processes N]``; names of timm.
"""

import argparse
import contextlib
import math
import os
import statistics
import subprocess
import sys
from unittest import mock

from how_far_apart_are_fresh_processes import request, without

from scaleprof.jobs import MEASURE, MeasureReply
from scaleprof.models import parse_reference, resolve_model
from scaleprof.profiler._crew import Crew
from scaleprof.timing import FOLLOWS
from scaleprof.workers import expect

MODELS = ("mobilenetv3_small_100", "vit_tiny_patch16_224", "resnet18")
PROCESSES = 16
_AS_IT_IS = "glibc.malloc.hugetlb=0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    given = parser.parse_args()
    print("| model | freed memory | medians of processes, ms | deviation | with yardstick out |")
    print("|---|---|--:|--:|--:|")
    outcomes = [compare(model, given.processes) for model in given.models]
    level, left = outcomes[0]
    assert level <= 1, f"kept memory takes {level:.2f} times as long"
    assert left <= 1, f"beside the yardstick processes are {left:.2f} times as far apart"


def compare(model: str, processes: int) -> tuple[float, float]:
    """Print rows of both kinds; return median and deviation left of kept memory over the other."""
    resolved = resolve_model(parse_reference(f"timm:{model}"))
    kept, back = [], []
    with Crew(["timm"], device="cpu") as keeping, Crew(["timm"], device="cpu") as plain:
        for seed in range(processes):
            for crew, replies, settings in (
                (keeping, kept, contextlib.nullcontext()),
                # read by the worker server, which starts now
                (plain, back, mock.patch.dict(os.environ, GLIBC_TUNABLES=_AS_IT_IS)),
            ):
                subprocess.run([sys.executable, "-c", "import torch"], check=True)
                with settings:
                    outcome = crew.measure(MEASURE, request(resolved, seed), MeasureReply)
                replies.append(expect(outcome, model))
    ours, theirs = row(model, "kept", kept), row(model, "as it is", back)
    return ours[0] / theirs[0], ours[1] / theirs[1]


def row(model: str, memory: str, replies: list[MeasureReply]) -> tuple[float, float]:
    """Print a row; return the median, and the deviation that is left with the yardstick out."""
    medians = [statistics.median(reply.samples.samples) for reply in replies]
    logs = [math.log(median) for median in medians]
    host = [math.log(reply.samples.yardstick or math.nan) for reply in replies]
    spread = statistics.stdev(logs)
    left = statistics.stdev(without(logs, host, FOLLOWS))
    print(
        f"| {model} | {memory} | {1e3 * min(medians):.2f} to {1e3 * max(medians):.2f} "
        f"| {spread:.1%} | {left:.1%} |",
        flush=True,
    )
    return statistics.median(medians), left


if __name__ == "__main__":
    main()
