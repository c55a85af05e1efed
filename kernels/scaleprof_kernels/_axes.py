"""How the direct kernels see an image: which axis is unrolled, and what neighbouring lanes hold."""

from dataclasses import dataclass

from ._layout import Layout
from ._problem import Problem
from ._window import blocks, power_of_two

WARPS = 4
# one element per thread of four warps leaves room for 14 outputs and 51 weights in registers
_LANES = 128
# outputs along the unrolled axis; with a step between taps or outputs, few inputs meet twice
_OUTPUTS = 14
_OUTPUTS_APART = 4
# taps along it whose weights or sums are in registers at once
_TAPS = 17
# inputs × outputs that a program is unrolled over; beyond, compiling takes many seconds
_MAX_UNROLLED = 1024


@dataclass(frozen=True, slots=True)
class Axes:
    """The tuple axis `t` and the lane axis `u` of a problem.

    In NCHW the tuple axis is the height and lanes are columns of images; in NHWC it is the width
    and lanes are channels.
    """

    problem: Problem

    @property
    def t(self) -> int:
        """Index of the tuple axis in a pair of height and width."""
        return 1 if self.problem.channels_last else 0

    @property
    def u(self) -> int:
        """Index of the other axis."""
        return 1 - self.t

    @property
    def block_t(self) -> int:
        """Outputs of a program along the tuple axis, so that the last program has few to spare."""
        length = self.problem.out_size[self.t]
        most = _OUTPUTS if self.problem.is_plain else _OUTPUTS_APART
        return blocks(length, blocks(length, most))

    @property
    def tap_blocks(self) -> int:
        """Parts into which the taps along the tuple axis are divided."""
        return blocks(self.problem.kernel[self.t], _TAPS)

    @property
    def taps(self) -> int:
        """Taps of a part, so that the last has few to spare."""
        return blocks(self.problem.kernel[self.t], self.tap_blocks)

    @property
    def block_c(self) -> int:
        """Channels of a program."""
        return min(_LANES, power_of_two(self.problem.channels)) if self.problem.channels_last else 1

    @property
    def block_l(self) -> int:
        """Positions, over images and the axis `u`, of a program."""
        return _LANES // self.block_c

    @property
    def fits(self) -> bool:
        """Whether a program is not unrolled too far."""
        p, t = self.problem, self.t
        inputs = (self.block_t - 1) * p.stride[t] + (self.taps - 1) * p.dilation[t] + 1
        return inputs * self.block_t <= _MAX_UNROLLED

    @property
    def lane_blocks(self) -> int:
        """Programs along the lanes, of each block of channels."""
        return blocks(self.problem.batch * self.problem.out_size[self.u], self.block_l)

    @property
    def t_blocks(self) -> int:
        """Programs along the tuple axis."""
        return blocks(self.problem.out_size[self.t], self.block_t)

    @property
    def channel_blocks(self) -> int:
        """Programs along the channels."""
        return blocks(self.problem.channels, self.block_c)

    def integers(self) -> dict[str, int]:
        """Return sizes, padding and strides of the input, as the kernels name them."""
        p, t, u = self.problem, self.t, self.u
        sizes = {
            "batch": p.batch, "channels": p.channels, "in_t": p.size[t], "in_u": p.size[u],
            "out_t": p.out_size[t], "out_u": p.out_size[u], "pad_t": p.padding[2 * t],
            "pad_u": p.padding[2 * u], "stride_u": p.stride[u], "dilation_u": p.dilation[u],
            "taps_t": p.kernel[t], "taps_u": p.kernel[u], "tap_blocks": self.tap_blocks,
            "lane_blocks": self.lane_blocks, "t_blocks": self.t_blocks,
        }  # fmt: skip
        return {**sizes, **self._input_strides()}

    def _input_strides(self) -> dict[str, int]:
        """Strides of a dense image in the problem's order of memory."""
        channels, (height, width) = self.problem.channels, self.problem.size
        step = channels if self.problem.channels_last else 1
        rows_columns = (width * step, step)
        return {
            "x_n": channels * height * width,
            "x_c": 1 if self.problem.channels_last else height * width,
            "x_t": rows_columns[self.t],
            "x_u": rows_columns[self.u],
        }

    def output_strides(self, layout: Layout) -> dict[str, int]:
        """Return strides of the outputs."""
        image, channel, *rows_columns = layout.output
        return {
            "y_n": image,
            "y_c": channel,
            "y_t": rows_columns[self.t],
            "y_u": rows_columns[self.u],
        }

    def weight_strides(self, layout: Layout, *, turned: bool) -> dict[str, int]:
        """Return strides of the filters, read backwards if they are turned by half a turn."""
        by_filter, *rows_columns = layout.weight
        taps = self.problem.kernel
        w_t, w_u = rows_columns[self.t], rows_columns[self.u]
        origin = (taps[self.t] - 1) * w_t + (taps[self.u] - 1) * w_u
        sign = -1 if turned else 1
        return {
            "w_c": by_filter,
            "w_t": sign * w_t,
            "w_u": sign * w_u,
            "w_origin": origin if turned else 0,
        }

    def constants(self) -> dict[str, int]:
        """Return what is fixed when a kernel is compiled, as the kernels name it."""
        p, t = self.problem, self.t
        return {
            "STRIDE_T": p.stride[t],
            "DILATION_T": p.dilation[t],
            "TAPS_T": self.taps,
            "BLOCK_T": self.block_t,
            "BLOCK_L": self.block_l,
            "BLOCK_C": self.block_c,
        }
