"""On a real GPU: kernels against float64, the operator as models call it, graphs and streams."""

import copy
import itertools
import os

import pytest

# torch asks for it where determinism is required and a reference multiplies matrices; it is read
# when the first of them is multiplied
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch
from torch import nn
from torch.nn import functional

from scaleprof_kernels import (
    Choice,
    DepthwiseConv2d,
    depthwise_conv2d,
    replace_depthwise_,
    use_choices,
)
from scaleprof_kernels._choices import can_run, choose
from scaleprof_kernels._problem import Problem
from scaleprof_kernels.bench import bench
from scaleprof_kernels.check import (
    CASES,
    KERNELS,
    LARGE_CASES,
    OPERATIONS,
    check_one,
    in_float64,
    random_tensors,
    run_variant,
    same_size,
    worst_error,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]


@pytest.fixture
def unwritten_is_nan():
    """Fill what `torch.empty` returns with NaN, so that an output nobody wrote is seen."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def everything_ours():
    """Let our kernels run wherever they can, however little work there is."""
    use_choices(
        [
            Choice(variant="toeplitz", origin="a test"),
            Choice(variant="direct", origin="a test"),
        ]
    )
    yield
    use_choices(None)


def pairs(cases):
    return [
        pytest.param(name, problem, variant, operation, id=f"{name}-{variant}-{operation}")
        for name, problem in cases.items()
        for variant, operation in itertools.product(KERNELS, OPERATIONS)
        if can_run(variant, operation, problem)
    ]


@pytest.mark.usefixtures("unwritten_is_nan")
@pytest.mark.parametrize(("name", "problem", "variant", "operation"), pairs(CASES))
def test_error_is_no_more_than_rounding_explains_and_runs_repeat(name, problem, variant, operation):
    verdict = check_one(name, problem, operation, variant, device="cuda", runs=3)
    assert verdict.error <= verdict.bound
    assert verdict.repeats


# one test per map, so that the list of tests stays readable
@pytest.mark.usefixtures("unwritten_is_nan")
@pytest.mark.parametrize("size", sorted({name.split("-")[0] for name in LARGE_CASES}))
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_maps_of_common_networks_are_right(size, operation):
    failed = []
    for name, problem in LARGE_CASES.items():
        if name.split("-")[0] != size or max(problem.kernel) > 31:
            continue
        # the direct kernel takes seconds to compile for each of these, so it has every fourth
        variant = "toeplitz" if can_run("toeplitz", operation, problem) else "direct"
        if variant == "direct" and max(problem.kernel) not in {3, 7, 13, 31}:
            continue
        verdict = check_one(name, problem, operation, variant, device="cuda")
        failed += [] if verdict.passed else [verdict]
    assert failed == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_error_is_no_larger_than_that_of_torch(dtype, operation):
    problem = same_size(batch=8, channels=32, size=(28, 28), kernel=(13, 13), dtype=dtype)
    tensors = random_tensors(problem, operation, device="cuda")
    want = in_float64(operation, problem, *tensors)
    magnitude = in_float64(operation, problem, *(t.abs() for t in tensors))
    ours, torchs = (
        worst_error(run_variant(variant, operation, problem, *tensors), want, magnitude)
        for variant in (choose(operation, problem).variant, "torch")
    )
    # both round each output once; the rest is the order of the sums
    assert ours <= 1.5 * torchs + 0.05


@pytest.mark.usefixtures("everything_ours")
@pytest.mark.parametrize("kind", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_the_operator_and_its_gradients_agree_with_torch(dtype, kind):
    shapes = ((4, 24, 14, 15), (24, 1, 7, 7), (24,))
    inputs = [torch.randn(s, device="cuda", dtype=dtype, requires_grad=True) for s in shapes]
    x = inputs[0].detach().contiguous(memory_format=kind).requires_grad_()
    y = depthwise_conv2d(x, *inputs[1:])
    assert y.is_contiguous(memory_format=kind)
    doubles = [tensor.detach().double().requires_grad_() for tensor in (x, *inputs[1:])]
    want = functional.conv2d(*doubles, padding=3, groups=24)
    grad = torch.randn_like(y)
    tolerance = (
        {"rtol": 1e-2, "atol": 0.2} if dtype == torch.float16 else {"rtol": 1e-4, "atol": 1e-2}
    )
    torch.testing.assert_close(y.double(), want, **tolerance)
    got = torch.autograd.grad(y, (x, *inputs[1:]), grad)
    for ours, theirs in zip(got, torch.autograd.grad(want, doubles, grad.double()), strict=True):
        torch.testing.assert_close(ours.double(), theirs, **tolerance)


@pytest.mark.usefixtures("everything_ours")
def test_a_training_step_gives_the_same_bits_every_time():
    torch.manual_seed(0)
    layer = DepthwiseConv2d(32, 32, 13, padding=6, groups=32).cuda().half()
    x = torch.randn(8, 32, 28, 28, device="cuda", dtype=torch.float16, requires_grad=True)
    seen = []
    for _ in range(5):
        gradients = torch.autograd.grad(layer(x).square().sum(), (x, *layer.parameters()))
        seen.append(gradients)
    for gradients in seen[1:]:
        assert all(torch.equal(a, b) for a, b in zip(gradients, seen[0], strict=True))


@pytest.mark.usefixtures("everything_ours")
def test_a_captured_graph_computes_on_new_numbers():
    shape = (4, 16, 28, 28)
    x = torch.randn(shape, device="cuda", dtype=torch.float16)
    weight = torch.randn(16, 1, 13, 13, device="cuda", dtype=torch.float16)
    depthwise_conv2d(x, weight)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = depthwise_conv2d(x, weight)
    x.copy_(torch.randn(shape, device="cuda"))
    graph.replay()
    assert torch.equal(y, depthwise_conv2d(x, weight))


@pytest.mark.usefixtures("everything_ours")
def test_calls_on_several_streams_do_not_disturb_each_other():
    weight = torch.randn(16, 1, 13, 13, device="cuda", dtype=torch.float16)
    inputs = [torch.randn(4, 16, 28, 28, device="cuda", dtype=torch.float16) for _ in range(8)]
    want = [depthwise_conv2d(x, weight) for x in inputs]
    torch.cuda.synchronize()
    streams = [torch.cuda.Stream() for _ in inputs]
    got = []
    for stream, x in zip(streams, inputs, strict=True):
        with torch.cuda.stream(stream):
            got.append(depthwise_conv2d(x, weight))
    torch.cuda.synchronize()
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


# torch's compiler advises on tensor cores for float32
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("everything_ours")
def test_registration_compilation_and_autocast_hold_on_the_gpu():
    x = torch.randn(2, 8, 14, 14, device="cuda", requires_grad=True)
    weight = torch.randn(8, 1, 7, 7, device="cuda", requires_grad=True)
    geometry = ((1, 1), (3, 3, 3, 3), (1, 1))
    operator = torch.ops.scaleprof.depthwise_conv2d
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(operator, (x, weight, None, *geometry), test_utils=tests)
    compiled = torch.compile(depthwise_conv2d, fullgraph=True)
    torch.testing.assert_close(compiled(x, weight), depthwise_conv2d(x, weight))
    for dtype in (torch.float16, torch.bfloat16):
        with torch.autocast("cuda", dtype):
            assert depthwise_conv2d(x, weight).dtype == dtype


@pytest.mark.usefixtures("everything_ours")
def test_memory_that_starts_at_an_odd_element_is_read_rightly():
    problem = CASES["whole-rows-of-14"]
    x, weight, bias = random_tensors(problem, "forward", device="cuda")
    shifted = torch.empty(x.numel() + 1, dtype=x.dtype, device="cuda")[1:].view_as(x).copy_(x)
    want = run_variant("toeplitz", "forward", problem, x, weight, bias)
    assert torch.equal(run_variant("toeplitz", "forward", problem, shifted, weight, bias), want)


def test_a_swapped_model_trains_as_the_model_does():
    torch.manual_seed(0)
    theirs = nn.Sequential(
        nn.Conv2d(3, 64, 4, 4), nn.Conv2d(64, 64, 13, padding=6, groups=64), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    ).cuda()  # fmt: skip
    ours = copy.deepcopy(theirs)
    assert replace_depthwise_(ours).swapped == ("1",)
    x = torch.randn(16, 3, 112, 112, device="cuda")
    gradients = []
    for model in (theirs, ours):
        with torch.autocast("cuda", torch.bfloat16):
            model(x).float().square().mean().backward()
        gradients.append(model[1].weight.grad)
    difference = (gradients[0] - gradients[1]).norm() / gradients[0].norm()
    # bfloat16 has 8 bits, and other orders of summing flip the last ones
    assert difference < 0.05


@pytest.mark.slow
def test_a_tensor_beyond_32_bits_of_elements_is_convolved():
    # 2**31 + 2**20 elements of float16: 4.3 GB, and as much for the output
    batch = 2**19 // 196 + 400
    problem = Problem(
        batch=batch, channels=4096, size=(14, 14), kernel=(7, 7), padding=(3,) * 4,
        dtype=torch.float16,
    )  # fmt: skip
    assert batch * 4096 * 196 > 2**31
    if torch.cuda.mem_get_info()[0] < 12 * 2**30:
        pytest.skip("needs 12 GiB of free GPU memory")
    x = torch.randn(batch, 4096, 14, 14, device="cuda", dtype=torch.float16)
    weight = torch.randn(4096, 1, 7, 7, device="cuda", dtype=torch.float16)
    y = run_variant("toeplitz", "forward", problem, x, weight, None)
    for image in (0, batch // 2, batch - 1):
        alone = functional.conv2d(
            x[image : image + 1].float(), weight.float(), padding=3, groups=4096
        )
        torch.testing.assert_close(y[image : image + 1].float(), alone, rtol=2e-3, atol=5e-2)


def test_a_benchmark_times_every_contender():
    problem = same_size(batch=8, channels=64, size=(28, 28), kernel=(7, 7), dtype=torch.float16)
    for operation in OPERATIONS:
        timings = list(bench(operation, problem))
        assert {t.contender for t in timings} == {
            "copy", "toeplitz", "direct", "torch NCHW", "torch NHWC",
        }  # fmt: skip
        assert all(t.failure is None and t.median_s > 0 for t in timings), timings
