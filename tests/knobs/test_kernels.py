"""Kernel sizes around a variant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scaleprof
from scaleprof.errors import RecipeError
from scaleprof.jobs._requests import KnobsRequest, ScaleRequest
from scaleprof.jobs._scale import probe, resolve
from scaleprof.knobs._kernels import odd_size
from scaleprof.models import build_module, call_of, parse_reference

SMALL = "dims=(8, 16, 24, 32), depths=(1, 2, 2, 1)"
AXES = ("width", "depth", "resolution", "kernel_size")


def resolved(reference, strategy="w", multiplier=2.0, axes=AXES):
    request = KnobsRequest(reference=parse_reference(reference))
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
    with pytest.raises(RecipeError, match="unknown axis `patch_size`") as raised:
        scaleprof.profile("timm:test_convnext", axes=["patch_size"])
    assert "kernel_size" in raised.value.hint
