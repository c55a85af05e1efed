"""How long do the kernels take, beside torch and beside copying the same bytes?

Each contender is captured in a CUDA graph that calls it on set after set of inputs, together more
than the L2 cache holds (unless 256 sets are less), and keeps every output: no launch from Python
and no number left over in the cache is timed. Replays are timed with CUDA events; the
statistic is the median of replays, per call. What takes many milliseconds a call, beside which
neither launches nor the cache matter, is called and replayed less often.
"""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ._choices import Choice, Variant, can_run, choose
from ._problem import Operation, Problem
from .check import KERNELS, random_tensors, run_variant

Contender = Callable[..., Tensor]
# sets of inputs and outputs that together are so many times the L2 cache
_CACHES = 3
_FEWEST_CALLS, _MOST_CALLS = 4, 256
_MOST_REPLAYS, _FEWEST_REPLAYS, _WARM_UPS = 25, 5, 5
# calls of a graph, and replays of it, stop at the seconds that they take together
_GRAPH_SECONDS, _REPLAY_SECONDS = 0.02, 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One contender on one problem.

    Attributes:
        operation: Forward or one of the gradients.
        problem: What was computed.
        contender: What computed it, or "copy", which only moves the bytes of input and output.
        samples_s: Seconds per call, one for each replay; empty if it did not run.
        failure: Why it did not run.
    """

    operation: Operation
    problem: Problem
    contender: str
    samples_s: tuple[float, ...] = ()
    failure: str | None = None

    @property
    def median_s(self) -> float | None:
        """Median of the samples, or None."""
        return statistics.median(self.samples_s) if self.samples_s else None

    @property
    def spread(self) -> float | None:
        """Interquartile range over median, or None."""
        if len(self.samples_s) < 4:
            return None
        low, _, high = statistics.quantiles(self.samples_s, n=4)
        return (high - low) / statistics.median(self.samples_s)


def contenders(
    operation: Operation, problem: Problem, variants: Sequence[Variant] = KERNELS
) -> dict[str, Contender]:
    """Return who can compute an operation: our kernels, and torch in both orders of memory."""
    found: dict[str, Contender] = {}
    for variant in variants:
        if can_run(variant, operation, problem):
            found[variant] = _with(variant, operation, problem)
    found["torch NCHW"] = _with("torch", operation, problem)
    found["torch NHWC"] = _with("torch", operation, problem)
    return found


def compiled_contenders(problem: Problem) -> dict[str, Contender]:
    """Return torch's own convolution as its compiler makes it, forward only."""
    height, width = problem.padding[::2]

    def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return functional.conv2d(
            x, weight, bias, problem.stride, (height, width), problem.dilation, problem.channels
        )

    return {
        "torch.compile": torch.compile(convolve, fullgraph=True, dynamic=False),
        "torch.compile max-autotune": torch.compile(
            convolve, fullgraph=True, dynamic=False, mode="max-autotune-no-cudagraphs"
        ),
    }


def _with(variant: str, operation: Operation, problem: Problem) -> Contender:
    return lambda *tensors: run_variant(variant, operation, problem, *tensors)


def bench(
    operation: Operation, problem: Problem, *, variants: Sequence[Variant] = KERNELS
) -> Iterator[Timing]:
    """Time every contender on a problem, and a copy that moves as many bytes.

    Args:
        operation: Forward or one of the gradients.
        problem: What to compute.
        variants: Which of our kernels contend.

    Yields:
        A timing for each.
    """
    sets = _input_sets(operation, problem)
    # reading and writing half of the bytes moves all of them
    half = torch.empty(problem.bytes // 2, dtype=torch.uint8, device="cuda")
    halves = sets_beyond_cache((half,), problem.bytes, most=_MOST_CALLS)
    yield _timed("copy", operation, problem, _copy, halves)
    for name, contender in contenders(operation, problem, variants).items():
        inputs = sets
        if name.startswith("torch"):
            kind = torch.channels_last if name == "torch NHWC" else torch.contiguous_format
            inputs = [_in_order(tensors, kind) for tensors in sets]
        yield _timed(name, operation, problem, contender, inputs)


def bench_compilers(problem: Problem) -> Iterator[Timing]:
    """Time torch's compiler, forward; it takes seconds to minutes to compile."""
    sets = _input_sets("forward", problem)
    for name, contender in compiled_contenders(problem).items():
        yield _timed(name, "forward", problem, contender, sets)


def _copy(first: Tensor, *_: Tensor) -> Tensor:
    return first.clone()


def _in_order(tensors: tuple[Tensor, ...], kind: torch.memory_format) -> tuple[Tensor, ...]:
    return tuple(t.contiguous(memory_format=kind) if t.dim() == 4 else t for t in tensors)


def _input_sets(operation: Operation, problem: Problem) -> list[tuple[Tensor, ...]]:
    first = random_tensors(problem, operation, device="cuda")
    return sets_beyond_cache(first, problem.bytes, most=_MOST_CALLS)


def sets_beyond_cache(
    first: tuple[Tensor, ...], moved_bytes: int, *, most: int
) -> list[tuple[Tensor, ...]]:
    """Return copies of inputs, so many that none is in the cache when its turn comes again.

    Args:
        first: The inputs of one call.
        moved_bytes: Bytes that a call moves.
        most: Copies at most.
    """
    cache = torch.cuda.get_device_properties("cuda").L2_cache_size
    count = min(max(_FEWEST_CALLS, math.ceil(_CACHES * cache / moved_bytes)), most)
    return [first, *(tuple(t.clone() for t in first) for _ in range(count - 1))]


def _timed(
    name: str,
    operation: Operation,
    problem: Problem,
    contender: Contender,
    sets: list[tuple[Tensor, ...]],
) -> Timing:
    samples, failure = time_or_reason(contender, sets)
    return Timing(
        operation=operation, problem=problem, contender=name, samples_s=samples, failure=failure
    )


def time_or_reason(
    contender: Callable[..., object], sets: list[tuple[Tensor, ...]]
) -> tuple[tuple[float, ...], str | None]:
    """Return seconds per call, or why there are none: others still run after one that raises."""
    try:
        # also where capturing fails half way, the next contender begins on the stream of this one
        with torch.cuda.stream(torch.cuda.current_stream()):
            return time_calls(contender, sets), None
    except Exception as error:
        # where the device itself is broken, the next contender says so
        with suppress(RuntimeError):
            torch.cuda.synchronize()
        return (), f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def time_calls(
    contender: Callable[..., object], sets: list[tuple[Tensor, ...]]
) -> tuple[float, ...]:
    """Return seconds per call of a contender, one for each replay of a graph of calls."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            contender(*sets[0])
        (alone_s,) = _in_turn(lambda: contender(*sets[0]), 1)
    torch.cuda.current_stream().wait_stream(side)
    calls, warm_ups, replays = repetitions(alone_s, len(sets))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        # kept, so that no two calls write to the same memory
        outputs = [contender(*tensors) for tensors in sets[:calls]]
    for _ in range(warm_ups):
        graph.replay()
    return tuple(seconds / len(outputs) for seconds in _in_turn(graph.replay, replays))


def repetitions(call_s: float, most_calls: int) -> tuple[int, int, int]:
    """Return how many calls a graph holds, and how often it is replayed untimed and timed.

    Args:
        call_s: Seconds that a call takes, roughly.
        most_calls: Calls at most.

    Examples:
        >>> repetitions(1e-5, 16), repetitions(0.5, 4)
        ((16, 5, 25), (1, 1, 5))
    """
    calls = max(1, min(most_calls, int(_GRAPH_SECONDS / call_s)))
    replays = int(_REPLAY_SECONDS / (call_s * calls))
    replays = max(_FEWEST_REPLAYS, min(_MOST_REPLAYS, replays))
    return calls, max(1, min(_WARM_UPS, replays - _FEWEST_REPLAYS)), replays


def _in_turn(function: Callable[[], object], times: int) -> list[float]:
    """Seconds of the device's time of each call; the host does not wait in between."""
    events = [(_event(), _event()) for _ in range(times)]
    for start, end in events:
        start.record()
        function()
        end.record()
    torch.cuda.synchronize()
    # an event tells half microseconds
    return [max(1e-3 * float(start.elapsed_time(end)), 5e-7) for start, end in events]


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def origin() -> str:
    """Return where and with what a measurement made now is made."""
    import triton

    name = torch.cuda.get_device_name()
    return f"measured on {name}, torch {torch.__version__}, triton {triton.__version__}"


def measured_choices(timings: list[Timing], *, origin: str) -> list[Choice]:
    """Return an entry of the table of choices for each problem: what was fastest there.

    torch counts in the order of memory of the problem only: what an input is in, it stays in.
    """
    found = []
    for operation, problem in dict.fromkeys((t.operation, t.problem) for t in timings):
        own = "torch NHWC" if problem.channels_last else "torch NCHW"
        here = {
            t.contender: t.median_s
            for t in timings
            if (t.operation, t.problem) == (operation, problem) and t.median_s is not None
        }
        fair = {name: here[name] for name in ("toeplitz", "direct", own) if name in here}
        if fair:
            fastest = min(fair, key=fair.__getitem__)
            found.append(_entry(operation, problem, fastest, origin))
    return found


def _entry(operation: Operation, problem: Problem, fastest: str, origin: str) -> Choice:
    taps, outputs = max(problem.kernel), max(problem.out_size)
    planes = problem.batch * problem.channels
    variants: dict[str, Variant] = {"toeplitz": "toeplitz", "direct": "direct"}
    return Choice(
        variant=variants.get(fastest, "torch"),
        origin=origin,
        operations=(operation,),
        dtypes=(str(problem.dtype).removeprefix("torch."),),
        taps=(taps, taps),
        outputs=(outputs, outputs),
        # fewer planes leave parts of the device idle, which changes who is fastest
        planes=(planes // 2, 1 << 62),
        strides=(math.prod(problem.stride), math.prod(problem.stride)),
        plain=problem.is_plain,
        channels_last=problem.channels_last,
        tf32=problem.tf32,
    )


def chosen(operation: Operation, problem: Problem, timings: list[Timing]) -> Timing | None:
    """Return the timing of what the table of choices runs for a problem."""
    variant = choose(operation, problem).variant
    own = "torch NHWC" if problem.channels_last else "torch NCHW"
    name = own if variant == "torch" else variant
    matching = (
        t
        for t in timings
        if (t.operation, t.problem, t.contender) == (operation, problem, name) and t.median_s
    )
    return next(matching, None)
