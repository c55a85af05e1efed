"""LS convolution on a real GPU: kernels against float64, the operator as models call it."""

import pytest
import torch

from scaleprof_kernels import LSConv, small_kernel_aggregation
from scaleprof_kernels.bench_aggregation import PASSES, TAILS, bench_aggregation, unfolded
from scaleprof_kernels.check_aggregation import (
    AGGREGATION_CASES,
    LARGE_AGGREGATION_CASES,
    aggregation,
    check_aggregation,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]
ALL = AGGREGATION_CASES | LARGE_AGGREGATION_CASES


@pytest.mark.parametrize("name", ALL)
def test_error_is_no_more_than_rounding_explains_and_runs_repeat(name):
    verdicts = list(check_aggregation({name: ALL[name]}))
    assert verdicts
    assert [verdict for verdict in verdicts if not verdict.passed] == []


@pytest.mark.parametrize("kind", [torch.contiguous_format, torch.channels_last], ids=str)
def test_the_operator_and_its_gradients_agree_with_unfolding(kind):
    x = torch.randn(4, 24, 14, 13, device="cuda").contiguous(memory_format=kind)
    weight = torch.randn(4, 3, 9, 14, 13, device="cuda")
    inputs = [x.requires_grad_(), weight.requires_grad_()]
    got, want = small_kernel_aggregation(*inputs), unfolded(*inputs)
    assert got.is_contiguous(memory_format=kind)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
    grad = torch.randn_like(got)
    for ours, theirs in zip(
        torch.autograd.grad(got, inputs, grad), torch.autograd.grad(want, inputs, grad), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)


def test_a_training_step_under_autocast_gives_the_same_bits_every_time():
    torch.manual_seed(0)
    module = LSConv(64).cuda().train()
    x = torch.randn(8, 64, 14, 14, device="cuda")
    seen = []
    for _ in range(3):
        given = x.detach().requires_grad_()
        with torch.autocast("cuda", torch.bfloat16):
            aggregated = module.ska(given, module.lkp(given.detach()).detach())
            seen.append(torch.autograd.grad(aggregated.float().square().sum(), given)[0])
    assert all(torch.equal(gradient, seen[0]) for gradient in seen)


def test_a_captured_graph_computes_on_new_numbers():
    x = torch.randn(4, 16, 14, 14, device="cuda", dtype=torch.float16)
    weight = torch.randn(4, 2, 9, 14, 14, device="cuda", dtype=torch.float16)
    small_kernel_aggregation(x, weight)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = small_kernel_aggregation(x, weight)
    x.copy_(torch.randn_like(x))
    graph.replay()
    assert torch.equal(y, small_kernel_aggregation(x, weight))


# torch's compiler advises on tensor cores for float32
@pytest.mark.filterwarnings("ignore")
def test_compilation_and_registration_hold_on_the_gpu():
    x = torch.randn(2, 16, 7, 7, device="cuda", requires_grad=True)
    weight = torch.randn(2, 2, 9, 7, 7, device="cuda", requires_grad=True)
    operator = torch.ops.scaleprof.small_kernel_aggregation
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(operator, (x, weight, False), test_utils=tests)
    compiled = torch.compile(small_kernel_aggregation, fullgraph=True)
    torch.testing.assert_close(compiled(x, weight), small_kernel_aggregation(x, weight))


def test_a_benchmark_times_every_contender():
    problem = aggregation(batch=8, channels=64, groups=8, size=(14, 14), dtype="float16")
    for operation in (*PASSES, *TAILS):
        timings = list(bench_aggregation(operation, problem))
        assert all(t.failure is None and t.median_s > 0 for t in timings), timings


@pytest.mark.parametrize("size", [7, 14, 28])
def test_the_fused_tail_is_what_the_module_computes_in_training_form(size):
    torch.manual_seed(0)
    module = LSConv(64).cuda().eval().half()
    x = torch.randn(4, 64, size, size, device="cuda", dtype=torch.float16)
    # with gradients wanted, nothing is fused
    want = module(x).detach()
    with torch.no_grad():
        torch.testing.assert_close(module(x), want, rtol=1e-2, atol=2e-2)
