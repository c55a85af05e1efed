"""Costs by module of the variants that people look at: the base and the choice."""

from collections.abc import Mapping
from contextlib import suppress

from ..jobs import BUILD, BuildRequest
from ..models import call_of
from ..records import Cost, Variant, replace
from ..workers import Done
from ._crew import Crew

# deep enough for the blocks of `bert.encoder.layer.0` and of `stages.0.blocks.0`
MODULE_DEPTH = 4


def with_modules(
    crew: Crew, variants: Mapping[str, Variant], chosen: str | None, *, dtype: str
) -> dict[str, Variant]:
    """Return the base and the choice with costs by module, where their count can be repeated.

    Args:
        crew: Who counts.
        variants: Variants by identifier.
        chosen: Identifier of the choice; None if there is none.
        dtype: Floating-point type of their weights.
    """
    found = {}
    # whoever ends the job here has all the measurements already, and keeps them
    with suppress(KeyboardInterrupt):
        for identifier in dict.fromkeys(("base", chosen or "base")):
            variant = variants[identifier]
            cost = _by_module(crew, variant, dtype)
            if cost is not None and cost.macs == variant.cost.macs:
                counted = replace(variant.cost, modules=cost.modules)
                found[identifier] = replace(variant, cost=counted)
    return found


def _by_module(crew: Crew, variant: Variant, dtype: str) -> Cost | None:
    request = BuildRequest(
        call=call_of(variant.recipe),
        inputs=variant.cost.inputs,
        trust=True,
        dtype=dtype,
        module_depth=MODULE_DEPTH,
    )
    outcome = crew.try_count(BUILD, request, Cost)
    return outcome.reply if isinstance(outcome, Done) else None
