"""How rows of inputs meet rows of output gradients in the weight gradient: strip by strip."""

from dataclasses import dataclass
from functools import lru_cache

from ._problem import Problem
from ._window import Window, blocks

# a product of tensor cores: rows × columns of either side, and the most rows, since each row of a
# filter is in as many parts as a strip has rows
_LONG_SIDE, _SHORT_SIDE, _MOST_ROWS = 128, 64, 4
# images, or strips of them, that a product adds up: the least that tensor cores add
DEPTH = 16
# instructions of loading a strip, in those of a product
_PRODUCTS_OF_A_LOAD = 2
_WARP = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Room:
    """What a program may keep.

    Attributes:
        sums: Per thread, in registers.
        sums_of_rows: The same where a strip is one row, whose sums are kept until all are joined.
        sums_of_singles: The same where addresses of inputs that are loaded one by one are kept too.
        strips: Strips of inputs that a step loads.
        strips_of_singles: The same where they are loaded one by one.
        step_bytes: Shared memory of a step, of which two are there at once.
    """

    sums: int
    sums_of_rows: int
    sums_of_singles: int
    strips: int
    strips_of_singles: int
    step_bytes: int = 48 * 1024


# where tensor cores read shared memory, and where each warp holds both sides of its products
_ROOMY = _Room(sums=160, sums_of_rows=128, sums_of_singles=96, strips=7, strips_of_singles=4)
_CRAMPED = _Room(sums=96, sums_of_rows=64, sums_of_singles=96, strips=3, strips_of_singles=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strips:
    """Strips of rows, and which rows of the filter come from their products.

    Strip `s` of a step's input and strip `s - d` of its output gradient are at distance `d`. Their
    rows `i` and `r` meet in row `first + d * rows + i - r` of the filter, counted from the lowest
    that the program computes.

    Attributes:
        rows: Rows of a strip.
        span: Strips of inputs of a step.
        distances: Distances whose products a program adds up.
        first: Row of the filter in which row 0 meets row 0 at distance 0.
        ahead: First row of strip 0 of the gradient, less that of the input, in the first program.
        least: First strip of gradients that meets one of the input.
        most: Last of them.
    """

    rows: int
    span: int
    distances: int
    first: int
    ahead: int
    least: int
    most: int

    @property
    def products(self) -> int:
        """Products of strips in a step."""
        return products(self.span, self.distances, self.least, self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one of the programs that share a filter computes, and with what.

    Attributes:
        lowest: Lowest row of the filter that meets the image.
        taps: Rows of the filter that a program computes.
        programs: Programs that share a filter.
        warps: Warps of a program.
        strips: How it goes about it.
        steps: Steps down an image.
    """

    lowest: int
    taps: int
    programs: int
    warps: int
    strips: Strips
    steps: int


def products(span: int, distances: int, least: int, most: int) -> int:
    """Return how many pairs of a strip and a distance lead to a strip that is there."""
    return sum(least <= s - d <= most for s in range(span) for d in range(distances))


@lru_cache(maxsize=1024)
def share_of(problem: Problem, window: Window, *, lanes: int, roomy: bool) -> Share:
    """Return how to divide the rows of a problem.

    Args:
        problem: What was convolved.
        window: Its columns.
        lanes: Steps down an image that are taken side by side, where images are few.
        roomy: Whether tensor cores read shared memory.
    """
    room = _ROOMY if roomy else _CRAMPED
    rows = max(1, min(_MOST_ROWS, _SHORT_SIDE // window.block, _LONG_SIDE // window.length))
    warps = 8 if rows * window.length >= _LONG_SIDE else 4
    height, out_h, pad = problem.size[0], problem.out_size[0], problem.padding[0]
    lowest = min(max(0, pad - out_h + 1), problem.kernel[0] - 1)
    reached = max(1, min(problem.kernel[0], pad + height) - lowest)
    programs = blocks(reached, _most_taps(window, room, rows=rows, warps=warps))
    taps = blocks(reached, programs)
    # columns of strips, of inputs and of gradients, that a step has room for
    columns = room.step_bytes // (rows * DEPTH * problem.dtype.itemsize)
    span = _span(
        blocks(height, rows),
        window,
        room,
        distances=blocks(taps - 1, rows) + 1,
        columns=columns,
        lanes=lanes,
    )
    steps = blocks(height, rows * span * lanes)
    # where one step sees all of the image, strips beside it are not there
    seen = out_h if steps * lanes * programs == 1 else None
    # rows of the filter may be computed from a few below the lowest, which are thrown away
    ways = (_strips(rows, span, taps, below, pad - lowest + below, seen) for below in range(rows))
    strips = min(ways, key=lambda way: (way.products, way.distances))
    return Share(
        lowest=lowest, taps=taps, programs=programs, warps=warps, strips=strips, steps=steps
    )


def _most_taps(window: Window, room: _Room, *, rows: int, warps: int) -> int:
    """Rows of a filter whose sums have room in the registers of a program."""
    sums = room.sums if rows > 1 else room.sums_of_rows
    sums = sums if window.align > 1 else room.sums_of_singles
    distances = max(2, sums * _WARP * warps // (rows * window.length * rows * window.block))
    return distances if rows == 1 else rows * (distances - 1) + 1


def _span(
    strips: int, window: Window, room: _Room, *, distances: int, columns: int, lanes: int
) -> int:
    """Strips of a step with the fewest instructions, among those that shared memory holds."""

    def fits(span: int) -> bool:
        return span * window.length + (span + distances) * window.block <= columns

    def work(span: int) -> int:
        step = span * distances + _PRODUCTS_OF_A_LOAD * (2 * span + distances)
        return blocks(strips, span * lanes) * step

    most = room.strips if window.align > 1 else room.strips_of_singles
    spans = [span for span in range(1, most + 1) if span == 1 or fits(span)]
    return min(spans, key=work)


def _strips(rows: int, span: int, taps: int, below: int, ahead: int, seen: int | None) -> Strips:
    """Strips that start so many rows of the filter below the lowest, without those not seen."""
    distances = blocks(taps - 1 + below, rows) + 1
    meeting = [
        (s - d, d)
        for s in range(span)
        for d in range(distances)
        if seen is None or -rows < (s - d) * rows + ahead < seen
    ] or [(0, 0)]
    skipped = min(d for _, d in meeting)
    return Strips(
        rows=rows,
        span=span,
        distances=max(d for _, d in meeting) - skipped + 1,
        first=skipped * rows - below,
        ahead=ahead - skipped * rows,
        least=min(s for s, _ in meeting) + skipped,
        most=max(s for s, _ in meeting) + skipped,
    )
