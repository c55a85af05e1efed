"""Count models, many at a time."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from ..errors import ScaleprofError
from ..jobs import COMPARE, COUNT, LIST, CountRequest, ListRequest, ModelList
from ..models import parse_inputs, parse_reference
from ..records import Comparison, CountedModel, CountFailure, Counts
from ._crew import Crew, libraries_of

Progress = Callable[[int, int], None]


def _silent(_done: int, _total: int) -> None:
    pass


def count_models(
    models: Sequence[str],
    *,
    inputs: Sequence[str] = (),
    batch: int = 1,
    dtype: str = "float32",
    module_depth: int | None = None,
    against: str | None = None,
    progress: Progress = _silent,
) -> Counts:
    """Count models; one that fails does not stop the others.

    Args:
        models: Model references, or patterns such as ``timm:*``.
        inputs: Inputs as in ``--input``; empty for what each model was made for.
        batch: Batch in front of every input.
        dtype: Floating-point type of weights and inputs.
        module_depth: Also count by module down to this depth.
        against: ``fvcore`` for a second opinion on each count.
        progress: Called with the number of models done and their total.

    Raises:
        ScaleprofError: If a reference does not parse or a pattern matches nothing.
    """
    references = list(_expanded(models))
    specs = parse_inputs(inputs, batch=batch)
    requests = [
        CountRequest(
            reference=parse_reference(text),
            inputs=specs,
            batch=batch,
            dtype=dtype,
            module_depth=module_depth,
        )
        for text in references
    ]
    job = _compare if against else _count
    results = list(_in_parallel(job, requests, progress))
    comparisons = tuple(r for r in results if isinstance(r, Comparison))
    counted = [r.counted if isinstance(r, Comparison) else r for r in results]
    return Counts(
        models=tuple(r for r in counted if isinstance(r, CountedModel)),
        failures=tuple(r for r in counted if isinstance(r, CountFailure)),
        comparisons=comparisons,
    )


def _expanded(models: Sequence[str]) -> Iterator[str]:
    for text in models:
        if "*" not in text.partition("(")[0]:
            yield text
            continue
        source = text.partition(":")[0]
        with Crew([source]) as crew:
            request = ListRequest(pattern=text)
            yield from crew.count(LIST, request, ModelList, f"`{text}`").models


Result = CountedModel | Comparison | CountFailure


def _count(crew: Crew, request: CountRequest) -> Result:
    return crew.count(COUNT, request, CountedModel, f"`{request.reference.text}`")


def _compare(crew: Crew, request: CountRequest) -> Result:
    return crew.count(COMPARE, request, Comparison, f"`{request.reference.text}`")


def _in_parallel(
    job: Callable[[Crew, CountRequest], Result],
    requests: Sequence[CountRequest],
    progress: Progress,
) -> Iterator[Result]:
    """Run a job for every request, each on a free server, and yield the results in order."""
    servers = min(len(requests), _cores())
    libraries = libraries_of(request.reference for request in requests)
    crews: SimpleQueue[Crew] = SimpleQueue()

    def run(request: CountRequest) -> Result:
        crew = crews.get()
        try:
            return job(crew, request)
        except ScaleprofError as error:
            return CountFailure(model=request.reference.text, reason=str(error), hint=error.hint)
        finally:
            crews.put(crew)

    with ThreadPoolExecutor(max_workers=servers) as pool, _Servers(servers, libraries) as all_crews:
        for crew in all_crews:
            crews.put(crew)
        for done, result in enumerate(pool.map(run, requests), start=1):
            progress(done, len(requests))
            yield result


class _Servers:
    """Several crews that start and end together."""

    def __init__(self, number: int, libraries: Sequence[str]) -> None:
        self._crews = [Crew(libraries) for _ in range(number)]

    def __enter__(self) -> list[Crew]:
        for crew in self._crews:
            crew.__enter__()
        return self._crews

    def __exit__(self, *exception: object) -> None:
        for crew in self._crews:
            crew.__exit__(*exception)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
