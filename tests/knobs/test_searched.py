"""Sizes of kernels and patches around a variant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scaleprof
from scaleprof.errors import RecipeError
from scaleprof.jobs._requests import KnobsRequest, ScaleRequest
from scaleprof.jobs._scale import probe, resolve
from scaleprof.knobs._searched import next_patch, odd_size
from scaleprof.models import build_module, call_of, parse_inputs, parse_reference

SMALL = "dims=(8, 16, 24, 32), depths=(1, 2, 2, 1)"
AXES = ("width", "depth", "resolution", "kernel_size")


def resolved(reference, strategy="w", multiplier=2.0, axes=AXES, inputs=()):
    parsed = parse_inputs(inputs, batch=1)
    request = KnobsRequest(reference=parse_reference(reference), inputs=parsed)
    reply = probe(request)
    return resolve(
        ScaleRequest(
            model=reference, knobs=reply, strategy=strategy, multipliers=(multiplier,), axes=axes
        )
    ).variants


@given(st.integers(1, 101), st.floats(0.3, 3.0))
def test_sizes_are_odd_near_and_never_vanish(size, factor):
    got = odd_size(size, factor)
    if size < 3:
        assert got == size
        return
    assert got % 2 == 1
    assert got >= 3
    assert got == 3 or abs(got - size * factor) <= 1 + 1e-9


@pytest.mark.parametrize(
    ("reference", "argument", "sizes"),
    [
        # the first stage has kernels of three taps: 3 x 1.41 is nearer to 5 than to 3
        (f"unireplknet_t({SMALL})", "kernel_sizes", [(3, 9, 9, 9), (5, 19, 19, 19)]),
        ("timm:test_convnext", "kernel_sizes", [5, 9]),
    ],
)
def test_each_variant_is_joined_by_the_sizes_around_its_own(reference, argument, sizes):
    if reference.startswith("timm"):
        pytest.importorskip("timm")
    variants = resolved(reference)
    near_base, (alone, *near) = variants[:2], variants[2:]
    assert "kernel_size" not in alone.recipe.achieved
    for group in (near_base, near):
        assert [v.recipe.arguments[argument] for v in group] == sizes
    # what the strategy scaled is scaled in those too
    for variant in near:
        assert variant.recipe.strategy == "w"
        assert variant.recipe.arguments["dims"] == alone.recipe.arguments["dims"]
        assert variant.recipe.achieved["width"] == alone.recipe.achieved["width"]
    smaller, larger = near
    assert smaller.recipe.achieved["kernel_size"] < 1 < larger.recipe.achieved["kernel_size"]
    assert smaller.cost.macs < alone.cost.macs < larger.cost.macs
    assert {v.recipe.strategy for v in near_base} == {"custom"}
    assert len({v.id for v in variants}) == len(variants)


def test_the_recipe_builds_the_kernels_that_it_says():
    pytest.importorskip("timm")
    larger = resolved("timm:test_convnext")[-1]
    model = build_module(call_of(larger.recipe), meta=True)
    assert {m.kernel_size for m in model.modules() if getattr(m, "groups", 1) > 1} == {(9, 9)}


def test_kernels_stay_where_the_axis_is_not_asked_for():
    pytest.importorskip("timm")
    variants = resolved("timm:test_convnext", axes=AXES[:3])
    assert len(variants) == 1
    assert "kernel_size" not in variants[0].recipe.achieved


def test_a_profile_searches_kernel_sizes_and_says_so():
    pytest.importorskip("timm")
    report = scaleprof.profile(
        "timm:test_convnext", device="cpu", strategies=["w"], multipliers=[2.0], axes=AXES
    )
    factors = [v.recipe.achieved.get("kernel_size", 1.0) for v in report.variants]
    assert sum(factor != 1.0 for factor in factors) == 4
    assert report.axes["kernel_size"].status == "ok"
    assert all(v.measurement.status == "ok" for v in report.variants)


def test_a_model_without_kernel_sizes_says_why_they_are_not_searched():
    pytest.importorskip("timm")
    report = scaleprof.profile(
        "timm:test_vit", device="cpu", strategies=["w"], multipliers=[2.0], axes=AXES
    )
    assert report.axes["kernel_size"].status == "none"
    assert report.axes["kernel_size"].reason


def test_another_axis_is_refused_with_those_there_are():
    with pytest.raises(RecipeError, match="unknown axis `heads`") as raised:
        scaleprof.profile("timm:test_convnext", axes=["heads"])
    assert "kernel_size" in raised.value.hint
    assert "patch_size" in raised.value.hint


@given(st.integers(1, 64), st.integers(1, 512), st.integers(1, 512), st.booleans())
def test_a_patch_is_the_next_one_that_tiles_the_input(size, height, width, larger):
    got = next_patch(size, (height, width), larger=larger)
    tiles = [p for p in range(1, 129) if height % p == width % p == 0]
    reach = [p for p in tiles if (size < p <= 2 * size if larger else size / 2 <= p < size)]
    assert got == ((min if larger else max)(reach) if reach else size)


def test_each_variant_is_joined_by_the_patches_around_its_own():
    pytest.importorskip("timm")
    # 160 pixels in patches of 16
    variants = resolved("timm:test_vit", axes=("width", "depth", "resolution", "patch_size"))
    near_base, (alone, *near) = variants[:2], variants[2:]
    for group in (near_base, near):
        assert [v.recipe.arguments["patch_size"] for v in group] == [10, 20]
    smaller, larger = near
    assert smaller.cost.macs > alone.cost.macs > larger.cost.macs
    assert smaller.recipe.achieved["patch_size"] == pytest.approx(10 / 16)
    assert larger.recipe.achieved["width"] == alone.recipe.achieved["width"]


def test_kernels_and_patches_are_searched_as_a_grid():
    pytest.importorskip("timm")
    reference = "timm.models.convmixer:ConvMixer(dim=32, depth=2, kernel_size=7, patch_size=7)"
    variants = resolved(reference, axes=(*AXES, "patch_size"), inputs=["3x224x224"])
    alone = next(v for v in variants if set(v.recipe.achieved) <= set(AXES[:3]))
    near = variants[variants.index(alone) + 1 :]
    found = {(v.recipe.arguments["kernel_size"], v.recipe.arguments["patch_size"]) for v in near}
    # 7 taps and patches of 7 on 224 pixels
    sizes = {(k, p) for k in (5, 7, 9) for p in (4, 7, 8)}
    assert found == sizes - {(7, 7)}


def test_larger_kernels_are_not_credited_through_their_compute():
    pytest.importorskip("timm")
    report = scaleprof.profile(
        "timm:test_convnext", device="cpu", strategies=["w"], multipliers=[2.0], axes=AXES,
        base_accuracy=70.0,
    )  # fmt: skip
    base = report.variant("base")
    (larger,) = (
        v for v in report.variants
        if v.recipe.strategy == "custom" and v.recipe.achieved["kernel_size"] > 1
    )  # fmt: skip
    assert larger.cost.macs > base.cost.macs
    assert base.accuracy.mean < larger.accuracy.mean <= base.accuracy.mean + 0.4
