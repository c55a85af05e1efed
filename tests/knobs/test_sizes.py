"""Which arguments set the sizes of patches and kernels."""

import math
from pathlib import Path

import pytest

from scaleprof.jobs._requests import KnobsRequest, ScaleRequest
from scaleprof.jobs._scale import probe, resolve
from scaleprof.knobs import find_knobs
from scaleprof.models import parse_inputs, parse_reference, resolve_model

NETS = str(Path(__file__).parents[1] / "models" / "sized.py")


def knobs_of(name, arguments=""):
    resolved = resolve_model(parse_reference(f"{NETS}:{name}{arguments}"))
    return find_knobs(name, resolved, parse_inputs(["3x32x32"], batch=1))


def searched(name, axis):
    request = KnobsRequest(
        reference=parse_reference(f"{NETS}:{name}"), inputs=parse_inputs(["3x32x32"], batch=1)
    )
    axes = ("width", "depth", "resolution", axis)
    scale = ScaleRequest(
        model=name, knobs=probe(request), strategy="w", multipliers=(2.0,), axes=axes
    )
    variants = resolve(scale).variants
    return [v.recipe for v in variants if axis in v.recipe.achieved]


@pytest.mark.parametrize("patch", [8, 16])
def test_patches_that_other_layers_embed_are_found_where_two_sizes_work(patch):
    axis = knobs_of("StridedStem", f"(patch_size={patch})").axes["patch_size"]
    assert (axis.status, axis.base) == ("ok", {"patch_size": patch})
    # a quarter of the positions for twice the patch, but for what the first layers take
    assert -2.5 < axis.flops_exponent < -1


def test_a_search_takes_the_far_patch_where_the_next_does_not_build():
    # of 32 pixels: 16 is followed by 32, which it cannot take, and 8
    assert {r.arguments["patch_size"] for r in searched("StridedStem", "patch_size")} == {8}


def test_patches_that_no_weight_knows_are_found_and_not_searched():
    axis = knobs_of("InnerPatches").axes["patch_size"]
    assert (axis.status, axis.arguments) == ("ok", ("patch_size",))
    # 64 positions: stem 3*16*16 each, layer 16*64 each, and two products of 16 channels, between
    # 16 positions 4 times with patches of 2, and between 4 positions 16 times with patches of 4
    rest = 64 * (768 + 1024)
    small, large = (rest + 2 * 16 * n * (64 // n) ** 2 for n in (4, 16))
    assert axis.flops_exponent == pytest.approx(math.log2(large / small))
    assert "not searched" in axis.reason
    assert searched("InnerPatches", "patch_size") == []


def test_a_patch_that_takes_one_value_is_no_axis_and_says_why():
    axis = knobs_of("OnePatch").axes["patch_size"]
    assert axis.status == "none"
    assert axis.reason.startswith("changing patch_size fails: ")


def test_padding_follows_kernels_that_need_it():
    axis = knobs_of("PaddedBesides").axes["kernel_size"]
    assert axis.base == {"down_kernel_size": 3, "down_padding": 1}
    larger = searched("PaddedBesides", "kernel_size")
    assert larger
    for recipe in larger:
        got = (recipe.arguments["down_kernel_size"], recipe.arguments["down_padding"])
        assert got == (5, 2)
        # padding is no size of its own
        assert recipe.achieved["kernel_size"] == pytest.approx(5 / 3)


def test_padding_stays_where_kernels_do_without():
    axis = knobs_of("PaddedBesides", "(shortcut=False)").axes["kernel_size"]
    assert axis.arguments == ("down_kernel_size",)


def test_taps_in_a_table_without_names_are_found_by_what_they_do():
    axis = knobs_of("Tabled").axes["kernel_size"]
    assert axis.base == {"rows[*][0]": (3, 5, 1)}
    assert axis.flops_exponent > 0


def test_kernels_of_zero_stay_zero():
    axis = knobs_of("Zeros").axes["kernel_size"]
    assert axis.base == {"kernel_sizes": (3, 0, 5)}
    assert {r.arguments["kernel_sizes"][1] for r in searched("Zeros", "kernel_size")} == {0}
