"""The operator as its users call it, on the CPU: values, gradients, registration, refusals."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

import scaleprof_kernels
from scaleprof_kernels import depthwise_conv2d
from scaleprof_kernels.check import CASES, random_tensors

conv, input_grad, weight_grad = (
    getattr(torch.ops.scaleprof, f"depthwise_conv2d{name}")
    for name in ("", "_input_grad", "_weight_grad")
)
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
OPTIONS = [
    pytest.param({"padding": "same"}, id="same"),
    pytest.param({"padding": "same", "dilation": 2}, id="same-dilated"),
    pytest.param({"padding": "valid"}, id="valid"),
    pytest.param({"padding": 3}, id="padded-on-all-sides"),
    pytest.param({"padding": (0, 4), "stride": (2, 1)}, id="stride"),
    pytest.param({"padding": 3, "dilation": (2, 1), "stride": 2}, id="stride-and-dilation"),
]


def tensors(*size, dtype=torch.float64, kernel=(4, 5), channels=4, batch=2):
    shapes = ((batch, channels, *size), (channels, 1, *kernel), (channels,))
    return [torch.randn(shape, dtype=torch.float64).to(dtype) for shape in shapes]


# torch's advice for even filters with "same", which pad unevenly, as ours do
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("options", OPTIONS)
def test_equals_torch_with_as_many_groups_as_channels(options, dtype):
    x, weight, bias = tensors(9, 8, dtype=dtype)
    want = functional.conv2d(x, weight, bias, groups=4, **options)
    torch.testing.assert_close(depthwise_conv2d(x, weight, bias, **options), want)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", [torch.contiguous_format, torch.channels_last], ids=str)
def test_the_output_and_the_gradient_follow_the_order_of_memory(options, kind):
    x, weight, bias = tensors(9, 8)
    x = x.contiguous(memory_format=kind).requires_grad_()
    y = depthwise_conv2d(x, weight, bias, **options)
    assert y.is_contiguous(memory_format=kind)
    (x_grad,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert x_grad.is_contiguous(memory_format=kind)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("options", OPTIONS)
def test_gradients_equal_those_of_torch(options):
    inputs = [tensor.requires_grad_() for tensor in tensors(9, 8)]
    got = depthwise_conv2d(*inputs, **options)
    want = functional.conv2d(*inputs, groups=4, **options)
    grad = torch.randn_like(got)
    for ours, theirs in zip(
        torch.autograd.grad(got, inputs, grad), torch.autograd.grad(want, inputs, grad), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_first_and_second_gradients_equal_differences():
    inputs = [tensor.requires_grad_() for tensor in tensors(5, 4, kernel=(3, 2), channels=2)]
    assert torch.autograd.gradcheck(depthwise_conv2d, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(depthwise_conv2d, inputs, fast_mode=True)


@pytest.mark.parametrize("wanted", [0, 1, 2], ids=["x", "weight", "bias"])
def test_only_the_gradient_that_is_wanted_is_computed(wanted):
    inputs = tensors(6, 6)
    inputs[wanted].requires_grad_()
    with FlopCounterMode(display=False) as counter:
        depthwise_conv2d(*inputs).sum().backward()
    assert [tensor.grad is not None for tensor in inputs] == [i == wanted for i in range(3)]
    names = {str(name) for name in counter.get_flop_counts()["Global"]}
    assert ("scaleprof.depthwise_conv2d_input_grad" in names) == (wanted == 0)
    assert ("scaleprof.depthwise_conv2d_weight_grad" in names) == (wanted == 1)


def test_flops_are_counted_by_hand():
    x, weight, bias = (tensor.requires_grad_() for tensor in tensors(9, 8, kernel=(3, 5)))
    with FlopCounterMode(display=False) as forward:
        y = depthwise_conv2d(x, weight, bias, padding=(1, 2), stride=(2, 1))
    # 2 images, 4 channels, 5x8 outputs, 15 taps, two FLOPs each
    assert forward.get_total_flops() == 2 * 4 * 5 * 8 * 15 * 2
    with FlopCounterMode(display=False) as backward:
        y.sum().backward()
    assert backward.get_total_flops() == 2 * forward.get_total_flops()


# torch's own check reads `.grad` of tensors that are not leaves
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_the_registration_holds_what_torch_asks_of_one():
    x, weight, bias = tensors(9, 8, dtype=torch.float32)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    geometry = ((2, 1), (1, 2, 0, 3), (1, 2))
    y = conv(x, weight, bias, *geometry)
    torch.library.opcheck(conv, (x, weight.requires_grad_(), bias, *geometry))
    torch.library.opcheck(input_grad, (y.detach(), weight.detach(), (9, 8), *geometry))
    torch.library.opcheck(weight_grad, (y.detach(), x.detach(), (4, 5), *geometry))


@pytest.mark.parametrize("name", ["stride-and-dilation", "channels-last", "cropping"])
def test_shapes_without_data_are_those_of_data(name):
    problem = CASES[name]
    x, weight, bias = random_tensors(problem, "forward", device="cpu")
    geometry = problem.stride, problem.padding, problem.dilation
    want = conv(x, weight, bias, *geometry)
    meta = conv(x.to("meta"), weight.to("meta"), bias.to("meta"), *geometry)
    assert (meta.shape, meta.stride(), meta.dtype) == (want.shape, want.stride(), want.dtype)
    with FakeTensorMode() as mode:
        fakes = (mode.from_tensor(tensor) for tensor in (x, weight, bias))
        assert conv(*fakes, *geometry).stride() == want.stride()


def test_compiles_whole_with_gradients_and_varying_sizes():
    torch.compiler.reset()
    compiled = torch.compile(
        lambda x, w, b: depthwise_conv2d(x, w, b).relu(), fullgraph=True, dynamic=True
    )
    for size in ((9, 8), (12, 5)):
        inputs = [tensor.requires_grad_() for tensor in tensors(*size, dtype=torch.float32)]
        want = depthwise_conv2d(*inputs).relu()
        got = compiled(*inputs)
        torch.testing.assert_close(got, want)
        for ours, theirs in zip(
            torch.autograd.grad(got.sum(), inputs),
            torch.autograd.grad(want.sum(), inputs),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_casts_as_it_does_for_torch(dtype):
    x, weight, bias = tensors(6, 6, dtype=torch.float32)
    with torch.autocast("cpu", dtype):
        got = depthwise_conv2d(x, weight, bias)
        want = functional.conv2d(x, weight, bias, groups=4, padding="same")
    assert got.dtype == want.dtype == dtype
    with torch.autocast("cpu", dtype):
        assert depthwise_conv2d(x.double(), weight.double()).dtype == torch.float64


def test_an_empty_batch_gives_an_empty_output_and_no_gradient_of_the_weight():
    x, weight, _ = tensors(6, 7, batch=0)
    y = depthwise_conv2d(x, weight.requires_grad_())
    assert y.shape == (0, 4, 6, 7)
    y.sum().backward()
    assert torch.equal(weight.grad, torch.zeros_like(weight))


def test_an_image_without_a_batch_is_a_batch_of_one():
    x, weight, bias = tensors(6, 7)
    assert torch.equal(depthwise_conv2d(x[0], weight, bias), depthwise_conv2d(x, weight, bias)[0])


def test_several_filters_per_channel_go_to_torch():
    x, weight, _ = tensors(6, 7)
    weight = torch.cat([weight, 2 * weight])
    want = functional.conv2d(x, weight, groups=4, padding="same")
    assert torch.equal(depthwise_conv2d(x, weight), want)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": torch.ones(5, 5)}, ValueError, "`x` must have 4 dimensions, or 3"),
        ({"x": torch.ones(1, 3, 5, 5)}, ValueError, "each of 3 channels, got 2"),
        ({"x": torch.ones(1, 2, 5, 5).int()}, TypeError, "`x` must be floating point, got torch.i"),
        ({"weight": torch.ones(2, 2, 3, 3)}, ValueError, "`weight` must be [channels, 1, height"),
        ({"weight": torch.ones(2, 1, 3, 3).half()}, TypeError, "`weight` must have the dtype of"),
        ({"weight": torch.ones(2, 1, 3, 3, device="meta")}, ValueError, "`weight` must be on cpu"),
        ({"bias": torch.ones(3)}, ValueError, "`bias` must have shape [2], got [3]"),
        ({"stride": 0}, ValueError, "`stride` must be a positive integer or a pair"),
        ({"dilation": (1, 2, 3)}, ValueError, "`dilation` must be a positive integer or a pair"),
        ({"padding": -1}, ValueError, '`padding` must be "same", "valid", an integer from 0'),
        ({"padding": "full"}, ValueError, "or a pair, got 'full'"),
        ({"stride": 2}, ValueError, '`padding` "same" needs stride 1, got stride (2, 2)'),
        ({"padding": 0, "dilation": 4}, ValueError, "reach of 9×9, got 5×5 with padding"),
    ],
)
def test_wrong_arguments_are_named_with_what_was_expected(change, error, message):
    arguments = {"x": torch.ones(1, 2, 5, 5), "weight": torch.ones(2, 1, 3, 3), **change}
    with pytest.raises(error) as raised:
        depthwise_conv2d(arguments.pop("x"), arguments.pop("weight"), **arguments)
    assert message in str(raised.value)


def test_a_copy_of_the_weight_is_not_kept_between_calls():
    x, weight, _ = tensors(6, 6)
    before = depthwise_conv2d(x, weight)
    after = depthwise_conv2d(x, copy.deepcopy(weight).mul_(2))
    torch.testing.assert_close(after, 2 * before)


def run(script):
    """Run a script in a process that finds the package where this one did."""
    environment = {**os.environ, "PYTHONPATH": str(Path(scaleprof_kernels.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_works_where_triton_is_missing():
    script = """
import sys
sys.modules["triton"] = None
import torch, scaleprof_kernels
from scaleprof_kernels.depthwise_conv2d import _problem, _variant
problem = _problem(torch.ones(64, 384, 28, 28), (13, 13), (1, 1), (6, 6, 6, 6), (1, 1))
assert _variant("forward", problem, torch.device("cpu")) == "torch"
y = scaleprof_kernels.depthwise_conv2d(torch.ones(1, 2, 9, 9), torch.ones(2, 1, 7, 7))
assert y[0, 0, 4, 4] == 49
"""
    run(script)


def test_importing_does_not_import_triton_or_scaleprof():
    script = """
import sys, torch, torch.utils.flop_counter
before = set(sys.modules)
import scaleprof_kernels
new = {name.partition(".")[0] for name in set(sys.modules) - before}
assert "scaleprof" not in new, new
assert not any(name.startswith("scaleprof_kernels._toeplitz") for name in sys.modules)
"""
    run(script)
