"""Does the gate call the same thing the same, a slower one slower, and nothing wrongly under load?

For each model, worker processes are measured in pairs: the model as it is (A), and slowed down by
10 % (B), in random order (the system may give every other process the slower core), without and
with another process that loads one core half of the time. Reports of `PROCESSES` processes are put
together from them at random, and held against each other as ``scaleprof check --gate
latency.p50:+5%`` does:

- A against A: a fail is a false alarm; at most 1 % of pairs without and with load.
- A against A without load: at least 90 % are decided.
- B against A: a pass is wrong; without load at least 95 % are called, with load none passes.

Beside it: how far reported medians of fresh reports are apart, and means of 40 runs after 10 (as
timm's benchmark.py takes them) in as many fresh processes of the same minutes.

Usage: ``are_verdicts_right.py [MODEL...] [--processes N]``; N processes of each kind are measured.
"""

import argparse
import contextlib
import math
import os
import random
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scaleprof import check
from scaleprof.errors import GateError
from scaleprof.jobs import COUNT, MEASURE, CountRequest, MeasureReply, MeasureRequest
from scaleprof.models import parse_inputs, parse_reference, resolve_model
from scaleprof.profiler._bench import RULE, pool
from scaleprof.profiler._crew import Crew
from scaleprof.records import Base, Context, CountedModel, Device, Recipe, Report, Variant, replace
from scaleprof.workers import expect

MODELS = ("resnet18", "mobilenetv3_small_100", "vit_tiny_patch16_224")
PROCESSES = 10
PAIRS = 200
SLOWDOWN = 0.10
GATE = "latency.p50:+5%"
SLOWED = f"{Path(__file__).with_name('slowed.py')}:Slowed"

_MEANS_IN_A_ROW = 5
_MEAN_OF_40 = """
import sys, time, timm, torch
model = timm.create_model(sys.argv[1]).eval(); x = torch.randn(1, 3, 224, 224)
with torch.inference_mode():
    for _ in range(10): model(x)
    began = time.perf_counter()
    for _ in range(40): model(x)
print((time.perf_counter() - began) / 40)
"""
_HALF_A_CORE = """
import time
while True:
    until = time.perf_counter() + 0.05
    while time.perf_counter() < until: pass
    time.sleep(0.05)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--processes", type=int, default=24)
    given = parser.parse_args()
    print(
        "| model | load | pairs | verdicts | pass | fail | inconclusive "
        "| decided without the yardstick |"
    )
    print("|---|---|---|---|--:|--:|--:|--:|")
    wrong: list[str] = []
    for model in given.models:
        for loaded in (False, True):
            with half_a_core() if loaded else contextlib.nullcontext():
                same, slower, means = measured(model, given.processes, means=not loaded)
            print(f"processes, ms: A {milliseconds(same)}; B {milliseconds(slower)}", flush=True)
            wrong += judged(model, same, slower, loaded=loaded)
            if not loaded:
                spreads(model, same, means)
    assert not wrong, "; ".join(wrong)


def milliseconds(replies: list[MeasureReply]) -> str:
    """The median of each process, and the yardstick's; in parentheses where others disturbed it."""
    found = [
        (statistics.median(reply.samples.samples), reply.samples.yardstick or math.nan, reply)
        for reply in replies
    ]
    texts = [
        (f"{1e3 * model:.3g}/{1e3 * host:.3g}", reply.contended) for model, host, reply in found
    ]
    return " ".join(f"({text})" if disturbed else text for text, disturbed in texts)


@contextlib.contextmanager
def half_a_core() -> Iterator[None]:
    """Keep one core busy half of the time."""
    process = subprocess.Popen([sys.executable, "-c", _HALF_A_CORE])
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def measured(
    model: str, count: int, *, means: bool
) -> tuple[list[MeasureReply], list[MeasureReply], list[float]]:
    """So many processes of a model and of it slowed down, in pairs; means of 40 runs among them."""
    slowed = f"{SLOWED}(name='{model}', share={SLOWDOWN})"
    same: list[MeasureReply] = []
    slower: list[MeasureReply] = []
    mean: list[float] = []
    order = random.Random(0)
    with Crew(["timm"], device="cpu") as crew:
        for i in range(1, count + 1):
            pair = [(same, f"timm:{model}"), (slower, slowed)]
            for replies, reference in order.sample(pair, len(pair)):
                replies.append(one(crew, reference))
            # several in a row: what comes right after such a process can be slower than usual, and
            # that must not happen to every A and to no B
            if means and (i % _MEANS_IN_A_ROW == 0 or i == count):
                mean += [mean_of_40(model) for _ in range(len(same) - len(mean))]
    return same, slower, mean


def mean_of_40(model: str) -> float:
    """What a process as timm's benchmark.py measures."""
    command = [sys.executable, "-c", _MEAN_OF_40, model]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def one(crew: Crew, model: str) -> MeasureReply:
    """What one fresh process measures."""
    resolved = resolve_model(parse_reference(model))
    request = MeasureRequest(
        call=resolved.call,
        inputs=parse_inputs(["3x224x224"], batch=1),
        dtype="float32",
        device="cpu",
        channels_last=False,
        rule=RULE,
    )
    return expect(crew.measure(MEASURE, request, MeasureReply), model)


def judged(
    model: str, same: list[MeasureReply], slower: list[MeasureReply], *, loaded: bool
) -> list[str]:
    """Print how often each verdict came, and return what is wrong with them."""
    draw = random.Random(0)
    load = "half a core" if loaded else "none"
    wrong = []
    for name, others in (("A/A", same), ("A/B", slower)):
        drawn = [draw_pair(draw, same, others, aa=name == "A/A") for _ in range(PAIRS)]
        verdicts = [verdict(*pair, model) for pair in drawn]
        untold = [verdict(*map(without_yardstick, pair), model) for pair in drawn]
        share = {v: verdicts.count(v) / PAIRS for v in ("pass", "fail", "inconclusive")}
        cells = " | ".join(f"{share[v]:.1%}" for v in share)
        before = 1 - untold.count("inconclusive") / PAIRS
        print(f"| {model} | {load} | {name} | {PAIRS} | {cells} | {before:.1%} |", flush=True)
        mistakes = share["fail"] if name == "A/A" else share["pass"]
        if mistakes > (0.01 if name == "A/A" or not loaded else 0.0):
            wrong.append(f"{model}, load {load}, {name}: {mistakes:.1%} wrong")
        decided = 1 - share["inconclusive"]
        if not loaded and decided < (0.90 if name == "A/A" else 0.95):
            wrong.append(f"{model}, {name}: only {decided:.1%} decided")
    return wrong


def draw_pair(
    draw: random.Random, before: list[MeasureReply], after: list[MeasureReply], *, aa: bool
) -> tuple[list[MeasureReply], list[MeasureReply]]:
    """Processes of two reports, drawn without replacement."""
    if aa:
        drawn = draw.sample(before, 2 * PROCESSES)
        return drawn[:PROCESSES], drawn[PROCESSES:]
    return draw.sample(before, PROCESSES), draw.sample(after, PROCESSES)


def without_yardstick(replies: list[MeasureReply]) -> list[MeasureReply]:
    """The same processes, as if they had timed nothing but the model."""
    return [replace(r, samples=replace(r.samples, yardstick_s=())) for r in replies]


def verdict(first: list[MeasureReply], second: list[MeasureReply], model: str) -> str:
    """The gate's verdict on two reports."""
    try:
        return check(report(model, second), baseline=report(model, first), gates=[GATE]).verdict
    except GateError:
        # the processes differ so much that no number of them would tell 5 %
        return "inconclusive"


_COSTS: dict[str, CountedModel] = {}


def report(model: str, replies: list[MeasureReply]) -> Report:
    """A report of the base alone."""
    if model not in _COSTS:
        with Crew(["timm"]) as crew:
            reference = parse_reference(f"timm:{model}")
            request = CountRequest(reference=reference)
            _COSTS[model] = crew.count(COUNT, request, CountedModel, model)
    ones = {"width": 1.0}
    recipe = Recipe(
        strategy="base", multiplier=1.0, nominal=ones, achieved=ones, target=model,
        arguments={}, imports=(), call=model,
    )  # fmt: skip
    base = Variant(id="base", recipe=recipe, cost=_COSTS[model])
    base = Variant(id="base", recipe=recipe, cost=base.cost, measurement=pool(base, replies, "cpu"))
    device = Device(type="cpu", index=None, name="", memory_bytes=None, cores=None, driver=None)
    context = Context(
        device=device, versions={}, platform="", flags={}, dtype="float32", layout="nchw",
        mode="eager", batch=1, command=None, started_at="", elapsed_s=0.0, git_commit=None,
        load=None,
    )  # fmt: skip
    return Report(context=context, base=Base(model=model), axes={}, variants=(base,))


def spreads(model: str, same: list[MeasureReply], means: list[float]) -> None:
    """How far apart medians of reports are, and means of 40 runs of as many processes."""
    draw = random.Random(1)
    medians = []
    for _ in range(PAIRS):
        latency = report(model, draw.sample(same, PROCESSES)).variants[0].measurement
        assert latency is not None
        assert latency.latency_s is not None
        medians.append(latency.latency_s.p50)
    ours, theirs = (max(v) / min(v) - 1 for v in (medians, means))
    deviation = statistics.stdev(medians) / statistics.mean(medians)
    other = statistics.stdev(means) / statistics.mean(means)
    print(
        f"{model}: reported medians deviate by {deviation:.2%} (range {ours:.1%}), means of 40 "
        f"runs by {other:.2%} (range {theirs:.1%}) over {len(means)} processes",
        flush=True,
    )


if __name__ == "__main__":
    main()
