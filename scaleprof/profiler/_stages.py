"""Costs and times by module of the variants that people look at: the base and the choice."""

from collections.abc import Mapping
from contextlib import suppress

from ..jobs import BUILD, TIME_MODULES, BuildRequest, ModulesReply, ModulesRequest
from ..models import call_of
from ..records import LEAST_MODULE_SHARE, Cost, Variant, replace
from ..workers import Done
from ._bench import Bench
from ._crew import Crew

# deep enough for the blocks of `bert.encoder.layer.0` and of `stages.0.blocks.0`
MODULE_DEPTH = 4
# modules are timed in passes that take about a second in all, but so many at the least and most
_PASSES_S = 1.0
_FEWEST_PASSES, _MOST_PASSES = 5, 100


def with_modules(
    crew: Crew, bench: Bench, variants: Mapping[str, Variant], chosen: str | None, *, dtype: str
) -> dict[str, Variant]:
    """Return the base and the choice with costs and times by module, as far as they can be had.

    Args:
        crew: Who counts and times.
        bench: Says how variants were measured, and whether there is time.
        variants: Variants by identifier.
        chosen: Identifier of the choice; None if there is none.
        dtype: Floating-point type of their weights.
    """
    found: dict[str, Variant] = {}
    # whoever ends the job here has all the measurements already, and keeps them
    with suppress(KeyboardInterrupt):
        for identifier in dict.fromkeys(("base", chosen or "base")):
            found[identifier] = _counted(crew, variants[identifier], dtype)
            found[identifier] = _timed(crew, bench, found[identifier])
    return found


def _counted(crew: Crew, variant: Variant, dtype: str) -> Variant:
    """Return the variant with costs by module, where its count can be repeated."""
    request = BuildRequest(
        call=call_of(variant.recipe),
        inputs=variant.cost.inputs,
        trust=True,
        dtype=dtype,
        module_depth=MODULE_DEPTH,
    )
    outcome = crew.try_count(BUILD, request, Cost)
    if not isinstance(outcome, Done) or outcome.reply.macs != variant.cost.macs:
        return variant
    return replace(variant, cost=replace(variant.cost, modules=outcome.reply.modules))


def _timed(crew: Crew, bench: Bench, variant: Variant) -> Variant:
    """Return a variant that was measured with its times by module, or why there are none."""
    measured = variant.measurement
    if measured is None or measured.latency_s is None:
        return variant
    latency = measured.latency_s.p50
    found = _shares(crew, bench, variant, latency)
    if isinstance(found, str):
        known = replace(measured, reasons=measured.reasons | {"modules_s": found})
    else:
        times = {path: s * latency for path, s in found.items() if s >= LEAST_MODULE_SHARE}
        known = replace(measured, modules_s=times)
    return replace(variant, measurement=known)


def _shares(crew: Crew, bench: Bench, variant: Variant, latency: float) -> dict[str, float] | str:
    """Return the share of each module in a pass of a process of its own, or why it is unknown."""
    request = bench.request(variant, 0)
    if request.why_opaque is not None:
        return request.why_opaque
    if not bench.has_time_for(1):
        return "the time limit left no time for it"
    passes = min(max(round(_PASSES_S / latency), _FEWEST_PASSES), _MOST_PASSES)
    timing = ModulesRequest(variant=request, depth=MODULE_DEPTH, passes=passes)
    outcome = crew.measure(TIME_MODULES, timing, ModulesReply)
    if not isinstance(outcome, Done):
        return outcome.reason
    bench.add_model_s(outcome.reply.busy_s)
    return outcome.reply.shares
