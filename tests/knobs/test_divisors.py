"""Widths of networks whose channels must divide by something."""

from pathlib import Path

import pytest
import torch
from torch import nn

from scaleprof.knobs import find_knobs, resolve_factors
from scaleprof.knobs._groups import Arguments, Group
from scaleprof.knobs._inner import with_inner_defaults
from scaleprof.knobs._names import may_be_width
from scaleprof.knobs._ways import _uniform
from scaleprof.models import build_module, call_of, parse_inputs, parse_reference, resolve_model
from scaleprof.models.scaled import build_scaled

NETS = str(Path(__file__).parents[1] / "models" / "nets.py")
FACTORS = (0.5, 0.75, 1.25, 1.5, 2.0)
LAYERS = ("width of all layers",)


def knobs_of(model, *inputs):
    resolved = resolve_model(parse_reference(model))
    return find_knobs(model, resolved, parse_inputs(inputs))


def widened(knobs, factor):
    """What a recipe builds, having run on an input of ones."""
    variant = resolve_factors(knobs, width=factor)
    module = build_module(call_of(variant.recipe))
    module(torch.ones(1, *knobs.inputs[0].shape[1:]))
    return variant, module


def assert_rises_with_every_factor(knobs):
    factors = sorted((*FACTORS, 1.0))
    macs = [resolve_factors(knobs, width=factor).cost.macs for factor in factors]
    assert macs == sorted(set(macs))


def test_norms_get_groups_that_divide_their_channels():
    knobs = knobs_of(f"{NETS}:GroupNormed", "3x8x8")
    assert knobs.axes["width"].arguments == LAYERS
    assert_rises_with_every_factor(knobs)
    _, module = widened(knobs, 0.75)
    # 48 channels in 24 or 16 groups; each of 24 channels alone; all of 24 together
    groups = [(m.num_groups, m.num_channels) for m in module.modules() if type(m) is nn.GroupNorm]
    assert groups == [(24, 24), (24, 48), (1, 24)]


@pytest.mark.parametrize(("width", "groups"), [(0.5, 32), (0.75, 24), (1.25, 40), (2.0, 32)])
def test_a_norm_keeps_its_groups_or_the_nearest_number_that_divides(width, groups):
    # of 32, 48, 80 and 128 channels; by ratio, 24 is nearer to 32 than 48 is, and 40 than 20
    assert build_scaled(lambda: nn.GroupNorm(32, 64), width=width).num_groups == groups


def test_stages_of_one_group_stay_so_and_others_scale_along():
    knobs = knobs_of(f"{NETS}:LateDepthwise", "3x8x8")
    assert_rises_with_every_factor(knobs)
    # twice the channels divide by the groups that there were
    for factor in FACTORS[:-1]:
        _, module = widened(knobs, factor)
        dense, depthwise = module.layers[1], module.layers[3]
        assert dense.groups == 1
        assert depthwise.groups == depthwise.in_channels == 128 * factor


def test_groups_of_one_channel_stay_so_whatever_they_are_called():
    assert knobs_of(f"{NETS}:SizesOfGroups", "3x8x8").axes["width"].arguments == ("widths",)


def test_a_finer_divisor_is_taken_where_channels_do_not_divide():
    knobs = knobs_of(f"{NETS}:Divided", "3x8x8")
    assert knobs.axes["width"].arguments == ("width_factor",)
    assert_rises_with_every_factor(knobs)
    # 60 and 100 channels become 56 and 96: neither 16 nor 20 divides both
    variant, _ = widened(knobs, 1.25)
    assert variant.recipe.achieved["width"] == 1.25
    assert variant.recipe.arguments == {"width_factor": 1.25, "group_size": 8}


def test_what_divides_by_default_is_turned_where_channels_do_not_divide():
    knobs = knobs_of(f"{NETS}:InnerDefaults", "3x8x8")
    assert knobs.axes["width"].arguments == ("width",)
    assert_rises_with_every_factor(knobs)
    # 12 channels of what 48 are narrowed to
    variant, module = widened(knobs, 0.75)
    assert module.norm.num_groups == 12
    assert "norm_layer=functools.partial(" in variant.recipe.call
    assert "groups=12)" in variant.recipe.call


def test_all_layers_are_widened_where_arguments_leave_many_behind():
    knobs = knobs_of(f"{NETS}:MostlyWide", "3x8x8")
    assert knobs.axes["width"].arguments == LAYERS
    _, module = widened(knobs, 1.5)
    assert module.stem.out_channels == module.inner[0].out_channels == 48


def test_arguments_stay_the_knob_where_layers_cannot_be_widened():
    knobs = knobs_of(f"{NETS}:MostlyWide(flat=True)", "3x8x8")
    assert knobs.axes["width"].arguments == ("width",)


def test_a_width_that_gives_the_base_again_is_not_believed():
    axis = knobs_of(f"{NETS}:Stepped", "3x8x8").axes["width"]
    assert axis.status == "partial"
    assert axis.reason == "nothing near ×0.5, ×0.75 builds and runs"


def group(name, *values):
    paths = tuple((name, i) for i in range(len(values)))
    return Group(name=name, kind="values", paths=paths, values=values, base=values)


@pytest.mark.parametrize(
    ("values", "scaled"),
    [
        pytest.param((1,), [0.75], id="a multiplier that happens to be whole"),
        pytest.param((8, 4, 2, 1), [6, 3, 2, 1], id="counts, of which some are small"),
        pytest.param((1, 1), [1, 1], id="sizes of depthwise groups"),
        pytest.param((64, 0), [48, 0], id="none stays none"),
    ],
)
def test_fractions_of_whole_numbers_stay_whole_unless_they_multiply(values, scaled):
    heads = group("heads", 1, 32)
    assert _uniform([group("width", *values)], 4, [heads], 0.75) == {
        "width": scaled,
        "heads": [1, 24],
    }


@pytest.mark.parametrize("name", ["sr_ratios", "config.sr_ratios[*]", "attn.block_size"])
def test_strides_and_sides_inside_attention_are_no_width(name):
    assert not may_be_width(name)


def test_classes_in_dictionaries_are_found_by_their_keys():
    arguments = Arguments({"norms": {"0": "torch.nn:GroupNorm"}}, ("norms.0",))
    assert with_inner_defaults(arguments) == arguments
