"""The plan of the weight gradient: rows of inputs and of output gradients meet once each."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from scaleprof_kernels._problem import Problem
from scaleprof_kernels._strips import share_of
from scaleprof_kernels._window import Window

# as wide as whole rows of 14 and 28, blocks of 56, one row of 56, and a filter of 51 columns
WINDOWS = ((8, 16), (16, 16), (32, 32), (16, 32), (32, 64), (64, 64), (32, 128))


def met(share, problem, lanes):
    """What the kernel adds up, by the row of the input, of the gradient, and of the filter."""
    strips, found = share.strips, Counter()
    for program in range(share.programs):
        for first in range(0, share.steps * lanes * strips.span, strips.span):
            for s in range(strips.span):
                for d in range(strips.distances):
                    if strips.least <= s - d <= strips.most:
                        at = (program, (first + s) * strips.rows, d)
                        found.update(of_a_product(share, problem, at))
    return found


def of_a_product(share, problem, at):
    program, row, d = at
    strips, own = share.strips, program * share.taps
    for i in range(strips.rows):
        for r in range(strips.rows):
            x = row + i
            g = row - d * strips.rows + strips.ahead - own + r
            tap = strips.first + d * strips.rows + i - r
            there = x < problem.size[0] and 0 <= g < problem.out_size[0]
            if there and 0 <= tap < share.taps and share.lowest + own + tap < problem.kernel[0]:
                yield x, g, share.lowest + own + tap


# lengths that are no multiple of a strip, filters beyond the image, padding beyond the filter
problems = st.builds(
    lambda height, taps, above, below: Problem(
        batch=1, channels=1, size=(height, 30), kernel=(taps, 1), padding=(above, below, 0, 0)
    ),
    height=st.integers(1, 60),
    taps=st.integers(1, 60),
    above=st.integers(-5, 60),
    below=st.integers(-5, 60),
).filter(lambda problem: problem.out_size[0] > 0)
windows = st.builds(
    lambda columns, align: Window(block=columns[0], length=columns[1], first=0, align=align),
    columns=st.sampled_from(WINDOWS),
    align=st.sampled_from([1, 8]),
)


@settings(deadline=None)
@given(problem=problems, window=windows, lanes=st.sampled_from([1, 2, 16]), roomy=st.booleans())
def test_every_two_rows_meet_once_in_the_tap_between_them(problem, window, lanes, roomy):
    share = share_of(problem, window, lanes=lanes, roomy=roomy)
    above, height = problem.padding[0], problem.size[0]
    want = {
        (g + tap - above, g, tap)
        for g in range(problem.out_size[0])
        for tap in range(problem.kernel[0])
        if 0 <= g + tap - above < height
    }
    assert met(share, problem, lanes) == dict.fromkeys(want, 1)
    # rows of the filter that no program computes meet no image, and are set to zero
    computed = range(share.lowest, share.lowest + share.programs * share.taps)
    assert {tap for _, _, tap in want} <= set(computed)
