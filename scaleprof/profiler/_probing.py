"""Find the knobs of a model, for every command that scales one."""

from collections.abc import Sequence

from ..errors import ModelError, ScaleprofError
from ..jobs import COUNT, KNOBS, CountRequest, KnobsReply, KnobsRequest
from ..models import parse_inputs, parse_reference
from ..records import CountedModel
from ..workers import Failure, failure_error
from ._crew import Crew
from ._options import check_count_options


def knobs_request(model: str, *, inputs: Sequence[str], batch: int, dtype: str) -> KnobsRequest:
    """Return what is asked of a worker to find the knobs of a model.

    Raises:
        ScaleprofError: If the reference, an input or an option is wrong.
    """
    check_count_options(batch=batch, dtype=dtype, module_depth=None, against=None)
    return KnobsRequest(
        reference=parse_reference(model),
        inputs=parse_inputs(inputs, batch=batch),
        batch=batch,
        dtype=dtype,
    )


def probe_knobs(crew: Crew, request: KnobsRequest) -> KnobsReply:
    """Find the knobs of a model in a worker, or take those that were found before.

    Raises:
        ScaleprofError: If there is no such model, or it fails to build or to run on the input.
    """
    outcome = crew.probe(KNOBS, request, KnobsReply, lambda reply: reply.sources)
    if isinstance(outcome, Failure):
        raise _probing_failed(crew, request, outcome)
    return outcome.reply


def _probing_failed(crew: Crew, request: KnobsRequest, failure: Failure) -> ScaleprofError:
    """Tell a model that does not work from one that works until its arguments are changed."""
    text = request.reference.text
    base = CountRequest(
        reference=request.reference,
        inputs=request.inputs,
        batch=request.batch,
        dtype=request.dtype,
    )
    conclusive = failure.status in ("raised", "timed_out")
    if conclusive or isinstance(crew.try_count(COUNT, base, CountedModel), Failure):
        return failure_error(failure, f"`{text}`")
    return ModelError(
        f"`{text}` builds and runs, but {failure.reason} when its arguments are changed",
        hint="its constructor must raise an error for values that it does not take",
    )
