"""What the kernels compile to, for GPUs that need not be here.

Spills, shared memory beyond the limit and products that miss the tensor cores show in the machine
code; each of them makes a kernel slow without making it wrong.
"""

import itertools

import pytest
import torch

pytest.importorskip("triton")

from scaleprof_kernels._choices import choose
from scaleprof_kernels._kernels import launches
from scaleprof_kernels._offline import compile_for
from scaleprof_kernels._problem import Problem
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
]  # fmt: skip
LONG = [
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
        launch = launches(variant, operation, given, capability=capability)
        kernel = launch.kernel.__name__.strip("_").removesuffix("_kernel")
        key = (kernel, given.dtype, launch.num_warps, *sorted(launch.constants.items()))
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
        assert any(compiled.loop[name] for name in PRODUCTS[capability])
        # products of ordinary arithmetic would show as these
        assert not compiled.loop["FFMA"]
    else:
        # multiply and add in one instruction; 7 taps share the work of a load, 13 share it better
        assert compiled.loop["FFMA"] > 0.2 * sum(compiled.loop.values())
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
    launch = launches("toeplitz", "forward", problem(28, (13, 13)), capability=90)
    compiled = compile_for(launch, 90)
    assert compiled.loop["HGMMA"] > 0
    # inputs are copied to shared memory while products run
    assert compiled.loop["LDGSTS"] > 0
