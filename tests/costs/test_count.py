import copy
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

from scaleprof.costs import count_module
from scaleprof.records import InputSpec


def count(module, *shape, **kwargs):
    return count_module(module, [InputSpec(shape=shape)], **kwargs)


def by_name(cost):
    return {row.operator: row for row in cost.operators}


class Attention(nn.Module):
    """Attention over 2 heads of 4, fused or written out."""

    def __init__(self, *, fused: bool, causal: bool = False) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)
        self.fused = fused
        self.causal = causal

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, 2, 4).permute(2, 0, 3, 1, 4)
        if self.fused:
            out = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        else:
            out = (q @ k.transpose(-2, -1)).softmax(-1) @ v
        return out.transpose(1, 2).reshape(batch, length, 8)


class Wide(nn.Module):
    """Convolutions of every kind that models use."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.depthwise = nn.Conv2d(8, 8, 5, padding=2, groups=8)
        self.dilated = nn.Conv2d(8, 8, 3, padding="same", dilation=2)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Conv1d(4, 2, 3)

    def forward(self, x):
        x = functional.relu(self.stem(x), inplace=True)
        x = self.dilated(functional.gelu(self.depthwise(x)) * x.mean((2, 3), keepdim=True) + 1.0)
        x = self.norm(self.up(x)).flatten(2)
        return torch.einsum("bcl,bdl->bcd", self.head(x), x[:, :, 2:])


ARCHITECTURES = [
    pytest.param(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)), (5, 8), id="mlp"),
    pytest.param(Wide(), (2, 3, 16, 16), id="convolutions"),
    pytest.param(Attention(fused=True), (2, 7, 8), id="fused-attention"),
    pytest.param(Attention(fused=False), (2, 7, 8), id="written-out-attention"),
    pytest.param(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 7, 8), id="encoder"),
]


@pytest.mark.parametrize(("module", "shape"), ARCHITECTURES)
def test_flops_equal_those_of_torch(module, shape):
    with torch.no_grad(), FlopCounterMode(display=False) as reference:
        copy.deepcopy(module).eval().to("meta")(torch.empty(shape, device="meta"))
    assert count(module, *shape).flops == reference.get_total_flops()


def test_a_convolution_is_counted_by_hand():
    # 10x10 outputs, 8 channels, each a dot product over 3 channels and a 3x3 window
    cost = count(nn.Conv2d(3, 8, 3), 2, 3, 12, 12)
    assert cost.activations == 2 * 8 * 10 * 10
    assert cost.macs == cost.activations * 3 * 9
    assert cost.flops == 2 * cost.macs
    assert cost.params == 8 * 3 * 9 + 8
    assert cost.activation_bytes == 4 * cost.activations
    assert cost.traffic_bytes == 4 * (2 * 3 * 12 * 12 + cost.params + cost.activations)


def test_activations_of_attention_do_not_depend_on_its_implementation():
    fused, written_out = (count(Attention(fused=f), 2, 7, 8) for f in (True, False))
    # the projection, the scores of 2 heads, and their product with the values
    assert fused.activations == 2 * 7 * 24 + 2 * 2 * 7 * 7 + 2 * 2 * 7 * 4
    assert written_out.activations == fused.activations
    assert written_out.macs == fused.macs
    assert written_out.traffic_bytes > fused.traffic_bytes


def test_causal_attention_is_counted_whole():
    causal, plain = (count(Attention(fused=True, causal=c), 2, 7, 8) for c in (True, False))
    assert causal.macs == plain.macs


def test_the_batch_multiplies_compute_but_not_parameters():
    one, four = (count(Wide(), n, 3, 16, 16) for n in (1, 4))
    assert four.macs == 4 * one.macs
    assert four.activations == 4 * one.activations
    assert four.params == one.params


def test_half_precision_halves_bytes_but_not_counts():
    whole = count(nn.Linear(8, 8), 4, 8)
    half = count_module(nn.Linear(8, 8).half(), [InputSpec(shape=(4, 8), dtype="float16")])
    assert (half.macs, half.activations) == (whole.macs, whole.activations)
    assert half.traffic_bytes * 2 == whole.traffic_bytes
    assert half.peak_bytes * 2 == whole.peak_bytes


def test_peak_bytes_follow_the_lifetime_of_storages():
    # weights 3 x 400 + 3 x 40, input 40; at the second layer its input and output are alive: the
    # model's input is held by the caller, the first output dies when the third is made
    chain = nn.Sequential(*(nn.Linear(10, 10) for _ in range(3)))
    weights = 3 * (400 + 40)
    assert count(chain, 1, 10).peak_bytes == weights + 40 + 2 * 40


def test_views_and_in_place_operators_take_no_memory():
    class Views(nn.Module):
        def forward(self, x):
            return x.view(2, 50).t().relu_().reshape(100)[::2]

    # the reshape of a transposed tensor copies once
    assert count(Views(), 100).peak_bytes == 400 + 400


def test_a_broadcast_tensor_is_read_once():
    class Broadcast(nn.Module):
        def forward(self, x):
            return x.expand(1000, 10) * 2.0

    cost = count(Broadcast(), 1, 10)
    assert by_name(cost)["aten::mul"].read_bytes == 40


def test_shared_weights_count_once():
    tied = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    tied[1].weight = tied[0].weight
    cost = count(tied, 1, 4)
    assert cost.params == 16
    assert cost.weight_bytes == 64
    assert cost.macs == 32


def test_buffers_have_bytes_but_are_no_parameters():
    cost = count(nn.BatchNorm2d(4), 1, 4, 2, 2)
    # weight, bias; running mean and variance, and the number of batches, an int64
    assert cost.params == 8
    assert cost.weight_bytes == 4 * 16 + 8


def test_an_operator_without_a_formula_makes_the_total_partial():
    class Spectral(nn.Module):
        def forward(self, x):
            return torch.fft.rfft(x @ x).abs()

    cost = count(Spectral(), 8, 8)
    assert cost.coverage.status == "partial"
    assert list(cost.coverage.unknown) == ["aten::_fft_r2c"]
    assert by_name(cost)["aten::_fft_r2c"].macs is None
    assert 0 < cost.coverage.unknown_output_share < 1
    # what is known is still counted
    assert cost.macs == 8 * 8 * 8


@pytest.mark.parametrize("ask", [bool, lambda test: test.item(), lambda test: 1 if test else 0])
def test_a_test_on_values_is_taken_as_true_and_noted(ask):
    class Masked(nn.Module):
        def forward(self, x):
            # as attention skips a mask that hides nothing
            return x @ x if ask((x > 0).all()) else x

    cost = count(Masked(), 8, 8)
    assert cost.macs == 8 * 8 * 8
    assert cost.coverage.taken_as_true == 1


def test_a_mask_of_other_sizes_is_an_error_as_it_is_in_torch():
    class Masked(nn.Module):
        def forward(self, x):
            mask = x.new_zeros(1, 1, 6, 6)
            return nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    with pytest.raises(RuntimeError):
        count(Masked(), 1, 2, 8, 4)


def test_a_number_that_depends_on_values_is_an_error():
    class Counting(nn.Module):
        def forward(self, x):
            return x[: int((x > 0).sum())]

    with pytest.raises(RuntimeError, match="meta"):
        count(Counting(), 8, 8)


def test_a_matrix_vector_product_is_unknown_as_torch_has_no_formula():
    class MatrixVector(nn.Module):
        def forward(self, x):
            return x @ x[0]

    coverage = count(MatrixVector(), 4, 4).coverage
    assert coverage.unknown == {"aten::mv": 1}
    # what torch took apart is not listed beside its parts
    assert coverage.counted == {}


def test_a_formula_that_the_user_registers_is_used():
    @torch.library.custom_op("scaleprof_test::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @twice.register_fake
    def _(x):
        return torch.empty_like(x)

    class Twice(nn.Module):
        def forward(self, x):
            return twice(x)

    assert list(count(Twice(), 3, 4).coverage.unknown) == ["scaleprof_test::twice"]
    register_flop_formula(torch.ops.scaleprof_test.twice)(lambda shape, **_: 10)
    from scaleprof.costs import _ledger

    _ledger.kind.cache_clear()
    cost = count(Twice(), 3, 4)
    assert (cost.flops, cost.activations, cost.coverage.status) == (10, 12, "complete")


def test_every_operator_is_counted_free_or_unknown():
    cost = count(Wide(), 1, 3, 16, 16)
    calls = cost.coverage.counted | cost.coverage.free | cost.coverage.unknown
    assert calls == {row.operator: row.calls for row in cost.operators}
    assert set(cost.coverage.counted) == {
        "aten::conv2d", "aten::convolution", "aten::conv1d", "aten::bmm",
    }  # fmt: skip


def test_modules_add_up_to_the_whole():
    model = nn.Sequential(Attention(fused=True), nn.Sequential(nn.Linear(8, 8), nn.GELU()))
    cost = count(model, 2, 7, 8, module_depth=2)
    rows = {row.path: row for row in cost.modules}
    assert rows[""].macs == cost.macs
    assert rows[""].traffic_bytes == cost.traffic_bytes
    assert rows["0"].macs + rows["1"].macs == cost.macs
    assert rows["1.0"].macs == rows["1"].macs == 2 * 7 * 64
    assert rows["1"].params == 72
    assert "0.qkv" in rows
    assert {row.path for row in count(model, 2, 7, 8, module_depth=0).modules} == {""}
    assert count(model, 2, 7, 8).modules is None


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout())
    model[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count(model, 1, 4)
    assert model.training
    assert not model[1].training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not model._forward_hooks


def test_the_model_is_left_as_it_was_even_if_it_fails():
    model = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(RuntimeError):
        count(model, 1, 5)
    assert model.training
    assert model(torch.zeros(1, 4)).shape == (1, 4)


def test_counting_keeps_nothing_alive():
    model = nn.Linear(4, 4)
    alive = weakref.ref(model)
    count(model, 1, 4)
    del model
    assert alive() is None


def test_integer_and_keyword_inputs_are_passed_on():
    class Embedded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(100, 4)

        def forward(self, tokens, *, scale):
            return self.table(tokens) @ scale

    inputs = [
        InputSpec(shape=(2, 5), dtype="int64", high=100),
        InputSpec(shape=(4, 3), name="scale"),
    ]
    cost = count_module(Embedded(), inputs)
    assert cost.macs == 2 * 5 * 4 * 3
    assert cost.input_shape == (2, 5)


@pytest.mark.parametrize(
    ("operation", "shape"),
    [
        pytest.param(lambda x: x * x.mean((1, 2), keepdim=True), (2, 3, 4), id="broadcast-right"),
        pytest.param(lambda x: x[:, :1] + x, (2, 3, 4), id="broadcast-left"),
        pytest.param(lambda x: x[:1, :, :1] + x[:, :1], (2, 3, 4), id="broadcast-both"),
        pytest.param(lambda x: x * 2 + 1.5, (2, 3), id="numbers"),
        pytest.param(lambda x: (x > 0) * 1, (2, 3), id="bool-times-int"),
        pytest.param(lambda x: x.long() * 0.5, (2, 3), id="int-times-float"),
        pytest.param(lambda x: functional.sigmoid(x.long()), (2, 3), id="sigmoid-of-int"),
        pytest.param(lambda x: x * 1j, (2, 3), id="complex"),
        pytest.param(lambda x: x.mean(0), (2, 3), id="mean"),
        pytest.param(lambda x: x.mean(), (2, 3), id="mean-of-all"),
        pytest.param(lambda x: x.mT @ x, (5, 2, 3), id="batched-product"),
        pytest.param(lambda x: x[None] @ x.mT, (5, 2, 3), id="broadcast-product"),
        pytest.param(
            lambda x: functional.conv2d(x, x[:2, :, :3, :3], stride=2), (4, 3, 9, 9), id="conv"
        ),
        pytest.param(
            lambda x: functional.conv2d(x.to(memory_format=torch.channels_last), x[:2, :, :3, :3]),
            (4, 3, 9, 9),
            id="channels-last",
        ),
        pytest.param(lambda x: functional.dropout(x, training=True), (4, 3), id="dropout"),
        pytest.param(lambda x: functional.layer_norm(x.transpose(0, 1), (4,)), (4, 3), id="norm"),
        pytest.param(lambda x: x.permute(2, 0, 1).relu(), (2, 3, 4), id="permuted"),
        pytest.param(lambda x: x.long() / x.long(), (2, 3), id="int-over-int"),
        pytest.param(lambda x: x / x[:1], (2, 3), id="quotient"),
        pytest.param(lambda x: x.long() ** 2, (2, 3), id="int-power"),
        pytest.param(lambda x: x.softmax(1, dtype=torch.float64), (2, 3), id="softmax-as-double"),
        pytest.param(lambda x: x.softmax(-1), (2, 3), id="softmax"),
        pytest.param(lambda x: torch.cat([x, x[:, :1]], dim=-1), (2, 3), id="cat"),
        pytest.param(lambda x: torch.cat([x, x.half()]), (2, 3), id="cat-of-two-types"),
        pytest.param(lambda x: torch.cat([x[0, :0], x[0]]), (2, 3), id="cat-with-nothing"),
        pytest.param(lambda x: torch.cat([x.mT, x.mT]), (2, 3), id="cat-of-transposed"),
    ],
)
def test_outputs_have_the_shape_and_layout_that_torch_gives_them(operation, shape):
    seen = []

    class Probe(nn.Module):
        def forward(self, x):
            out = operation(x)
            seen.append((out.shape, out.dtype, out.stride()))
            return out

    count(Probe(), *shape)
    want = operation(torch.randn(shape))
    assert seen == [(want.shape, want.dtype, want.stride())]


def test_a_compiled_model_counts_as_the_model():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 5))
    assert count(torch.compile(model), 1, 3, 8, 8) == count(model, 1, 3, 8, 8)
