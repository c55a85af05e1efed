"""The time that a compiled kernel takes at best on an H100: a model, not a measurement.

Three limits, each reached only if the others and all latencies hide behind it: the rate at which
instructions are issued, the rate of the tensor cores, and memory bandwidth at the fewest bytes.
"""

from dataclasses import dataclass

from ._aggregation_problem import Aggregation
from ._launch import Launch
from ._ls_problem import Tail
from ._offline import Compiled
from ._problem import Problem
from ._strips import DEPTH, products

# NVIDIA H100 SXM data sheet: 132 multiprocessors; 989 TFLOP/s at 4096 FLOPs per clock and
# multiprocessor is a clock of 1.83 GHz; each multiprocessor issues for four warps per clock
_ISSUES_PER_S = 132 * 4 * 1.83e9
# measured on one H100 SXM with torch 2.11: a product of bfloat16 matrices of 8192, and a copy
_MATRIX_FLOPS_PER_S = 798e12
# data sheet: of TF32 half as many as of bfloat16
_HALF_BYTES = 2
BYTES_PER_S = 3.0e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Modelled:
    """Seconds that each limit alone allows."""

    issue_s: float
    matrix_s: float
    memory_s: float

    @property
    def at_best_s(self) -> float:
        """The largest of the three."""
        return max(self.issue_s, self.matrix_s, self.memory_s)


def model(problem: Problem | Aggregation | Tail, launch: Launch, compiled: Compiled) -> Modelled:
    """Return the limits of a kernel on a problem.

    Args:
        problem: The problem, for the fewest bytes.
        launch: What was compiled.
        compiled: Its machine code.
    """
    outside = sum(compiled.instructions.values()) - sum(compiled.loop.values())
    trips, product_flops = _work(launch)
    rate = _MATRIX_FLOPS_PER_S * _HALF_BYTES / problem.dtype.itemsize
    issued = (outside * launch.grid + sum(compiled.loop.values()) * trips) * launch.num_warps
    return Modelled(
        issue_s=issued / _ISSUES_PER_S,
        matrix_s=product_flops * trips / rate,
        memory_s=problem.bytes / BYTES_PER_S,
    )


def _work(launch: Launch) -> tuple[float, int]:
    """Turns of the loop in all programs together, and FLOPs of tensor cores in each."""
    i, c = launch.integers, launch.constants
    if "BLOCK_M" in c:
        flops = 2 * c["BLOCK_M"] * c["BLOCK_K"] * c["BLOCK_Q"] * c["BLOCK_R"] * c["BLOCK_B"]
        return i["channels"] * sum(_turns(launch, tile) for tile in range(i["tiles"])), flops
    if "DISTANCES" in c:
        flops = 2 * DEPTH * c["ROWS"] ** 2 * c["BLOCK_K"] * c["BLOCK_B"]
        return i["channels"] * i["programs"] * i["steps"], flops * products(
            c["SPAN"], c["DISTANCES"], c["LEAST"], c["MOST"]
        )
    if "filter_blocks" in i:
        return float(launch.grid * c["CHANNELS"]), _product_flops(launch) // c["CHANNELS"]
    if "row_blocks" in i:
        # rows around a lane; small windows are unrolled, and have no loop
        return float(launch.grid * (c["ROWS"] + c.get("SPAN", c["SIDE"]) - 1)), 0
    if "chunk" in i:
        splits = -(-i["lane_blocks"] * i["t_blocks"] // i["chunk"])
        return launch.grid / splits * i["lane_blocks"] * i["t_blocks"], 0
    return launch.grid * i["taps_u"] * i["tap_blocks"], 0


def _product_flops(launch: Launch) -> int:
    """FLOPs with which a program makes filters, rows and columns to spare included."""
    c = launch.constants
    if "TAPS" not in c:
        return 0
    rows = -(-9 // c["TAPS"]) * c["TAPS"] * c["FILTERS"]
    return int(2 * rows * 8 * c["LANES"] * c["STEPS"] * c["DEPTH"])


def _turns(launch: Launch, tile: int) -> int:
    """Turns that take a program through the rows of its windows that lie in the image."""
    i, c = launch.integers, launch.constants
    per_row = i["batch"] * i["col_blocks"]
    first = tile * c["BLOCK_M"]
    last = min(first + c["BLOCK_M"], i["total"]) - 1
    begin = max(0, i["pad_h"] - last // per_row * c["BLOCK_R"])
    end = i["height"] + i["pad_h"] - first // per_row * c["BLOCK_R"]
    rows = max(0, min(c["BLOCK_R"] + i["taps_h"] - 1, end) - begin)
    return int(-(-rows // c["BLOCK_Q"]))
