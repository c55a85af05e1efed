"""Are patch and kernel sizes found wherever a constructor has them?

For one model of every module of timm, the arguments of the constructor that are patch sizes or
kernel sizes are compared with the axes that were found. An argument counts as a patch size by its
name, and as a kernel size by its name too, or whatever its name if two more taps change the kernels
of convolutions and neither their channels nor their strides. Sizes of one alone are left out: there
is no patch, and no neighbour to look at. An argument that was not found is tried at every size from
one to four times its own: where no other builds and runs, or none changes the counted MACs and
activations, it is no knob, is named here, and does not count. A model counts as found if one of its
arguments is.

Writes the last section of ``docs/knobs-coverage.md`` (about two minutes of processor time);
arguments name models instead, and then nothing is written.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from which_models_have_which_knobs import put_section, timm_models

from scaleprof.costs import count_module
from scaleprof.jobs._count import model_inputs
from scaleprof.knobs import Knobs, find_knobs
from scaleprof.knobs._groups import Group
from scaleprof.models import build_module, parse_reference, resolve_model
from scaleprof.records import Cost

GOAL = 0.95
PATCH = re.compile(r"patch(es|_?sizes?)?(\[\*\])*$")
KERNEL = re.compile(r"kernel")
# larger numbers are no taps
MAX_TAPS = 64
# sizes up to so many times that of the base are tried
REACH = 4
TITLES = {"patch_size": "patch size", "kernel_size": "kernel size"}
HEAD = "| model | size | argument | |\n|---|---|---|---|"


@dataclass(frozen=True, slots=True)
class Size:
    """One argument of a model that is a size.

    Attributes:
        model: The reference.
        axis: What the size is of, as the axis that it should be found in.
        argument: Its name.
        found: Whether it was found.
        other: Another size that works, for one that was not found; None if there is none.
        reason: Why it was not found.
    """

    model: str
    axis: str
    argument: str
    found: bool
    other: str | None = None
    reason: str | None = None

    @property
    def is_knob(self) -> bool:
        """Tell whether more than one size works."""
        return self.found or self.other is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", help="look at these alone")
    asked = parser.parse_args().models
    sizes = []
    for name in asked or timm_models():
        for size in sizes_of(name):
            sizes.append(size)
            print(row(size), flush=True)
    text = section(sizes)
    print(text)
    if not asked:
        put_section(text)
    for axis in TITLES:
        found, total = count(sizes, axis)
        assert found >= GOAL * total, f"{axis}: {found} of {total} models"


def sizes_of(name: str) -> Iterator[Size]:
    """The arguments of a model that are patch or kernel sizes."""
    reference = parse_reference(name)
    resolved = resolve_model(reference)
    knobs = find_knobs(name, resolved, model_inputs(reference, resolved, (), 1))
    for group in knobs.groups.values():
        axis = axis_of(knobs, group)
        if axis is None:
            continue
        if group.name in knobs.axes[axis].arguments:
            yield Size(name, axis, group.name, found=True)
        else:
            other, reason = other_size(knobs, group)
            why = reason or knobs.axes[axis].reason or "left out of the axis"
            yield Size(name, axis, group.name, found=False, other=other, reason=why)


def axis_of(knobs: Knobs, group: Group) -> str | None:
    """What an argument is a size of; None for what is none."""
    whole = all(isinstance(value, int) and value >= 0 for value in group.values)
    if group.kind != "values" or not whole or not 1 < max(group.values) <= MAX_TAPS:
        return None
    if PATCH.search(group.name):
        return "patch_size"
    return "kernel_size" if KERNEL.search(group.name) or moves_taps(knobs, group) else None


def moves_taps(knobs: Knobs, group: Group) -> bool:
    """Tell whether more taps change convolutions' kernels, at the same channels and strides."""
    old, new = convolutions(knobs, group, 0), convolutions(knobs, group, 2)
    common = [(old[path], new[path]) for path in old if path in new]
    others_stay = all(a[:2] == b[:2] for a, b in common)
    return others_stay and any(a[2] != b[2] for a, b in common)


def convolutions(knobs: Knobs, group: Group, more: int) -> dict[str, tuple[object, ...]]:
    """Channels, stride and kernel of convolutions at other sizes; none if it does not build."""
    try:
        module = build_module(knobs.turned({group.name: shifted(group, more)}), meta=True)
    except Exception:  # a constructor may refuse a value in any way it likes
        return {}
    return {
        path: (tuple(layer.weight.shape[:2]), layer.stride, layer.kernel_size)
        for path, layer in module.named_modules()
        if isinstance(getattr(layer, "weight", None), Tensor) and hasattr(layer, "kernel_size")
    }


def shifted(group: Group, more: int) -> list[int]:
    return [max(int(value) + more, 1) if value > 1 else int(value) for value in group.values]


def other_size(knobs: Knobs, group: Group) -> tuple[str | None, str | None]:
    """Another size that builds, runs and does other work, or why there is none."""
    largest = int(max(group.values))
    idle, error = False, ""
    for more in sorted(range(1 - largest, (REACH - 1) * largest + 1), key=abs):
        try:
            module = build_module(knobs.turned({group.name: shifted(group, more)}), meta=True)
            cost = count_module(module, knobs.inputs)
        except Exception as why:  # nor need a forward pass work that its constructor let through
            error = f"{type(why).__name__}: {why}"
            continue
        if work(cost) != work(knobs.cost):
            return str(largest + more), None
        idle = idle or more != 0
    if idle:
        return None, f"no size from 1 to {REACH * largest} changes what is counted"
    return None, f"no other size from 1 to {REACH * largest} runs ({error.splitlines()[0]})"


def work(cost: Cost) -> tuple[int, int]:
    return cost.macs, cost.activations


def count(sizes: Sequence[Size], axis: str) -> tuple[int, int]:
    """Models with the size, and those of them in which it was found."""
    having = {size.model for size in sizes if size.axis == axis and size.is_knob}
    found = {size.model for size in sizes if size.axis == axis and size.found}
    return len(found), len(having)


def section(sizes: Sequence[Size]) -> str:
    lines = ["## Patch and kernel sizes", "", __doc__.split("\n\n")[1], ""]
    for axis, title in TITLES.items():
        found, total = count(sizes, axis)
        knobs = [size for size in sizes if size.axis == axis and size.is_knob]
        lines.append(
            f"- {title}: found in {found} of {total} timm models that have one "
            f"({found / max(total, 1):.0%}); {sum(size.found for size in knobs)} of "
            f"{len(knobs)} arguments."
        )
    rest = [row(size) for size in sizes if not size.found]
    text = "\n".join([*lines, "", f"`benchmarks/{Path(__file__).name}`. Not found, or no knob:"])
    return "\n".join([text, "", HEAD, *rest]) if rest else text


def row(size: Size) -> str:
    if size.found:
        verdict = "found"
    elif size.is_knob:
        verdict = f"**missed**, though {size.other} works: {size.reason}"
    else:
        verdict = f"no knob: {size.reason}"
    cells = (size.model, TITLES[size.axis], f"`{size.argument}`", verdict)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


if __name__ == "__main__":
    main()
