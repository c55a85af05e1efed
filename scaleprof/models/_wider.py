"""Calls of `scaleprof.models.scaled.build_scaled`, around the call that they scale."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ModelError
from ._calls import ConstructorCall

CONSTANTS = "constants"
"""Name of the argument of `build_scaled` that holds numbers in the code of constructors."""

BUILD_SCALED = "scaleprof.models.scaled:build_scaled"


def wider_call(
    call: ConstructorCall, width: float, *, inputs: int, outputs: int
) -> ConstructorCall:
    """Return a call that builds what another call builds, with wider layers."""
    return _wrapped(call, {"width": width, "inputs": inputs, "outputs": outputs})


def deeper_call(
    call: ConstructorCall, depth: float, blocks: Sequence[str] | None = None
) -> ConstructorCall:
    """Return a call that builds what another call builds, with blocks repeated.

    A call that is of `build_scaled` already is told so, and not wrapped again.

    Args:
        call: The other call.
        depth: Factor of the number of blocks.
        blocks: Which blocks; None for those that stand in rows of equals.
    """
    named = {} if blocks is None else {"blocks": list(blocks)}
    settings = {"depth": depth, **named}
    return call.override(settings) if call.target == BUILD_SCALED else _wrapped(call, settings)


def call_with_constants(call: ConstructorCall, constants: Mapping[str, Any]) -> ConstructorCall:
    """Return a call that builds what another call builds, with other numbers in constructors."""
    return _wrapped(call, {CONSTANTS: dict(constants)})


def _wrapped(call: ConstructorCall, settings: dict[str, Any]) -> ConstructorCall:
    arguments = {
        "builder": call.target,
        **settings,
        **({"arguments": call.arguments} if call.arguments else {}),
    }
    inside = (f"arguments.{path}" for path in call.callables)
    return ConstructorCall(target=BUILD_SCALED, arguments=arguments, callables=("builder", *inside))


def inner_call(call: ConstructorCall) -> ConstructorCall:
    """Return the call that a call of `build_scaled` makes.

    Raises:
        ModelError: If it is not of the form that `wider_call` gives.
    """
    builder, arguments = call.arguments.get("builder"), call.arguments.get("arguments", {})
    settings = {"width", "depth", "blocks", "inputs", "outputs", CONSTANTS}
    known = {"builder", "arguments", *settings}
    if (
        not isinstance(builder, str)
        or "builder" not in call.callables
        or not isinstance(arguments, dict)
        or call.arguments.keys() - known
        # whoever checks the inner call sees no other paths
        or any(path != "builder" and not path.startswith("arguments.") for path in call.callables)
    ):
        raise ModelError(
            f"`{call.target}` is not called without your consent: "
            "its arguments are not of the form that scaleprof writes"
        )
    callables = tuple(
        path.removeprefix("arguments.") for path in call.callables if path != "builder"
    )
    return ConstructorCall(target=builder, arguments=arguments, callables=callables)
