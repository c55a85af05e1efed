"""Counts of real models against figures that others published."""

import pytest

import scaleprof
from scaleprof.profiler._count import count_models

timm = pytest.importorskip("timm")

# (model, input size, activations in millions), `infer_macts` of timm's benchmark-infer tables,
# https://github.com/huggingface/pytorch-image-models/tree/main/results; one per kind
PUBLISHED_ACTIVATIONS = [
    ("resnet50", 224, 11.11),
    ("vit_small_patch16_224", 224, 11.95),
    ("convnext_atto", 224, 3.81),
    ("swin_tiny_patch4_window7_224", 224, 17.06),
    ("efficientnet_b0", 224, 6.75),
    ("mixer_b16_224", 224, 14.53),
    ("regnety_008", 224, 5.25),
    ("mobilenetv3_small_100", 224, 1.42),
    ("densenet121", 224, 6.9),
    ("maxvit_tiny_tf_224", 224, 35.78),
]


@pytest.fixture(scope="module")
def counted():
    names = [f"timm:{name}" for name, _, _ in PUBLISHED_ACTIVATIONS]
    return {cost.model: cost for cost in count_models(names).models}


@pytest.mark.parametrize(("name", "size", "millions"), PUBLISHED_ACTIVATIONS)
def test_activations_equal_timms_published_ones(counted, name, size, millions):
    cost = counted[f"timm:{name}"]
    assert cost.input_shape == (1, 3, size, size)
    # within 1 % and the two decimals that are published
    assert cost.activations / 1e6 == pytest.approx(millions, rel=0.01, abs=0.006)
    assert cost.coverage.status == "complete"


def test_macs_of_resnet50_are_those_of_the_paper_with_the_stride_in_the_3x3():
    # 4.089 G multiply-adds and 25.56 M parameters, as torchvision states in the meta of its weights
    cost = scaleprof.count("torchvision:resnet50")
    assert cost.macs / 1e9 == pytest.approx(4.089, abs=0.0005)
    assert cost.params == 25_557_032


def test_fvcore_agrees_where_both_count_and_the_rest_is_explained():
    (comparison,) = count_models(["timm:vit_tiny_patch16_224"], against="fvcore").comparisons
    rows = {row.operator: row for row in comparison.operators}
    assert rows["conv"].ours == rows["conv"].theirs
    assert rows["linear"].ours == rows["linear"].theirs
    assert rows["attention"].theirs is None
    assert "12 calls" in rows["attention"].why
    assert rows["layer_norm"].ours is None
    assert all(row.why for row in comparison.operators if row.ours != row.theirs)
