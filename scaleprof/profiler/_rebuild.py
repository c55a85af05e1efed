"""Build a variant from a report: by its target and arguments, never by its printed call."""

from typing import TYPE_CHECKING

from ..errors import ReportError
from ..jobs import BUILD, BuildRequest
from ..models import ConstructorCall, build_module, call_of
from ..records import Cost, Report, Variant
from ._crew import Crew

if TYPE_CHECKING:
    from torch import nn


def find_variant(report: Report, variant_id: str | None) -> Variant:
    """Return a variant of a report: the one that is named, or else the selected one.

    Raises:
        ReportError: If there is no such variant, or nothing was selected.
    """
    if variant_id is None:
        if report.selection is None:
            raise ReportError(
                "the report has no selection to build",
                hint="name a variant (--variant base), or select one with scaleprof select",
            )
        variant_id = report.selection.variant
    try:
        return report.variant(variant_id)
    except KeyError:
        known = ", ".join(variant.id for variant in report.variants[:6])
        raise ReportError(
            f"the report has no variant `{variant_id}`", hint=f"it has {known}, …"
        ) from None


def build_variant(variant: Variant, *, trust: bool) -> "nn.Module":
    """Build a variant's module on the CPU, with fresh weights.

    Raises:
        ModelError: If its call is not trusted, or does not return a module.
    """
    return build_module(call_of(variant.recipe), trust=trust)


def check_builds(variant: Variant, *, trust: bool) -> Cost:
    """Build a variant in a worker without data, and count it.

    Raises:
        ScaleprofError: If its call is not trusted or fails.
    """
    call: ConstructorCall = call_of(variant.recipe)
    library = call.target.partition(":")[0].partition(".")[0]
    request = BuildRequest(call=call, inputs=variant.cost.inputs, trust=trust)
    preload = [library] if library in ("timm", "torchvision") else []
    with Crew(preload) as crew:
        return crew.count(BUILD, request, Cost, f"`{call.target}`")
