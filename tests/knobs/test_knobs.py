import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scaleprof.errors import RecipeError
from scaleprof.knobs import (
    _search,
    base_variant,
    find_knobs,
    resolve_factors,
    resolve_strategy,
)
from scaleprof.knobs._numbers import is_numbers, mean_ratio, scale_widths
from scaleprof.models import ConstructorCall as Call
from scaleprof.models import (
    build_module,
    check_trusted,
    parse_inputs,
    parse_reference,
    resolve_model,
)
from scaleprof.scaling import STRATEGIES

pytest.importorskip("timm")
NETS = str(Path(__file__).parents[1] / "models" / "nets.py")
AXES = ("width", "depth", "resolution")


def knobs_of(model, *inputs, batch=1):
    resolved = resolve_model(parse_reference(model))
    return find_knobs(model, resolved, parse_inputs(inputs, batch=batch) or resolved.inputs)


@pytest.fixture(scope="module")
def convnext():
    return knobs_of("timm:convnext_atto")


@pytest.fixture(scope="module")
def vit():
    return knobs_of("timm:vit_tiny_patch16_224")


@pytest.fixture(scope="module")
def net():
    return knobs_of(f"{NETS}:Net", "3x64x64")


def test_stages_of_a_convolutional_net_are_found(convnext):
    axes = convnext.axes
    assert axes["width"].base == {"dims": (40, 80, 160, 320)}
    assert axes["depth"].base == {"depths": (2, 2, 6, 2)}
    assert axes["resolution"].arguments == ("input",)
    # doubling channels quadruples the products between channels, and doubles the depthwise ones
    assert 1.8 < axes["width"].flops_exponent < 2.0
    assert 0.9 < axes["depth"].flops_exponent <= 1.0


def test_a_transformer_needs_its_image_size_turned_with_the_input(vit):
    assert vit.axes["width"].arguments == ("embed_dim",)
    assert vit.axes["depth"].base == {"depth": 12}
    assert vit.axes["resolution"].arguments == ("input", "img_size")


def test_a_users_own_net_is_scaled_by_its_arguments(net):
    assert net.axes["width"].arguments == ("width",)
    assert net.axes["depth"].arguments == ("depths",)


@pytest.mark.parametrize("strategy", ["d", "r"])
def test_no_rounding_of_one_axis_is_built_twice_for_a_recipe(vit, strategy, monkeypatch):
    attempt, tried = _search.attempt_rest, []

    def noted(knobs, rest, widths, *, width):
        tried.append(rest)
        return attempt(knobs, rest, widths, width=width)

    monkeypatch.setattr(_search, "attempt_rest", noted)
    for multiplier in (0.7, 2.0):
        tried.clear()
        resolve_strategy(vit, strategy, multiplier, axes=AXES)
        assert tried
        assert all(rest not in tried[:i] for i, rest in enumerate(tried))


def test_many_groups_keep_their_width_and_few_their_number():
    knobs = knobs_of(f"{NETS}:Towers", "3x16x16")
    module = build_module(call_of(resolve_factors(knobs, width=1.5).recipe))
    assert (module.many.in_channels, module.many.groups) == (96, 48)
    assert (module.two.in_channels, module.two.groups) == (96, 2)


@pytest.mark.parametrize("multiplier", [0.5, 2.0, 4.0])
def test_widths_stay_multiples_of_their_groups_width(multiplier):
    knobs = knobs_of(f"{NETS}:GroupWidths", "3x32x32")
    recipe = resolve_strategy(knobs, "w", multiplier, axes=AXES).recipe
    group = recipe.arguments["group_width"]
    assert group != 24
    assert all(width % group == 0 for width in recipe.arguments["widths"])
    assert recipe.achieved_multiplier == pytest.approx(multiplier, rel=0.08)


def test_depth_takes_up_what_widths_cannot():
    # swinv2_cr takes heads of 32 channels only: at half the compute, width alone is 6 % off
    knobs = knobs_of("timm:swinv2_cr_tiny_224")
    recipe = resolve_strategy(knobs, "dWr", 0.5, axes=AXES).recipe
    assert recipe.achieved_multiplier == pytest.approx(0.5, rel=0.05)


def test_class_counts_are_not_width(net, convnext):
    assert "num_classes" not in (*net.axes["width"].arguments, *convnext.axes["width"].arguments)


def test_an_axis_that_is_not_there_says_why():
    fixed = knobs_of(f"{NETS}:Fixed", "3x8x8")
    assert all(fixed.axes[axis].status == "none" for axis in AXES)
    assert all(fixed.axes[axis].reason for axis in AXES)
    with pytest.raises(RecipeError, match="scales width"):
        resolve_strategy(fixed, "w", 2.0, axes=AXES)


def test_an_axis_that_may_not_be_scaled_is_refused(convnext):
    with pytest.raises(RecipeError, match="--axes leaves out"):
        resolve_strategy(convnext, "dwr", 2.0, axes=("width", "depth"))


@pytest.mark.parametrize("multiplier", [0.5, 2.0, 4.0, 8.0])
@pytest.mark.parametrize("strategy", ["w", "dwr", "dWr"])
@pytest.mark.parametrize("which", ["convnext", "net"])
def test_compute_comes_near_the_multiplier(which, strategy, multiplier, request):
    knobs = request.getfixturevalue(which)
    recipe = resolve_strategy(knobs, strategy, multiplier, axes=AXES).recipe
    # channels are multiples of 8: at a width of 16, half or double of it is 20 % of compute off
    tolerance = 0.06 if which == "convnext" else 0.4
    assert recipe.achieved_multiplier == pytest.approx(multiplier, rel=tolerance)


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_only_the_strategys_axes_move(convnext, strategy):
    variant = resolve_strategy(convnext, strategy, 4.0, axes=AXES)
    letters = {"depth": "d", "width": "w", "resolution": "r"}
    for axis, factor in variant.recipe.achieved.items():
        moved = letters[axis] in strategy.lower()
        assert (factor > 1.0) if moved else (factor == 1.0), axis
        # nominal and achieved factors differ by rounding alone
        assert abs(math.log(factor / variant.recipe.nominal[axis])) < 0.2


def test_the_recipe_builds_what_was_counted(convnext):
    variant = resolve_strategy(convnext, "dwr", 2.0, axes=AXES)
    recipe = variant.recipe
    call = Call(target=recipe.target, arguments=recipe.arguments, callables=recipe.callables)
    module = build_module(call)
    assert sum(p.numel() for p in module.parameters()) == variant.cost.params
    scope: dict[str, object] = {}
    for line in recipe.imports:
        exec(line, scope)
    pasted = eval(recipe.call, scope)
    shapes = [tuple(p.shape) for p in module.parameters()]
    assert [tuple(p.shape) for p in pasted.parameters()] == shapes
    with torch.inference_mode():
        assert module(torch.zeros(variant.cost.input_shape)).shape == (1, 1000)


def test_attention_heads_still_divide_the_width(vit):
    for multiplier in (0.5, 1.3, 2.0, 3.1):
        arguments = resolve_strategy(vit, "w", multiplier, axes=AXES).recipe.arguments
        assert arguments["embed_dim"] % arguments.get("num_heads", 3) == 0


def test_resolutions_stay_multiples_of_the_stride(vit):
    variant = resolve_strategy(vit, "r", 1.7, axes=AXES)
    assert variant.cost.input_shape[-1] % 32 == 0
    assert variant.recipe.arguments["img_size"] == variant.cost.input_shape[2:]


def test_identifiers_are_the_same_every_time(convnext):
    again = knobs_of("timm:convnext_atto")
    ids = [resolve_strategy(k, "dWr", 2.0, axes=AXES).id for k in (convnext, again)]
    assert ids[0] == ids[1]
    assert base_variant(convnext).id == "base"


def test_a_rounding_that_changes_nothing_is_the_base(convnext):
    assert resolve_strategy(convnext, "r", 1.05, axes=AXES).id == "base"


def call_of(recipe):
    return Call(target=recipe.target, arguments=recipe.arguments, callables=recipe.callables)


def builds_as_pasted(recipe):
    """The printed call, in a scope of its own, gives the shapes of the stored one."""
    call = call_of(recipe)
    scope: dict[str, object] = {}
    for line in recipe.imports:
        exec(line, scope)
    pasted, built = eval(recipe.call, scope), build_module(call, meta=True)
    return [tuple(p.shape) for p in pasted.parameters()] == [
        tuple(p.shape) for p in built.parameters()
    ]


def test_numbers_inside_objects_are_found():
    knobs = knobs_of(f"{NETS}:configured", "3x32x32")
    assert knobs.call.target.endswith(":Configured")
    assert knobs.axes["width"].base == {
        "stages[*].channels": (16, 32),
        "options.stem": 16,
        "head.hidden": 64,
    }
    assert knobs.axes["depth"].base == {"stages[*].blocks": (1, 3)}
    variant = resolve_factors(knobs, width=2.0, depth=2.0)
    stages = variant.recipe.arguments["stages"]
    assert [stage["keywords"]["channels"] for stage in stages] == [32, 64]
    assert sum(stage["keywords"]["blocks"] for stage in stages) == 8
    assert builds_as_pasted(variant.recipe)


def test_blocks_listed_one_by_one_are_repeated_at_the_end_of_their_stage():
    knobs = knobs_of(f"{NETS}:listed", "3x32x32")
    assert knobs.axes["depth"].base == {"len(stages[*])": (1, 2)}
    recipe = resolve_factors(knobs, depth=2.0).recipe
    # a stage of one block keeps it: that block is the one that changes sizes
    assert [len(stage) for stage in recipe.arguments["stages"]] == [1, 5]
    assert builds_as_pasted(recipe)


def test_channels_among_other_items_are_repeated_by_runs():
    knobs = knobs_of(f"{NETS}:Mixed", "3x32x32")
    assert knobs.axes["width"].arguments == ("layers[*]",)
    assert knobs.axes["depth"].arguments == ("runs(layers)",)
    recipe = resolve_factors(knobs, depth=1.5).recipe
    assert recipe.arguments["layers"] == (16, 16, 16, "M", 32, 32, 32, "M")


def test_sizes_that_must_agree_are_turned_together():
    knobs = knobs_of(f"{NETS}:Separate", "3x32x32")
    assert set(knobs.axes["width"].arguments) == {"left", "right", "out"}


def test_a_net_with_sizes_in_its_code_is_built_with_wider_layers():
    knobs = knobs_of(f"{NETS}:HardCoded", "3x32x32")
    assert "scaleprof's own builder" in knobs.axes["width"].how
    assert knobs.call.target.endswith(":HardCoded")
    assert base_variant(knobs).recipe.call.endswith("['HardCoded']()")
    recipe = resolve_factors(knobs, width=1.5, depth=2.0).recipe
    assert recipe.target == "scaleprof.models.scaled:build_scaled"
    assert recipe.arguments["arguments"] == {"depth": 4}
    module = build_module(call_of(recipe))
    sizes = [module.stem[0].out_channels, module.depthwise.groups, module.grouped.groups]
    assert sizes == [24, 24, 2]
    assert (module.head.in_features, module.head.out_features) == (48, 10)
    assert len(module.blocks) == 4
    with torch.inference_mode():
        assert module.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


@pytest.mark.parametrize(
    ("model", "width", "depth"),
    [
        ("timm:efficientnet_b0", "round_chs_fn.multiplier", "len(block_args[*])"),
        ("timm:repvgg_a0", "cfg.width_factor", "cfg.blocks[*].d"),
        ("timm:cs3darknet_focus_s", "cfg.stages.out_chs[*]", "cfg.stages.depth[*]"),
        ("timm:swin_tiny_patch4_window7_224", "embed_dim", "depths"),
        ("timm:resnet18", "channels", "layers"),
    ],
)
def test_nested_configurations_of_published_models_scale_along_every_axis(model, width, depth):
    knobs = knobs_of(model)
    assert width in knobs.axes["width"].arguments
    assert depth in knobs.axes["depth"].arguments
    variant = resolve_strategy(knobs, "dwr", 2.0, axes=AXES)
    assert variant.recipe.achieved_multiplier == pytest.approx(2.0, rel=0.15)
    assert builds_as_pasted(variant.recipe)


def test_blocks_in_rows_are_repeated_where_no_argument_does_it():
    knobs = knobs_of(f"{NETS}:Rows", "3x32x32")
    assert "repeats blocks" in knobs.axes["depth"].how
    recipe = resolve_factors(knobs, depth=2.0, width=1.5).recipe
    assert recipe.arguments["depth"] == 2.0
    layers = build_module(call_of(recipe)).layers
    # stem, four pairs, pooling, six blocks, head: of the inner layers of blocks none is repeated
    assert len(layers) == 1 + 2 * 4 + 1 + 6 + 1
    assert all(len(block) == 2 for block in layers[10:16])
    assert layers[1].out_channels == 24
    with torch.inference_mode():
        assert layers(torch.zeros(1, 3, 32, 32)).shape[1] == 10
    half = build_module(call_of(resolve_factors(knobs, depth=0.5).recipe)).layers
    assert len(half) < len(build_module(knobs.call).layers)


def test_patch_and_kernel_sizes_are_found_and_reported(vit, convnext):
    assert vit.axes["patch_size"].base == {"patch_size": 16}
    # twice the patch, a quarter of the tokens
    assert -2.3 < vit.axes["patch_size"].flops_exponent < -1.7
    assert vit.axes["kernel_size"].status == "none"
    assert vit.axes["kernel_size"].reason
    assert "kernel_sizes" in convnext.axes["kernel_size"].arguments
    assert convnext.axes["kernel_size"].flops_exponent > 0


def test_recipes_of_nested_configurations_are_built_without_consent():
    for model in ("timm:efficientnet_b0", "timm:regnetx_002", "torchvision:resnet18"):
        recipe = resolve_factors(knobs_of(model), width=1.5).recipe
        check_trusted(call_of(recipe))


def test_factors_by_hand_are_checked(net):
    with pytest.raises(RecipeError, match="must be positive"):
        resolve_factors(net, width=-1.0)
    with pytest.raises(RecipeError, match="cannot scale depth"):
        resolve_factors(knobs_of(f"{NETS}:Fixed", "3x8x8"), depth=2.0)
    assert resolve_factors(net, settings={"num_classes": 7}).recipe.arguments["num_classes"] == 7


numbers = st.recursive(
    st.integers(1, 2000), lambda inner: st.lists(inner, min_size=1, max_size=4), max_leaves=8
)


@given(numbers, st.floats(0.25, 4.0), st.sampled_from([8, 16, 64]))
def test_scaled_widths_are_positive_and_near(value, factor, step):
    scaled = scale_widths(value, factor, step)
    assert is_numbers(scaled)
    assert mean_ratio(scaled, value) > 0


def test_small_layers_are_not_rounded_away():
    # a channel count of 16 scaled by 0.75 is 12, not 8 or 16
    assert scale_widths(16, 0.75, 8) == 12


def test_channels_are_multiples_of_64_where_that_is_near():
    assert scale_widths((320, 96), 1.41, 8) == (448, 136)
    assert scale_widths(320, 1.41, 24) == 456


@pytest.mark.parametrize(("rounding", "channels"), [("down", 456), ("nearest", 456), ("up", 464)])
def test_channels_are_rounded_the_way_that_is_asked(rounding, channels):
    assert scale_widths(320, 1.434, 8, rounding) == channels


def test_multipliers_given_as_floats_are_scaled_without_rounding():
    assert scale_widths(1.0, 1.3, 8) == 1.3


def test_a_class_that_inherits_its_constructor_has_its_knobs():
    knobs = knobs_of(f"{NETS}:Inherits", "3x64x64")
    assert knobs.axes["width"].arguments == ("width",)
    assert knobs.axes["depth"].arguments == ("depths",)


def test_a_width_that_equals_the_image_is_still_a_width():
    knobs = knobs_of(f"{NETS}:Net(width=64)", "3x64x64")
    assert knobs.axes["width"].arguments == ("width",)


@pytest.mark.parametrize(("size", "step"), [(28, 4), (32, 4), (224, 32), (240, 16), (299, 1)])
def test_resolutions_stay_on_the_grid_of_the_base(size, step):
    knobs = knobs_of(f"{NETS}:Net", f"3x{size}x{size}")
    for multiplier in (0.5, 2.0, 4.0):
        variant = resolve_strategy(knobs, "r", multiplier, axes=AXES)
        assert variant.cost.input_shape[-1] % step == 0
        assert (variant.recipe.achieved_multiplier > 1) == (multiplier > 1)


def test_a_recipe_that_rounding_takes_too_far_is_refused():
    knobs = knobs_of(f"{NETS}:Net(depths=(1, 1))", "3x64x64")
    with pytest.raises(RecipeError, match="too far off"):
        resolve_strategy(knobs, "d", 0.25, axes=AXES)


def test_one_model_has_one_call(net):
    wide = resolve_strategy(net, "w", 2.0, axes=AXES)
    both = resolve_factors(net, width=wide.recipe.achieved["width"], depth=1.01)
    assert both.recipe.achieved["depth"] == 1.0
    assert both.id == wide.id
