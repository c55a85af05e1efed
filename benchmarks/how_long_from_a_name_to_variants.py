"""How long does it take from a model's name to 32 variants: eight strategies at four multipliers?

The jobs of ``scaleprof profile`` are run as they are: knobs are found, then each strategy is
resolved at 0.5, 2, 4 and 8 times the compute. Each model runs in a process of its own, forked after
the libraries are imported, as a worker is. Then the replies are put into the cache and taken out
again, as a second command would. Times are processor time of one core, user and system, which other
work on the machine changes little; waiting is not in it.

Usage: ``how_long_from_a_name_to_variants.py [SECONDS] [MODEL...]``; without models, one of every
timm module in random order, as many as there is time for.
"""

import multiprocessing
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import msgspec
import torch
from which_models_have_which_knobs import timm_models

from scaleprof.jobs import KNOBS, SCALE, KnobsReply, KnobsRequest, ScaleReply, ScaleRequest
from scaleprof.jobs._scale import probe, resolve
from scaleprof.models import parse_reference
from scaleprof.profiler._cache import VARIABLE, Cache
from scaleprof.records import Record
from scaleprof.scaling import AXES, STRATEGIES

MULTIPLIERS = (0.5, 2.0, 4.0, 8.0)
SEED = 0
GOAL_COLD_S, MAX_CACHED_S = 2.5, 0.2

Kept = list[tuple[str, Record, Record]]
"""Job, request and reply."""


def main() -> None:
    seconds = float(sys.argv[1]) if sys.argv[1:] else 1500.0
    names = sys.argv[2:] or shuffled(timm_models())
    torch.set_num_threads(1)
    cold, cached = [], []
    deadline = time.monotonic() + seconds
    for name in names:
        if time.monotonic() > deadline:
            break
        with multiprocessing.get_context("fork").Pool(1) as pool:
            finding, resolving, replies = pool.apply(from_name, (name,))
        cold.append(finding + resolving)
        cached.append(from_cache(replies))
        print(
            f"{name}: knobs {finding:.2f} s + variants {resolving:.2f} s = {cold[-1]:.2f} s; "
            f"cached {cached[-1]:.3f} s",
            flush=True,
        )
    print(
        f"{len(cold)} models. From name to 32 variants, processor time: "
        f"median {median(cold):.2f} s, longest {max(cold):.1f} s; "
        f"{sum(s <= GOAL_COLD_S for s in cold)} within {GOAL_COLD_S} s; "
        f"cached: median {median(cached):.3f} s, longest {max(cached):.3f} s"
    )
    assert median(cached) <= MAX_CACHED_S


def shuffled(names: list[str]) -> list[str]:
    random.Random(SEED).shuffle(names)
    return names


def from_name(name: str) -> tuple[float, float, Kept]:
    """Seconds of finding knobs and of resolving all strategies, and what both replied."""
    started = time.process_time()
    asked = KnobsRequest(reference=parse_reference(name), inputs=(), batch=1, dtype="float32")
    knobs = probe(asked)
    found = time.process_time()
    kept: Kept = [(KNOBS, asked, knobs)]
    for strategy in STRATEGIES:
        request = ScaleRequest(
            model=name,
            knobs=knobs,
            strategy=strategy,
            multipliers=MULTIPLIERS,
            axes=AXES,
            dtype="float32",
        )
        kept.append((SCALE, request, resolve(request)))
    return found - started, time.process_time() - found, kept


def from_cache(kept: Kept) -> float:
    """Seconds of taking all replies out of the cache."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[VARIABLE] = str(Path(folder))
        for job, request, reply in kept:
            Cache().put(job, request, reply, getattr(reply, "sources", ()))
        started = time.process_time()
        for job, request, reply in kept:
            again = Cache().get(job, request, KnobsReply if job == KNOBS else ScaleReply)
            assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(reply)
        return time.process_time() - started


if __name__ == "__main__":
    main()
