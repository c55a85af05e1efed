"""Our own families: against the published figures, in both forms, as a user names them."""

import subprocess
import sys

import pytest
import torch
from torch import nn

import scaleprof
from scaleprof.costs import count_module
from scaleprof.errors import ModelError
from scaleprof.models import (
    OWN_MODELS,
    ConstructorCall,
    build_module,
    parse_reference,
    resolve_model,
)
from scaleprof.models.lsnet import LSNet, lsnet_t
from scaleprof.models.unireplknet import DilatedReparam, UniRepLKNet
from scaleprof.records import InputSpec

# millions of parameters and 1e9 MACs by size of the input, as printed (a digit more or less is how
# they were rounded): READMEs of THU-MIG/lsnet@cbe737c and AILab-CVC/UniRepLKNet@b5677d8
PUBLISHED = {
    "lsnet_t": ("11.4", {224: "0.3"}),
    "lsnet_s": ("16.1", {224: "0.5"}),
    "lsnet_b": ("23.2", {224: "1.3"}),
    "unireplknet_a": ("4.4", {224: "0.6"}),
    "unireplknet_f": ("6.2", {224: "0.9"}),
    "unireplknet_p": ("10.7", {224: "1.6"}),
    "unireplknet_n": ("18.3", {224: "2.8"}),
    "unireplknet_t": ("31", {224: "4.9"}),
    "unireplknet_s": ("56", {224: "9.1", 384: "26.7"}),
    "unireplknet_b": ("98", {384: "47.2"}),
    "unireplknet_l": ("218", {384: "105.4"}),
    "unireplknet_xl": ("386", {384: "187"}),
}
# parameters of the form for training, counted from the published code with the same arguments
TRAINED = {
    "lsnet_t": 11_409_832, "lsnet_s": 16_146_304, "lsnet_b": 23_313_608,
    "unireplknet_a": 4_649_060, "unireplknet_n": 18_818_880, "unireplknet_s": 56_456_704,
}  # fmt: skip
SMALL = {
    "lsnet_t": {"dims": (16, 32, 48, 64), "depths": (1, 2, 3, 2), "img_size": 64},
    "unireplknet_t": {"dims": (8, 16, 24, 32), "depths": (1, 2, 3, 1)},
}


def call_of(name, **arguments):
    return ConstructorCall(target=OWN_MODELS[name], arguments=arguments)


def counted(name, side, **arguments):
    module = build_module(call_of(name, **arguments), meta=True).eval()
    return count_module(module, [InputSpec(shape=(1, 3, side, side))])


def within_the_last_digit(value, text):
    digits = len(text.partition(".")[2])
    return abs(value - float(text)) < 10**-digits


def randomised(module):
    """Give norms and scales values that a merge which forgets one of them would show."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                part.running_mean.normal_(std=0.2, generator=generator)
                part.running_var.uniform_(0.5, 1.5, generator=generator)
        for parameter in module.parameters():
            parameter.normal_(std=0.15, generator=generator)
    return module.eval()


def test_every_family_member_has_published_figures_to_be_held_against():
    assert set(PUBLISHED) == set(OWN_MODELS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_macs_are_the_published_ones(name):
    params, macs = PUBLISHED[name]
    for side, billions in macs.items():
        cost = counted(name, side, deploy=True)
        assert cost.coverage.status == "complete"
        assert within_the_last_digit(cost.params / 1e6, params)
        assert within_the_last_digit(cost.macs / 1e9, billions)


@pytest.mark.parametrize("name", TRAINED)
def test_the_form_for_training_has_the_parameters_of_the_published_code(name):
    assert counted(name, 224).params == TRAINED[name]


@pytest.mark.parametrize("name", SMALL)
def test_merging_changes_the_output_by_rounding_alone(name):
    module = randomised(build_module(call_of(name, **SMALL[name]))).double()
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    want = module(x)
    assert module.reparameterize() is module
    torch.testing.assert_close(module(x), want, rtol=1e-6, atol=1e-6 * want.abs().max().item())
    before = sum(p.numel() for p in module.parameters())
    # a second time changes nothing
    torch.testing.assert_close(module.reparameterize()(x), want, rtol=1e-6, atol=1e-5)
    assert sum(p.numel() for p in module.parameters()) == before


@pytest.mark.parametrize("name", SMALL)
def test_nothing_that_could_be_merged_is_left(name):
    module = build_module(call_of(name, **SMALL[name], deploy=True))
    norms = [p for p, part in module.named_modules() if isinstance(part, nn.BatchNorm2d)]
    # weights of LS convolution are shared by channels whose norms are not
    assert all(path.endswith("mixer.bn") for path in norms)
    assert not any(isinstance(m, DilatedReparam) and m.branches for m in module.modules())


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_learns(name):
    # attention over a single position would have nothing to learn
    larger = {"img_size": 128} if name == "lsnet_t" else {}
    module = randomised(build_module(call_of(name, **{**SMALL[name], **larger}))).train()
    module(torch.randn(2, 3, 128, 128)).square().mean().backward()
    silent = [path for path, p in module.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_a_second_classifier_trains_beside_the_first_and_is_averaged_afterwards():
    module = randomised(LSNet(**SMALL["lsnet_t"], distillation=True))
    x = torch.randn(2, 3, 64, 64)
    averaged = module(x)
    module.train()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.eval()
    first, second = module(x)
    torch.testing.assert_close((first + second) / 2, averaged)


def test_a_dropped_block_passes_its_input_on():
    module = UniRepLKNet(**SMALL["unireplknet_t"], drop_path_rate=1.0).train()
    last = module.stages[-1][-1]
    last.drop_path = 1 - 1e-9
    x = torch.randn(4, 32, 2, 2)
    assert torch.equal(last(x), x)


def test_only_the_first_block_of_a_period_has_the_large_kernel():
    module = UniRepLKNet(depths=(1, 1, 5, 1), kernel_sizes=(3, 7, 9, 11), kernel_periods=(1,) * 4)
    sizes = [[_taps(block) for block in stage] for stage in module.stages]
    assert sizes == [[3], [7], [9] * 5, [11]]
    module = UniRepLKNet(depths=(1, 1, 5, 1), kernel_periods=(1, 1, 3, 1))
    assert [_taps(block) for block in module.stages[2]] == [13, 3, 3, 13, 3]


def _taps(block):
    return getattr(block.dwconv, "lk_origin", block.dwconv).kernel_size[0]


@pytest.mark.parametrize("size", [7, 9, 11, 13, 15, 17, 19, 31])
def test_branches_of_every_kernel_size_lie_inside_it(size):
    block = DilatedReparam(4, size)
    convs = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
    assert max(d[0] * (k[0] - 1) + 1 for k, d in ((c.kernel_size, c.dilation) for c in convs)) == (
        size
    )
    assert len(convs) >= 4


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("lsnet_t", {"dims": (1, 2)}, "4 `dims`, 4 `depths` and 3 `kernel_sizes` are needed"),
        ("lsnet_t", {"kernel_sizes": (7, 6, 7)}, "`kernel_size` must be odd and positive, got 6"),
        ("lsnet_t", {"dims": (64, 100, 256, 384)}, "`dim` must be a multiple of 8 groups"),
        ("unireplknet_t", {"depths": (1, 1)}, "each of 4 stages needs its values"),
        ("unireplknet_t", {"kernel_sizes": (3, 12, 13, 13)}, "odd and positive, got (3, 12, 13,"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(name, arguments, message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text is compared
        build_module(call_of(name, **arguments))
    assert message in str(raised.value)


@pytest.mark.parametrize("name", OWN_MODELS)
def test_a_bare_name_is_the_form_for_inference(name):
    resolved = resolve_model(parse_reference(name))
    assert resolved.call == call_of(name, deploy=True)
    assert resolved.inputs == (InputSpec(shape=(1, 3, 224, 224)),)


def test_a_bare_name_takes_arguments():
    resolved = resolve_model(parse_reference("lsnet_t(deploy=False, img_size=256)"))
    assert resolved.call == call_of("lsnet_t", deploy=False, img_size=256)
    assert resolved.inputs[0].shape == (1, 3, 256, 256)


def test_another_bare_name_is_refused_with_the_names_there_are():
    with pytest.raises(ModelError) as raised:
        parse_reference("lsnet_x")
    assert "lsnet_t" in raised.value.hint


def test_a_report_may_build_our_families_without_consent():
    call = call_of("lsnet_t", **SMALL["lsnet_t"])
    assert isinstance(build_module(call, meta=True, trust=False), LSNet)


@pytest.mark.parametrize("name", ["lsnet_t", "unireplknet_t"])
def test_the_knobs_are_found(name):
    axes = scaleprof.knobs(name).axes
    assert {axis: found.status for axis, found in axes.items()} == {
        "width": "ok", "depth": "ok", "resolution": "ok", "patch_size": "none", "kernel_size": "ok",
    }  # fmt: skip
    assert "dims" in axes["width"].arguments
    assert axes["depth"].arguments == ("depths",)
    assert axes["kernel_size"].arguments == ("kernel_sizes",)


def test_timm_builds_them_whichever_was_imported_first():
    script = """
import sys
import {first}
import {second}
import scaleprof.models
scaleprof.models.register_with_timm()
import timm
model = timm.create_model("lsnet_t", num_classes=7, dims=(16, 32, 48, 64))
assert model.head.l.out_features == 7
assert timm.is_model("unireplknet_xl")
assert scaleprof.models.register_with_timm() == ()
try:
    timm.create_model("lsnet_t", pretrained=True)
except ValueError as error:
    assert "no weights of lsnet_t" in str(error)
else:
    raise AssertionError
"""
    pytest.importorskip("timm")
    for order in (("timm", "scaleprof.models.lsnet"), ("scaleprof.models.lsnet", "timm")):
        source = script.format(first=order[0], second=order[1])
        done = subprocess.run([sys.executable, "-c", source], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()


def test_importing_a_family_after_timm_registers_it():
    script = """
import timm, scaleprof.models.lsnet
assert timm.is_model("lsnet_t") and timm.is_model("unireplknet_a")
"""
    pytest.importorskip("timm")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_positions_of_attention_follow_the_size_of_the_input():
    # 100 pixels are 50, 25, 13, 7, 4, 2 after six halvings; 64 are 1
    module = lsnet_t(**{**SMALL["lsnet_t"], "img_size": (100, 64)}).eval()
    assert module(torch.randn(1, 3, 100, 64)).shape == (1, 1000)
