"""Axes that arguments do not turn, turned through numbers in the code and sizes of grids."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch

from scaleprof.costs import count_module
from scaleprof.knobs import (
    Knobs,
    base_variant,
    find_knobs,
    resolve_factors,
    resolve_strategy,
)
from scaleprof.knobs._groups import Arguments, find_groups
from scaleprof.knobs._names import may_be_grid, may_be_width, may_divide
from scaleprof.knobs._turned import turned_call
from scaleprof.models import (
    ConstructorCall,
    build_module,
    call_of,
    parse_inputs,
    parse_reference,
    resolve_model,
)

NETS = str(Path(__file__).parents[1] / "models" / "coded_nets.py")
AXES = ("width", "depth", "resolution")
LITERALS = {"constants.Literal.(32, 64, 64)[*]", "constants.Literal.(96)"}


def knobs_of(model, *inputs):
    resolved = resolve_model(parse_reference(model))
    return find_knobs(model, resolved, parse_inputs(inputs) or resolved.inputs)


@pytest.fixture(scope="module")
def literal():
    return knobs_of(f"{NETS}:Literal", "3x64x64")


@pytest.fixture(scope="module")
def defaults():
    return knobs_of(f"{NETS}:Defaults", "3x32x32")


def test_literals_are_turned_with_the_arguments_that_there_are(literal):
    width = literal.axes["width"]
    assert {*width.arguments} == {"stem", *LITERALS}
    assert "scaleprof's own builder" in width.how
    recipe = resolve_factors(literal, width=1.5).recipe
    assert recipe.target == "scaleprof.models.scaled:build_scaled"
    assert recipe.arguments["constants"] == {"Literal": {"(32, 64, 64)": (48, 96, 96), "(96)": 144}}
    assert recipe.arguments["arguments"] == {"stem": 36}


@pytest.mark.parametrize("factor", [0.5, 0.75, 1.25, 1.5, 2.0])
def test_all_channels_move_and_the_variant_learns(literal, factor):
    variant = resolve_factors(literal, width=factor)
    assert variant.recipe.achieved["width"] == pytest.approx(factor, rel=0.1)
    net = build_module(call_of(variant.recipe))
    net(torch.randn(2, 3, 64, 64)).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


def test_what_is_not_turned_stays_out_of_the_call(literal, defaults):
    assert base_variant(literal).recipe.call.endswith("['Literal']()")
    deeper = resolve_factors(literal, depth=2.0).recipe
    assert deeper.call.endswith("['Literal'](blocks=4)")
    # of the numbers in the code, the recipe names those that changed
    larger = resolve_factors(defaults, resolution=1.5).recipe
    assert larger.arguments["constants"] == {"Attention": {"resolution": 6}}


def test_defaults_of_inner_constructors_are_width_where_they_hold_channels(defaults):
    assert {*defaults.axes["width"].arguments} == {"dim", "constants.Attention.key_dim"}
    net = build_module(call_of(resolve_factors(defaults, width=2.0).recipe))
    assert net.blocks[0].qkv.weight.shape == (384, 128)
    # heads divide channels, and are none
    assert net.blocks[0].num_heads == 2


def test_a_grid_that_is_a_default_follows_the_input(defaults):
    axis = defaults.axes["resolution"]
    assert axis.status == "ok"
    assert axis.arguments == ("input", "constants.Attention.resolution")
    for factor, size, grid in ((0.75, 24, 3), (1.25, 40, 5), (2.0, 64, 8)):
        variant = resolve_factors(defaults, resolution=factor)
        assert variant.cost.input_shape[-1] == size
        net = build_module(call_of(variant.recipe))
        assert net.blocks[0].bias.shape == (grid**2, grid**2)
        assert net(torch.zeros(1, 3, size, size)).shape == (1, 10)


def test_a_grid_that_is_an_argument_follows_the_input_by_a_plain_call():
    knobs = knobs_of(f"{NETS}:Tiled", "3x96x96")
    # without it, the net runs on multiples of 96 only; no kernel follows
    assert knobs.axes["resolution"].arguments == ("input", "grid_size")
    smaller = resolve_factors(knobs, resolution=0.75)
    assert smaller.cost.input_shape[-1] == 72
    assert smaller.recipe.call.endswith("['Tiled'](grid_size=9)")


def test_a_model_whose_arguments_do_it_is_not_looked_into():
    knobs = knobs_of(f"{NETS}:Plain", "3x32x32")
    assert knobs.axes["width"].arguments == ("width",)
    assert "constants" not in knobs.arguments.values


def test_knobs_that_were_stored_give_the_same_recipes(literal):
    stored = msgspec.json.decode(msgspec.json.encode(literal), type=Knobs)
    for factors in ({"width": 1.5}, {"depth": 2.0}):
        assert resolve_factors(stored, **factors).id == resolve_factors(literal, **factors).id


def test_strategies_reach_their_compute(literal):
    for strategy in ("w", "dwr", "dWr"):
        recipe = resolve_strategy(literal, strategy, 4.0, axes=AXES).recipe
        assert recipe.achieved_multiplier == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize(
    ("judge", "name", "answer"),
    [
        (may_be_width, "constants.pkg.nets:Attention2dDownsample.key_dim", True),
        (may_be_width, "constants.Net.kernel_size", False),
        (may_divide, "constants.MultiHeadAttention.resolution", False),
        (may_divide, "constants.Attention.num_heads", True),
        (may_be_grid, "constants.PatchEmbed.grid_size", True),
        (may_be_grid, "cfg.blocks[*].group_size", False),
        # channels of the stem, and what weights are at first
        (may_be_width, "num_init_features", True),
        (may_be_width, "layer_scale_init_value", False),
    ],
)
def test_a_number_is_judged_by_its_own_name_and_not_by_its_class(judge, name, answer):
    assert judge(name) is answer


PASTED = """
from scaleprof.costs import count_module
from scaleprof.records import InputSpec
cost = count_module(model.to("meta"), [InputSpec(shape={shape})])
print([tuple(p.shape) for p in model.parameters()], cost.macs)
"""


@pytest.mark.parametrize(
    ("model", "inputs", "factors"),
    [
        pytest.param("Literal", "3x64x64", {"width": 1.25, "depth": 2.0}, id="literals"),
        pytest.param("Defaults", "3x32x32", {"width": 0.75, "resolution": 1.5}, id="defaults"),
    ],
)
def test_the_call_in_a_fresh_interpreter_gives_the_same_model(model, inputs, factors):
    variant = resolve_factors(knobs_of(f"{NETS}:{model}", inputs), **factors)
    built = build_module(call_of(variant.recipe), meta=True)
    macs = count_module(built, variant.cost.inputs).macs
    lines = [*variant.recipe.imports, f"model = {variant.recipe.call}"]
    code = "\n".join([*lines, PASTED.format(shape=variant.cost.inputs[0].shape)])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{[tuple(p.shape) for p in built.parameters()]} {macs}"


@pytest.mark.parametrize(
    ("model", "axis", "part"),
    [
        ("timm:efficientformer_l1", "resolution", "Attention.resolution"),
        ("timm:bat_resnext26ts", "resolution", "block_size"),
        ("timm:dpn107", "width", "(64, 128, 256, 512)"),
        ("timm:nextvit_small", "width", "(96)"),
        ("timm:efficientformerv2_s0", "width", "Attention2d.key_dim"),
    ],
)
def test_published_models_with_sizes_in_their_code_have_every_axis(model, axis, part):
    pytest.importorskip("timm")
    knobs = knobs_of(model)
    assert {name: knobs.axes[name].status for name in AXES} == dict.fromkeys(AXES, "ok")
    assert any(part in name for name in knobs.axes[axis].arguments)


def test_an_argument_of_that_name_is_the_models_own():
    call = ConstructorCall(target=f"{NETS}:Net", arguments={"constants": 64})
    arguments = Arguments({"constants": 64})
    groups = find_groups(arguments.values)
    got = turned_call(call, arguments, groups, {"constants": [96]})
    assert got == ConstructorCall(target=f"{NETS}:Net", arguments={"constants": 96})
