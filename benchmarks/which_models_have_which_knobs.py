"""Which models have which knobs, and why the others have none.

For models of timm, torchvision, transformers and diffusers, the knobs are found and turned: width
by 0.5, 0.75, 1.25, 1.5 and 2, depth by 0.5, 1.5 and 2, resolution by 0.75, 1.25 and 1.5. An axis is
ok if every factor builds and runs on the meta device and its FLOPs rise with the factor, but that
two factors may give the same model: stages of one block cannot shrink, and sizes stay on the grid
that the model runs on. Width ×2 also moves at least 90 % of the channel axes by the factor, up to
10 % or one step of 8 channels, to which models round by themselves. Channel axes are inputs and
outputs of layers, without the model's own input and its classes, positions (which move with the
resolution, or cost the same for any batch), and sizes under 24, which are counts of heads or
bottlenecks of gates.

Writes ``docs/knobs-coverage.md``; arguments name models instead of the sets, and then nothing is
written. ``--again timm`` (or ``torchvision``, ``transformers``, ``diffusers``) replaces one table
there and leaves the others as they are. ``--entrypoints 3600`` goes through all models that timm
registers instead, in random order for as many seconds, and writes
``docs/knobs-coverage-entrypoints.md``; ``--seed 1`` draws another order. Seconds of a model are
processor time, which other work beside it changes little; it may take four minutes of it.
"""

import argparse
import math
import os
import random
import signal
import time
from collections import defaultdict
from pathlib import Path

import timm
from msgspec.structs import replace
from torch import Tensor, nn
from torchvision import models as torchvision_models

from scaleprof.costs import count_module
from scaleprof.errors import ScaleprofError
from scaleprof.jobs._count import model_inputs
from scaleprof.knobs import Knobs, find_knobs, resolve_factors
from scaleprof.models import (
    ConstructorCall,
    build_module,
    call_of,
    parse_reference,
    resolve_model,
)
from scaleprof.records import Variant

FACTORS = {
    "width": (0.5, 0.75, 1.25, 1.5, 2.0),
    "depth": (0.5, 1.5, 2.0),
    "resolution": (0.75, 1.25, 1.5),
}
MIN_MOVED = 0.9
TOLERANCE = 0.1
STEP = 8
MIN_CHANNELS = 24
# of ImageNet, its larger sets and their kin
CLASSES = (1000, 21841, 21843, 11821)
# rounding to multiples of 8 matters least at the largest factor, and none is lost in small layers
CHECKED_FACTOR = 2.0
SECONDS_PER_MODEL = 240
HEAD = "| model | finding, CPU s | width | depth | resolution |\n|---|--:|---|---|---|"
TABLE = Path(__file__).parents[1] / "docs" / "knobs-coverage.md"


def timm_models() -> list[str]:
    """The first model of every module, by name."""
    by_module = defaultdict(list)
    for name in sorted(timm.list_models()):
        by_module[timm.models.model_entrypoint(name).__module__].append(name)
    return [f"timm:{names[0]}" for names in by_module.values()]


def torchvision_classifiers() -> list[str]:
    return [f"torchvision:{n}" for n in torchvision_models.list_models(torchvision_models)]


TRANSFORMERS = (
    # images and video
    "ViT DeiT Dinov2 Swin Swinv2 ConvNextV2 ResNet Segformer MobileViT Detr VideoMAE "
    # texts
    "Bert Roberta DistilBert Albert DebertaV2 GPT2 Llama Qwen2 T5 Bart Mamba "
    # sound, and pairs of kinds
    "Whisper Wav2Vec2 Hubert AST CLIP Siglip Blip Clap"
).split()
DIFFUSERS = (
    "UNet2DModel UNet2DConditionModel AutoencoderKL DiTTransformer2DModel SD3Transformer2DModel"
).split()


def main() -> None:
    asked = arguments()
    if asked.entrypoints is not None:
        every_entrypoint(asked.entrypoints, asked.seed)
        return
    if asked.again:
        again(asked.again)
        return
    if asked.models:
        for name in asked.models:
            print(row(name, *check(name)))
        return
    for title, names in sets().items():
        # written after each set, so that an interrupted run keeps what it has
        put_section(section(title, names))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", help="print the rows of these alone")
    parser.add_argument("--again", metavar="SOURCE", help="replace one table of the sets")
    parser.add_argument("--entrypoints", type=float, metavar="SECONDS", help="of timm, a sample")
    parser.add_argument("--seed", type=int, default=0, help="of the sample's order")
    return parser.parse_args()


def sets() -> dict[str, list[str]]:
    """Names of the models of every table, by its title."""
    return {
        "timm, one model of every module": timm_models(),
        "torchvision, all classifiers": torchvision_classifiers(),
        "transformers, by configuration class": [f"hf:{name}Config" for name in TRANSFORMERS],
        "diffusers": [f"diffusers:{name}" for name in DIFFUSERS],
    }


def again(source: str) -> None:
    """Replace the table of one source."""
    (title,) = (title for title in sets() if title.startswith(source))
    put_section(section(title, sets()[title]))


def put_section(new: str) -> None:
    """Write a section of the document in place of the one of its title, or behind the others."""
    old = TABLE.read_text().rstrip("\n").split("\n\n## ")[1:] if TABLE.exists() else []
    parts = {part.split("\n")[0]: part for part in (*old, new.removeprefix("## "))}
    head = f"# Which models have which knobs\n\n{__doc__.split(chr(10) * 2)[1]}"
    TABLE.write_text("\n\n## ".join([head, *parts.values()]) + "\n")


def every_entrypoint(seconds: float, seed: int) -> None:
    """As many of timm's models as there is time for, in random order: some stand for all."""
    names = [f"timm:{name}" for name in timm.list_models()]
    random.Random(seed).shuffle(names)
    command = f"--entrypoints {seconds:g} --seed {seed}"
    deadline, rows, results = time.monotonic() + seconds, [], []
    for name in names:
        if time.monotonic() > deadline:
            break
        taken, status = check(name)
        results.append(status)
        if not all(cell.startswith("ok") for cell in status.values()):
            rows.append(row(name, taken, status))
            print(rows[-1], flush=True)
        if len(results) % 20 == 0:
            print(summary(results), flush=True)
            write_entrypoints(results, rows, len(names), command)
    write_entrypoints(results, rows, len(names), command)


def write_entrypoints(
    results: list[dict[str, str]], rows: list[str], total: int, command: str
) -> None:
    text = (
        f"# Knobs of timm's registered models\n\n{len(results)} of {total} models, drawn at random "
        f"(`benchmarks/{Path(__file__).name} {command}`); see\n"
        "[knobs-coverage.md](knobs-coverage.md) for what is tried.\n\n"
        f"{summary(results)} {of_all(len(results) - len(rows), len(results))}\n\n"
    )
    failing = "\n".join(["Those that are not ok in all three:\n", HEAD, *rows])
    text += failing if rows else "None of them lacks an axis."
    TABLE.with_name("knobs-coverage-entrypoints.md").write_text(text + "\n")


def of_all(good: int, total: int) -> str:
    """What a sample says of all: the lower end of a one-sided 95 % interval (Wilson, 1927)."""
    share, z = good / total, 1.645
    spread = z * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    least = (share + z**2 / (2 * total) - spread) / (1 + z**2 / total)
    return f"Of all models, all three are then ok for at least {least:.1%} (95 % confidence)."


def summary(results: list[dict[str, str]]) -> str:
    ok = {axis: sum(s[axis].startswith("ok") for s in results) for axis in FACTORS}
    ok["all three"] = sum(all(s[a].startswith("ok") for a in FACTORS) for s in results)
    counts = ", ".join(f"{axis} {n} ({n / len(results):.1%})" for axis, n in ok.items())
    return f"{len(results)} models: {counts}."


def section(title: str, names: list[str]) -> str:
    rows, results, started = [], [], time.process_time()
    for name in names:
        seconds, status = check(name)
        results.append(status)
        rows.append(row(name, seconds, status))
        print(rows[-1], flush=True)
    took = (time.process_time() - started) / len(names)
    # of the last 15 minutes, this run among it
    busy = ", other work beside it" if os.getloadavg()[2] > 1.5 else ""
    counts = f"{summary(results)} {took:.1f} CPU s a model, checks included{busy}."
    print(counts, flush=True)
    return "\n".join([f"## {title}\n\n{counts}\n", HEAD, *rows])


def row(name: str, seconds: float, status: dict[str, str]) -> str:
    cells = (" ".join(status[axis].replace("|", "/").split()) for axis in FACTORS)
    return f"| {name} | {seconds:.1f} | {' | '.join(cells)} |"


def check(name: str) -> tuple[float, dict[str, str]]:
    """Seconds that finding took, and by axis ok with its arguments, or what is wrong."""
    started = time.process_time()
    signal.signal(signal.SIGPROF, _give_up)
    signal.setitimer(signal.ITIMER_PROF, SECONDS_PER_MODEL)
    try:
        reference = parse_reference(name)
        resolved = resolve_model(reference)
        knobs = find_knobs(name, resolved, model_inputs(reference, resolved, (), 1))
        seconds = time.process_time() - started
        return seconds, {axis: check_axis(knobs, axis) for axis in FACTORS}
    except (Exception, OutOfTimeError) as error:  # any model may fail; the table says how
        why = f"**failed**: {type(error).__name__}: {str(error)[:120]}"
        return time.process_time() - started, dict.fromkeys(FACTORS, why)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


class OutOfTimeError(BaseException):
    """Passes through what tries variants and takes any exception for the answer of one."""


def _give_up(*_: object) -> None:
    raise OutOfTimeError(f"more than {SECONDS_PER_MODEL} s of processor time")


def check_axis(knobs: Knobs, axis: str) -> str:
    found = knobs.axes[axis]
    if found.status == "none":
        return f"**none**: {found.reason}"
    names = ", ".join(f"`{name}`" for name in found.arguments)
    by = f"{names} (own builder)" if "own builder" in str(found.how) else names
    wrong = problems(knobs, axis)
    note = f" ({found.reason})" if found.reason else ""
    return f"**partial** {by}: {wrong}{note}" if wrong else f"ok {by}{note}"


def problems(knobs: Knobs, axis: str) -> str | None:
    previous, at = 0, 0.0
    for factor in sorted((*FACTORS[axis], 1.0)):
        try:
            variant = resolve_factors(knobs, **{axis: factor})
        except ScaleprofError as error:
            return f"×{factor}: {error}"
        achieved = variant.recipe.achieved[axis]
        # stages of one block cannot shrink, and sizes stay on a grid
        same = achieved == at and axis != "width"
        if variant.cost.macs <= previous and not same:
            return f"×{factor}: FLOPs do not rise"
        previous, at = variant.cost.macs, achieved
        if axis == "width" and factor == CHECKED_FACTOR:
            moved = share_moved(knobs, variant, factor)
            if moved < MIN_MOVED:
                return f"×{factor}: {moved:.0%} of channel axes move by it"
    step = knobs.axes[axis].step
    if axis == "resolution" and step and 2 * step > knobs.inputs[0].shape[-1]:
        return "no smaller size"
    return None


def share_moved(knobs: Knobs, variant: Variant, factor: float) -> float:
    """Share of the channel axes that moved by the factor, up to a tolerance."""
    new, not_channels = shapes(call_of(variant.recipe)), sizes_of_positions(knobs)
    fixed = {knobs.inputs[0].shape[1], *CLASSES}
    good = total = 0
    for name, shape in shapes(knobs.call).items():
        for i, size in enumerate(shape[:2]):
            if size < MIN_CHANNELS or size in fixed or name not in new or (name, i) in not_channels:
                continue
            total += 1
            tolerance = max(TOLERANCE * factor * size, STEP)
            good += abs(new[name][i] - factor * size) <= tolerance
    return good / total if total else 0.0


def _has_channels(module: nn.Module) -> bool:
    """Tell a layer between channels: not a table, whatever its class is called."""
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() > 1 and not isinstance(module, nn.Embedding)


def sizes_of_positions(knobs: Knobs) -> set[tuple[str, int]]:
    """Axes of layers that are no channels: positions, and layers that compute from these alone.

    The former move with the resolution; the latter's work does not grow with the batch.
    """
    base, found = shapes(knobs.call), set()
    if knobs.axes["resolution"].status != "none":
        larger = shapes(call_of(resolve_factors(knobs, resolution=2.0).recipe))
        found |= {(n, i) for n, s in base.items() for i in (0, 1) if larger.get(n, s)[i] != s[i]}
    once, twice = (work(knobs, batch) for batch in (1, 2))
    return found | {(n, i) for n in base for i in (0, 1) if once.get(n) == twice.get(n)}


def work(knobs: Knobs, batch: int) -> dict[str, int]:
    """MACs of every module for a batch."""
    inputs = [replace(spec, shape=(batch, *spec.shape[1:])) for spec in knobs.inputs]
    module = build_module(knobs.call, meta=True)
    return {m.path: m.macs for m in count_module(module, inputs, module_depth=99).modules or ()}


def shapes(call: ConstructorCall) -> dict[str, tuple[int, ...]]:
    modules = build_module(call, meta=True).named_modules()
    return {name: tuple(module.weight.shape) for name, module in modules if _has_channels(module)}


if __name__ == "__main__":
    main()
