"""The operator as its users call it, on the CPU: values, gradients, registration, refusals."""

import itertools

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from scaleprof_kernels import LSConv, small_kernel_aggregation
from scaleprof_kernels._aggregate import can_aggregate
from scaleprof_kernels._aggregation_problem import Aggregation

operator = torch.ops.scaleprof.small_kernel_aggregation
gradients = torch.ops.scaleprof.small_kernel_aggregation_grads
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
BORDERS = ("zeros", "clamped")


def tensors(*, channels=6, groups=2, size=(5, 6), side=3, dtype=torch.float64, batch=2):
    shapes = (
        (batch, channels, *size),
        (batch, channels // groups, side**2, *size),
    )
    return [torch.randn(shape, dtype=torch.float64).to(dtype) for shape in shapes]


def unfolded(x, weight):
    """The definition by unfolding, with zeros around the image."""
    batch, _, height, width = x.shape
    side = int(weight.shape[2] ** 0.5)
    windows = functional.unfold(x, side, padding=side // 2)
    windows = windows.view(batch, -1, weight.shape[1], side**2, height, width)
    return torch.einsum("nmgkhw,ngkhw->nmghw", windows, weight).flatten(1, 2)


def element_by_element(x, weight):
    """The definition with a clamped border, as it is written."""
    _, channels, height, width = x.shape
    side = int(weight.shape[2] ** 0.5)
    y = torch.zeros_like(x)
    for c, i, j, h, w in itertools.product(
        range(channels), range(side), range(side), range(height), range(width)
    ):
        row = min(max(h - side // 2, 0), height - side) + i
        col = min(max(w - side // 2, 0), width - side) + j
        y[:, c, h, w] += x[:, c, row, col] * weight[:, c % weight.shape[1], i * side + j, h, w]
    return y


# 40 and 24 weight channels are those of LSNet-S
@pytest.mark.parametrize(
    ("channels", "groups"), [(6, 2), (5, 1), (7, 7), (320, 8), (192, 8)], ids=str
)
@pytest.mark.parametrize("side", [1, 3, 5, 7])
def test_equals_unfolding(channels, groups, side):
    x, weight = tensors(channels=channels, groups=groups, side=side)
    torch.testing.assert_close(small_kernel_aggregation(x, weight), unfolded(x, weight))


@pytest.mark.parametrize("side", [3, 5])
def test_a_clamped_border_moves_windows_into_the_image(side):
    x, weight = tensors(side=side)
    got = small_kernel_aggregation(x, weight, border="clamped")
    torch.testing.assert_close(got, element_by_element(x, weight))


@pytest.mark.parametrize("border", BORDERS)
def test_first_and_second_gradients_equal_differences(border):
    inputs = [tensor.requires_grad_() for tensor in tensors(size=(4, 3))]

    def call(x, weight):
        return small_kernel_aggregation(x, weight, border=border)

    assert torch.autograd.gradcheck(call, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(call, inputs, fast_mode=True)


@pytest.mark.parametrize("side", [1, 3, 5])
def test_gradients_equal_those_of_unfolding(side):
    inputs = [tensor.requires_grad_() for tensor in tensors(side=side)]
    got, want = small_kernel_aggregation(*inputs), unfolded(*inputs)
    grad = torch.randn_like(got)
    for ours, theirs in zip(
        torch.autograd.grad(got, inputs, grad), torch.autograd.grad(want, inputs, grad), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("wanted", [0, 1], ids=["x", "weight"])
def test_only_the_gradient_that_is_wanted_is_computed(wanted):
    inputs = tensors()
    inputs[wanted].requires_grad_()
    with FlopCounterMode(display=False) as counter:
        small_kernel_aggregation(*inputs).sum().backward()
    assert [tensor.grad is not None for tensor in inputs] == [i == wanted for i in range(2)]
    # one gradient takes as much as the forward pass: 2 FLOPs per output and tap
    assert counter.get_total_flops() == 2 * (2 * 2 * 6 * 5 * 6 * 9)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_sums_are_wide_and_rounded_once(dtype):
    x, weight = tensors(side=7, size=(9, 9), dtype=dtype)
    y = small_kernel_aggregation(x, weight)
    assert y.dtype == dtype
    want = unfolded(x.double(), weight.double())
    magnitude = unfolded(x.double().abs(), weight.double().abs())
    # half a unit for the rounding of a half; a few of float32 for its 49 sums
    units = 4 if dtype in {torch.float32, torch.float64} else 1
    assert ((y.double() - want).abs() <= units * torch.finfo(dtype).eps * magnitude).all()


def test_weights_may_be_wider_than_the_input():
    x, weight = tensors(dtype=torch.float32)
    y = small_kernel_aggregation(x.half(), weight)
    assert y.dtype == torch.float16
    torch.testing.assert_close(y.float(), unfolded(x.half().float(), weight), rtol=2e-3, atol=2e-3)
    x, weight = x.half().requires_grad_(), weight.requires_grad_()
    small_kernel_aggregation(x, weight).sum().backward()
    assert (x.grad.dtype, weight.grad.dtype) == (torch.float16, torch.float32)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("kind", [torch.contiguous_format, torch.channels_last], ids=str)
def test_the_output_and_the_gradient_follow_the_order_of_memory(kind, border):
    x, weight = tensors()
    x = x.contiguous(memory_format=kind).requires_grad_()
    y = small_kernel_aggregation(x, weight, border=border)
    assert y.is_contiguous(memory_format=kind)
    (x_grad,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert x_grad.is_contiguous(memory_format=kind)


# torch's own check reads `.grad` of tensors that are not leaves
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("clamped", [False, True])
def test_the_registration_holds_what_torch_asks_of_one(clamped):
    x, weight = tensors(dtype=torch.float32)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    torch.library.opcheck(operator, (x, weight.requires_grad_(), clamped))
    given = (torch.randn_like(x).detach(), x.detach(), weight.detach(), clamped)
    for wanted in ((True, True), (True, False), (False, True)):
        torch.library.opcheck(gradients, (*given, *wanted))


def test_shapes_without_data_are_those_of_data():
    x, weight = tensors()
    x = x.contiguous(memory_format=torch.channels_last)
    want = operator(x, weight, False)
    meta = small_kernel_aggregation(x.to("meta"), weight.to("meta"))
    assert (meta.shape, meta.stride(), meta.dtype) == (want.shape, want.stride(), want.dtype)
    with FakeTensorMode() as mode:
        fakes = (mode.from_tensor(tensor) for tensor in (x, weight))
        assert operator(*fakes, False).stride() == want.stride()


def test_compiles_whole_with_gradients_and_varying_sizes():
    torch.compiler.reset()
    compiled = torch.compile(
        lambda x, w: small_kernel_aggregation(x, w).relu(), fullgraph=True, dynamic=True
    )
    for size in ((6, 5), (8, 7)):
        inputs = [tensor.requires_grad_() for tensor in tensors(size=size, dtype=torch.float32)]
        want, got = small_kernel_aggregation(*inputs).relu(), compiled(*inputs)
        torch.testing.assert_close(got, want)
        for ours, theirs in zip(
            torch.autograd.grad(got.sum(), inputs),
            torch.autograd.grad(want.sum(), inputs),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_casts_the_input_and_reads_the_weights_as_they_are(dtype):
    x, weight = tensors(dtype=torch.float32)
    with torch.autocast("cpu", dtype):
        got = small_kernel_aggregation(x, weight)
    assert torch.equal(got, small_kernel_aggregation(x.to(dtype), weight))
    x, weight = tensors()
    with torch.autocast("cpu", dtype):
        assert small_kernel_aggregation(x, weight).dtype == torch.float64


def test_an_empty_batch_gives_an_empty_output():
    x, weight = tensors(batch=0)
    y = small_kernel_aggregation(x.requires_grad_(), weight)
    assert y.shape == x.shape
    y.sum().backward()
    assert x.grad.shape == x.shape


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": torch.ones(6, 5, 5)}, ValueError, "`x` must have 4 dimensions, got [6, 5, 5]"),
        ({"x": torch.ones(1, 6, 5, 4)}, ValueError, "[1, weight channels, taps, 5, 4], got"),
        ({"x": torch.ones(2, 6, 5, 5)}, ValueError, "`weight` must be [2, weight channels, taps"),
        ({"x": torch.ones(1, 7, 5, 5)}, ValueError, "`weight` must divide 7 channels, got 3"),
        ({"x": torch.ones(1, 6, 5, 5).int()}, TypeError, "`x` must be floating point, got"),
        ({"x": torch.ones(1, 6, 5, 5).double()}, TypeError, "`weight` must be float64 where"),
        ({"weight": torch.ones(1, 3, 4, 5, 5)}, ValueError, "odd number squared of taps, got 4"),
        ({"weight": torch.ones(1, 3, 8, 5, 5)}, ValueError, "odd number squared of taps, got 8"),
        ({"weight": torch.ones(1, 3, 9, 5)}, ValueError, "`weight` must be [1, weight channels"),
        ({"weight": torch.ones(1, 3, 9, 5, 5, device="meta")}, ValueError, "must be on cpu, as"),
        ({"border": "same"}, ValueError, "`border` must be one of zeros, clamped, got 'same'"),
        ({"weight": torch.ones(1, 3, 49, 5, 5), "border": "clamped"}, ValueError, "at least 7 pix"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named_with_what_was_expected(change, error, message):
    given = {"x": torch.ones(1, 6, 5, 5), "weight": torch.ones(1, 3, 9, 5, 5), **change}
    with pytest.raises(error) as raised:
        small_kernel_aggregation(given.pop("x"), given.pop("weight"), **given)
    assert message in str(raised.value)


def test_what_the_kernel_cannot_address_or_hold_is_left_to_torch():
    pytest.importorskip("triton")
    small = {"batch": 2, "channels": 16, "groups": 8, "size": (14, 14)}
    assert can_aggregate(Aggregation(**small))
    assert not can_aggregate(Aggregation(**small, dtype=torch.float64))
    assert not can_aggregate(Aggregation(**small, kernel_size=9))
    assert can_aggregate(Aggregation(**small, kernel_size=7))
    # an image of 2**31 numbers
    large = {**small, "channels": 2**15, "size": (256, 256)}
    assert not can_aggregate(Aggregation(**large))


def test_bytes_are_those_of_the_tensors():
    x, weight = tensors(dtype=torch.float16)
    problem = Aggregation(
        batch=2, channels=6, groups=2, size=(5, 6), dtype=torch.float16, weight_dtype=torch.float32
    )
    forward = 2 * x.nbytes + weight.float().nbytes
    assert problem.bytes == forward
    assert problem.backward_bytes == forward + x.nbytes + weight.float().nbytes


def test_a_module_adds_its_input_to_what_its_filters_aggregate():
    torch.manual_seed(0)
    module = LSConv(16, kernel_size=5).eval()
    x = torch.randn(2, 16, 6, 5)
    weight = module.lkp(x)
    assert weight.shape == (2, 2, 9, 6, 5)
    # the taps of each filter are normalised together, over all positions
    torch.testing.assert_close(weight.mean((2, 3, 4)), torch.zeros(2, 2), atol=1e-5, rtol=0)
    want = module.bn(unfolded(x, weight)) + x
    torch.testing.assert_close(module(x), want)


def test_a_modules_operator_can_be_torchs():
    module = LSConv(16).eval()
    x = torch.randn(1, 16, 5, 5)
    want = module(x)
    module.ska.by_torch = True
    with FlopCounterMode(display=False) as counter:
        torch.testing.assert_close(module(x), want)
    assert not any("small_kernel" in str(name) for name in counter.get_flop_counts()["Global"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 12}, "multiple of 8 groups and of 2, got 12"),
        ({"dim": 0}, "multiple of 8 groups and of 2, got 0"),
        ({"dim": 16, "kernel_size": 4}, "`kernel_size` must be odd and positive, got 4"),
        ({"dim": 16, "small_kernel_size": 0}, "`small_kernel_size` must be odd and positive, got"),
    ],
)
def test_sizes_that_no_module_has_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        LSConv(arguments.pop("dim"), **arguments)


@pytest.fixture
def module():
    """An LS convolution whose norms are not at their start."""
    torch.manual_seed(0)
    module = LSConv(16).eval()
    for part in (module.lkp.norm.weight, module.lkp.norm.bias, module.bn.running_var):
        torch.nn.init.uniform_(part, 0.5, 1.5)
    return module


def test_the_fused_tails_are_registered_and_are_the_modules_own(module):
    x = torch.randn(2, 16, 6, 5)
    lkp, bn = module.lkp, module.bn
    norms = [lkp.norm.weight, lkp.norm.bias], [bn.weight, bn.bias, bn.running_mean, bn.running_var]
    with torch.no_grad():
        hidden = lkp.hidden(x)
        convolution = [lkp.cv4.weight.view(2, 9, 8), lkp.cv4.bias]
        for name, arguments in {
            "ls_tail": (x, lkp.raw(hidden), *norms, lkp.norm.eps, bn.eps),
            "ls_conv_tail": (x, hidden, convolution, *norms, lkp.norm.eps, bn.eps),
        }.items():
            operator = getattr(torch.ops.scaleprof, name)
            torch.testing.assert_close(operator(*arguments), module(x))
            torch.library.opcheck(operator, arguments)
        # what runs on a GPU where no kernel fits
        torch.testing.assert_close(module._inferred(x), module(x))


def test_flops_of_the_fused_tails_are_those_of_products_and_sums(module):
    x = torch.randn(2, 16, 6, 5)
    norm, bn = module.lkp.norm, module.bn
    with torch.no_grad():
        hidden = module.lkp.hidden(x)
        raw = module.lkp.raw(hidden)
        with FlopCounterMode(display=False) as from_filters:
            module.tail(x, raw, norm, bn)
        with FlopCounterMode(display=False) as from_hidden:
            filters, bias = module.lkp.cv4.weight.detach(), module.lkp.cv4.bias.detach()
            module.conv_tail(x, hidden, filters.view(2, 9, 8), bias, norm, bn)
        with FlopCounterMode(display=False) as product:
            module.lkp.raw(hidden)
    assert from_filters.get_total_flops() == 2 * x.numel() * 9
    want = from_filters.get_total_flops() + product.get_total_flops()
    assert from_hidden.get_total_flops() == want


def test_the_fused_tails_go_through_torchs_compiler(module):
    x = torch.randn(2, 16, 6, 5)
    norm, bn, lkp = module.lkp.norm, module.bn, module.lkp

    def both(x):
        hidden = lkp.hidden(x)
        whole = module.conv_tail(x, hidden, lkp.cv4.weight.view(2, 9, 8), lkp.cv4.bias, norm, bn)
        return whole, module.tail(x, lkp.raw(hidden), norm, bn)

    with torch.no_grad():
        for got in torch.compile(both, fullgraph=True, backend="aot_eager")(x):
            torch.testing.assert_close(got, module(x))


def test_a_tail_on_a_cpu_is_said_to_run_on_torch(module):
    x = torch.randn(2, 16, 6, 5)
    hidden = module.lkp.hidden(x)
    filters = module.lkp.cv4.weight.view(2, 9, 8)
    assert module.conv_tail.kernel_of(x, hidden, filters) == "torch"
    assert module.tail.kernel_of(x, module.lkp.raw(hidden)) == "torch"


@pytest.mark.parametrize("dynamic", [False, True])
def test_which_tail_runs_is_decided_within_torchs_compiler(dynamic):
    pytest.importorskip("triton")
    from scaleprof_kernels._ls_choices import choose_tail
    from scaleprof_kernels.ls_conv_tail import conv_problem_of

    def decided(x, hidden, filters):
        variant = choose_tail(conv_problem_of(x, hidden, filters, 0.0, 0.0)).variant
        return x + ("product", "norm", "parts").index(variant)

    compiled = torch.compile(decided, fullgraph=True, dynamic=dynamic, backend="eager")
    filters = torch.zeros(2, 9, 8, dtype=torch.float16)
    for size, want in ((7, 0), (14, 0), (28, 1), (90, 2)):
        images = [torch.zeros(1, c, size, size, dtype=torch.float16) for c in (16, 8)]
        assert compiled(*images, filters)[0, 0, 0, 0] == want
