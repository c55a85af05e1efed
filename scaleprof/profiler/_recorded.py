"""What a report says of the job that made it, as data: its conditions, its calls and its costs.

A report may come from anywhere, and a constructor may do anything with a text, a flag or a name.
With another number where it takes a number anyway, it builds a model of another size.
"""

from typing import Any

import msgspec

from ..jobs import KnobsReply
from ..models import ConstructorCall
from ..records import Cost, InputSpec, Recipe, Report, Variant
from ._options import Options, check_options

# what two counts of the same code have in common; not every variant is counted by module
_COUNTED = (
    "graph", "inputs", "params", "weight_bytes", "macs", "activations", "activation_bytes",
    "traffic_bytes", "peak_bytes", "operators",
)  # fmt: skip
# no size of a model is larger, and no list of sizes longer
_LARGEST = 2**31
_MOST = 1000


def options_of(report: Report, time_limit_s: float) -> Options:
    """Return the conditions that a report says it was recorded under."""
    context, device = report.context, report.context.device
    options = Options(
        device=device.type if device.index is None else f"{device.type}:{device.index}",
        dtype=context.dtype,
        batch=context.batch,
        layout=context.layout,
        mode=context.mode,
        step=context.step,
        kernels=context.kernels,
        inputs=tuple(as_text(s, context.dtype) for s in report.variant("base").cost.inputs),
        time_limit_s=time_limit_s,
    )
    check_options(options)
    return options


def as_text(spec: InputSpec, dtype: str) -> str:
    """Return an input as users write it, which is then read with as much suspicion."""
    name = f"{spec.name}=" if spec.name else ""
    kind = "" if spec.dtype in ("float32", dtype) else f"{spec.dtype}:"
    high = "" if spec.high is None else f"<{spec.high}"
    return f"{name}{kind}{'x'.join(map(str, spec.shape[1:]))}{high}"


def call_with_numbers(knobs: KnobsReply, recipe: Recipe) -> ConstructorCall | None:
    """Return the call of the user's model with the numbers of a recipe.

    Args:
        knobs: What is known of the user's model.
        recipe: A recipe of a report.

    Returns:
        None if the recipe calls something else, or differs from the user's call in anything but
        numbers, and lists of numbers, in the place of such.
    """
    if recipe.target != knobs.call.target:
        return None
    new = {
        name: value
        for name, value in recipe.arguments.items()
        if value != knobs.call.arguments.get(name)
    }
    if all(name in knobs.arguments for name in new) and all(
        _numbers(value) and _numbers(knobs.arguments[name]) for name, value in new.items()
    ):
        return knobs.call.override(new)
    return None


def _numbers(value: Any) -> bool:
    """Tell a number, or nested lists of not too many, none of them beyond any size."""
    left, seen = [value], 0
    while left:
        item = left.pop()
        seen += 1
        if isinstance(item, list | tuple):
            left += item
        elif (
            isinstance(item, bool)
            or not isinstance(item, int | float)
            or not -_LARGEST <= item <= _LARGEST
        ):
            return False
        if seen + len(left) > _MOST:
            return False
    return True


def changed_code(recorded: Variant, found: Variant) -> list[str]:
    """Say in what a variant of a report differs from what the user's code gives now.

    Args:
        recorded: The variant as the report has it.
        found: The variant as it was found here, which is what would be measured.

    Returns:
        Counted quantities, and ``constructor call``; nothing if they are the same.
    """
    then, now = recorded.cost, found.cost
    names = [name for name in _COUNTED if _value(then, name) not in (None, _value(now, name))]
    changed = [name.replace("_", " ") for name in names]
    if _call(recorded.recipe) != _call(found.recipe):
        changed.append("constructor call")
    return changed


def _value(cost: Cost, name: str) -> object:
    value: object = getattr(cost, name)
    return value


def _call(recipe: Recipe) -> bytes:
    """A recipe's call as a report would hold it."""
    return msgspec.json.encode(
        (recipe.target, recipe.arguments, sorted(recipe.callables)), order="sorted"
    )
