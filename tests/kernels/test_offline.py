"""What the kernels compile to, for GPUs that need not be here.

Spills, shared memory beyond the limit and products that miss the tensor cores show in the machine
code; each of them makes a kernel slow without making it wrong.
"""

import itertools

import pytest
import torch

pytest.importorskip("triton")

from scaleprof_kernels._aggregate import plan_aggregate
from scaleprof_kernels._aggregate_backward import plan_aggregate_backward
from scaleprof_kernels._aggregation_problem import Aggregation
from scaleprof_kernels._choices import choose
from scaleprof_kernels._kernels import launches
from scaleprof_kernels._ls_choices import choose_tail
from scaleprof_kernels._ls_conv_tail import plan_conv_tail
from scaleprof_kernels._ls_problem import Tail
from scaleprof_kernels._ls_tail import plan_tail
from scaleprof_kernels._model import model
from scaleprof_kernels._offline import compile_for
from scaleprof_kernels._problem import Problem
from scaleprof_kernels._window import blocks
from scaleprof_kernels.check import OPERATIONS

# shared memory that one program may have, in bytes: CUDA C++ programming guide, table of compute
# capabilities. What is compiled for 8.0 runs on 8.6 and 8.9 too, which have less than its 163 KiB
SHARED = {80: 99 * 1024, 90: 227 * 1024}
# instructions that only tensor cores run: of a group of four warps, and of one
PRODUCTS = {80: ("HMMA",), 90: ("HGMMA", "HMMA")}


def problem(size, kernel, dtype=torch.float16, batch=32, **kwargs):
    edges = tuple(d * (k // 2) for d, k in zip(kwargs.get("dilation", (1, 1)), kernel, strict=True))
    padding = (edges[0], edges[0], edges[1], edges[1])
    return Problem(
        batch=batch, channels=384, size=(size, size), kernel=kernel, padding=padding, dtype=dtype,
        **kwargs,
    )  # fmt: skip


# the maps and filters of the table of goals, and the one-element loads of odd widths
COMMON = [
    problem(size, (taps, taps), dtype)
    for size, taps, dtype in (
        (14, 7, torch.float16), (14, 31, torch.bfloat16), (28, 13, torch.float16),
        (28, 31, torch.bfloat16), (56, 7, torch.float16), (56, 13, torch.bfloat16),
        (56, 31, torch.float16), (7, 13, torch.float16), (57, 13, torch.float16),
        (28, 7, torch.float32), (28, 13, torch.float32),
    )
] + [
    problem(56, (7, 7), stride=(2, 2)), problem(28, (13, 13), torch.float32, tf32=True),
    problem(56, (13, 13), torch.float32, tf32=True),
]  # fmt: skip
STRIDED = [
    problem(size, (taps, taps), dtype, stride=(2, 2))
    for size in (14, 28, 56, 57)
    for taps in (7, 13, 31)
    for dtype in (torch.float16, torch.float32)
]
ROUNDED = [
    problem(size, kernel, torch.float32, batch=batch, tf32=True)
    for size, kernel, batch in itertools.product(
        (14, 28, 56, 57, 100), ((7, 7), (13, 13), (31, 31), (5, 51)), (1, 32)
    )
]
LONG = STRIDED + ROUNDED + [
    problem(size, kernel, dtype, batch=batch)
    for size, kernel, dtype, batch in itertools.product(
        (7, 14, 28, 31, 56, 57, 64, 100),
        ((7, 7), (13, 13), (17, 17), (31, 31), (51, 5), (5, 51)),
        (torch.float16, torch.float32),
        (1, 32),
    )
] + [
    problem(28, (7, 7), dtype, **change)
    for dtype in (torch.float16, torch.float32)
    for change in (
        {"stride": (2, 2)}, {"dilation": (2, 2)}, {"channels_last": True},
        {"dilation": (3, 3), "channels_last": True}, {"stride": (1, 2), "channels_last": True},
    )
]  # fmt: skip


def compilations(problems, capability):
    """Each compilation that the table of choices asks for, once."""
    found = {}
    for operation, given in itertools.product(OPERATIONS, problems):
        variant = choose(operation, given).variant
        if variant == "torch":
            continue
        for launch in launches(variant, operation, given, capability=capability):
            kernel = launch.kernel.__name__.strip("_").removesuffix("_kernel")
            # stores of outputs that lie apart are other code
            steps = launch.integers.get("y_w", 1)
            key = (kernel, given.dtype, launch.num_warps, steps, *sorted(launch.constants.items()))
            found.setdefault(key, (f"{kernel}-{size_of(given)}-{operation}", variant, launch))
    return [pytest.param(variant, launch, id=name) for name, variant, launch in found.values()]


def size_of(given):
    dtype = str(given.dtype).removeprefix("torch.")
    return f"{given.size[0]}-k{given.kernel[0]}x{given.kernel[1]}-n{given.batch}-{dtype}"


def check(variant, launch, capability):
    compiled = compile_for(launch, capability)
    assert compiled.spilled_bytes == 0
    assert compiled.shared_bytes <= SHARED[capability]
    if variant == "toeplitz":
        # of which a kernel of a single step has no loop
        assert any(compiled.instructions[name] for name in PRODUCTS[capability])
        # products of ordinary arithmetic would show as these
        assert not compiled.instructions["FFMA"]
    else:
        # multiply and add in one instruction; 7 taps share the work of a load, 13 share it better,
        # and half of them where outputs or taps are a step apart
        apart = launch.constants["STRIDE_T"] * launch.constants["DILATION_T"] > 1
        assert compiled.loop["FFMA"] > (0.1 if apart else 0.2) * sum(compiled.loop.values())
        assert not compiled.loop["FMUL"]


@pytest.mark.parametrize(("variant", "launch"), compilations(COMMON, 90))
def test_nothing_spills_and_products_are_where_they_belong_on_hopper(variant, launch):
    check(variant, launch, 90)


@pytest.mark.parametrize(("variant", "launch"), compilations(COMMON, 80)[::4])
def test_nothing_spills_and_products_are_where_they_belong_on_ampere(variant, launch):
    check(variant, launch, 80)


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "launch"), compilations(LONG, 90))
def test_nothing_spills_in_any_compilation_that_is_chosen_on_hopper(variant, launch):
    check(variant, launch, 90)


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "launch"), compilations(LONG, 80))
def test_nothing_spills_in_any_compilation_that_is_chosen_on_ampere(variant, launch):
    check(variant, launch, 80)


def test_large_maps_run_on_the_products_of_four_warps():
    (launch,) = launches("toeplitz", "forward", problem(28, (13, 13)), capability=90)
    compiled = compile_for(launch, 90)
    assert compiled.loop["HGMMA"] > 0
    # inputs are copied to shared memory while products run
    assert compiled.loop["LDGSTS"] > 0


# the table in docs/kernels asserts the same of all
@pytest.mark.parametrize(("size", "taps"), [(14, 31), (28, 13), (56, 17)])
def test_the_weight_gradient_is_modelled_at_most_1_3_times_the_forward_pass(size, taps):
    given = problem(size, (taps, taps))
    seconds = {}
    for operation in ("forward", "weight_grad"):
        (launch,) = launches("toeplitz", operation, given, capability=90)
        seconds[operation] = model(given, launch, compile_for(launch, 90)).at_best_s
    assert seconds["weight_grad"] <= 1.3 * seconds["forward"]


def test_the_weight_gradient_loads_a_row_once_for_several_rows_of_the_filter():
    (launch,) = launches("toeplitz", "weight_grad", problem(28, (13, 13)), capability=90)
    compiled = compile_for(launch, 90)
    # four loads of four elements a thread bring in two rows of 32 columns of 16 images
    strips, products = compiled.loop["LDGSTS"] // 2, compiled.loop["HGMMA"]
    assert products >= 1.5 * strips


# LSNet's maps, LSNet-S's weight channels, and weights of float32 beside halves, as under autocast
AGGREGATIONS = [
    pytest.param(Aggregation(groups=8, **given), plan, id=f"{name}-{plan.__name__}")
    for name, given in {
        "28": {"batch": 256, "channels": 128, "size": (28, 28), "dtype": torch.float16},
        "14-nhwc": {
            "batch": 256, "channels": 256, "size": (14, 14), "dtype": torch.bfloat16,
            "channels_last": True,
        },
        "7-autocast": {
            "batch": 256, "channels": 384, "size": (7, 7), "dtype": torch.float16,
            "weight_dtype": torch.float32,
        },
        "14-single": {"batch": 32, "channels": 320, "size": (14, 14)},
        "clamped": {"batch": 32, "channels": 64, "size": (14, 14), "clamped": True},
    }.items()
    for plan in (plan_aggregate, plan_aggregate_backward)
]  # fmt: skip


LARGEST = {"batch": 32, "channels": 64, "groups": 8, "size": (14, 14), "kernel_size": 7}


@pytest.mark.parametrize("capability", [90, 80])
@pytest.mark.parametrize(
    ("given", "plan"),
    [
        *AGGREGATIONS,
        pytest.param(Aggregation(**LARGEST), plan_aggregate, marks=pytest.mark.slow, id="largest"),
    ],
)
def test_aggregation_multiplies_and_adds_in_one_and_loads_once(given, plan, capability):
    launch = plan(given)
    compiled = compile_for(launch, capability)
    mix = compiled.instructions
    assert compiled.spilled_bytes == 0
    assert compiled.shared_bytes == 0
    # no pointer of its own for each load, which a loop over channels would have
    assert not compiled.loop
    # bfloat16 and float32 sums without double precision, and no product apart from its sum
    assert not {name for name in mix if name.startswith("D") and name not in {"DEPBAR"}}
    assert mix["FMUL"] == mix["FADD"] == 0
    rows, side, channels = (launch.constants[name] for name in ("ROWS", "SIDE", "CHANNELS"))
    if plan is plan_aggregate:
        assert mix["FFMA"] == rows * side**2 * channels
        # each input once for all rows of a lane, and each weight once for all channels
        assert mix["LDG"] == (rows + side - 1) * side * channels + rows * side**2
    elif not given.clamped:
        assert mix["FFMA"] == 2 * rows * side**2 * channels
        assert mix["LDG"] == 2 * (rows + side - 1) * side * channels + rows * side**2


@pytest.mark.parametrize("capability", [90, 80])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"kernel_size": 5, "dtype": torch.float16}, id="5"),
        pytest.param(
            {"kernel_size": 7, "dtype": torch.bfloat16, "weight_dtype": torch.float32,
             "channels_last": True}, id="7-autocast-nhwc",
        ),
        pytest.param({"kernel_size": 7, "clamped": True}, id="7-clamped"),
    ],
)  # fmt: skip
def test_gradients_of_large_windows_go_row_by_row_and_share_loads(change, capability):
    given = Aggregation(**{**LARGEST, **change})
    launch = plan_aggregate_backward(given)
    compiled = compile_for(launch, capability)
    mix = compiled.loop
    assert compiled.spilled_bytes == 0
    assert compiled.shared_bytes == 0
    assert mix["FMUL"] == mix["FADD"] == 0
    rows, span, side = (launch.constants[name] for name in ("ROWS", "SPAN", "SIDE"))
    # a row of output gradients and one of inputs meet all rows of a lane, and all its channels
    assert mix["FFMA"] == 8 * rows * (span + side)
    assert mix["LDG"] == 8 * (span + side) + rows * span
    assert mix["STG"] == rows * side


def test_aggregation_on_lsnets_maps_is_issued_faster_than_memory_delivers():
    # what LSNet's own kernel misses by 3.4 times
    for channels, size in ((128, 28), (256, 14), (384, 7)):
        given = Aggregation(
            batch=256, channels=channels, groups=8, size=(size, size), dtype=torch.float16
        )
        forward = model(given, plan := plan_aggregate(given), compile_for(plan, 90))
        assert forward.issue_s <= forward.memory_s
        plan = plan_aggregate_backward(given)
        backward = model(given, plan, compile_for(plan, 90))
        assert backward.issue_s <= given.backward_bytes / given.bytes * backward.memory_s


LSNETS_MAPS = [(384, 7), (256, 14), (128, 28)]


def lsnets_tail(channels, size, **given):
    return Tail(batch=256, channels=channels, groups=8, size=(size, size), **given)


@pytest.mark.parametrize(
    ("dtype", "capability"),
    [(torch.float16, 90), (torch.bfloat16, 90), (torch.float32, 90), (torch.float16, 80)],
    ids=str,
)
@pytest.mark.parametrize(("channels", "size"), LSNETS_MAPS)
def test_the_fused_tail_holds_its_filters_in_registers(channels, size, dtype, capability):
    given = lsnets_tail(channels, size, dtype=dtype)
    launch = plan_tail(given)
    compiled = compile_for(launch, capability)
    assert compiled.spilled_bytes == 0
    # sums that warps exchange, and nothing else
    assert compiled.shared_bytes <= 2048
    # seven rows of a lane: nine taps, less those that lie above and below the map
    taps = 57 if size == 7 else 63
    assert taps <= compiled.loop["FFMA"] <= taps + 9
    # each input once for all rows, and four numbers of the batch norm
    assert compiled.loop["LDG"] == (21 if size == 7 else 27) + 4
    assert compiled.loop["STG"] == 7


@pytest.mark.parametrize(
    ("dtype", "capability"),
    [(torch.float16, 90), (torch.bfloat16, 90), (torch.float16, 80)],
    ids=str,
)
@pytest.mark.parametrize(("channels", "size"), LSNETS_MAPS[:2])
def test_the_tail_with_its_convolution_makes_filters_on_tensor_cores(
    channels, size, dtype, capability
):
    given = lsnets_tail(channels, size, dtype=dtype, inner=channels // 2)
    assert choose_tail(given).variant == "product"
    launch = plan_conv_tail(given, capability=capability)
    compiled = compile_for(launch, capability)
    assert compiled.spilled_bytes == 0
    # two programs fit on a multiprocessor of 65536 registers
    if capability == 90:
        assert compiled.registers * launch.num_warps * 32 * 2 <= 65536
    assert compiled.shared_bytes <= 48 * 1024
    # products of 16 by 8 by 16, each done once: by how many the columns of a warp are
    columns = 8 * launch.constants["LANES"] // 8 // launch.num_warps
    depth = launch.constants["STEPS"] * launch.constants["DEPTH"] // 16
    products = blocks(9, launch.constants["TAPS"])
    assert compiled.instructions["HMMA"] == products * depth * columns
    assert compiled.loop["FFMA"] >= (57 if size == 7 else 63)


def test_tails_on_lsnets_maps_are_issued_faster_than_memory_delivers_what_they_replace():
    for channels, size in LSNETS_MAPS:
        given = lsnets_tail(channels, size)
        limits = model(given, launch := plan_tail(given), compile_for(launch, 90))
        assert limits.issue_s <= limits.memory_s
    for channels, size in LSNETS_MAPS[:2]:
        given = lsnets_tail(channels, size, inner=channels // 2)
        limits = model(
            given, launch := plan_conv_tail(given, capability=90), compile_for(launch, 90)
        )
        # the goal is 2.5 times faster than the parts
        unfused_s = given.unfused_bytes / given.bytes * limits.memory_s
        assert limits.at_best_s <= unfused_s / 2.5
