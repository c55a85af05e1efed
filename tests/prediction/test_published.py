import csv
import math

import pytest

from scaleprof.errors import InputError
from scaleprof.prediction._published import choose_anchor, profiles_folder, published_anchors
from scaleprof.records import Anchor

TABLE = profiles_folder() / "accuracy" / "imagenet.csv"
COLUMNS = "model,tag,regime,resolution,patch_size,params_m,gmacs,macts_m,top1,source".split(",")


@pytest.fixture(scope="module")
def rows():
    with TABLE.open(newline="") as file:
        return list(csv.DictReader(file))


def anchor(tag, regime, value=80.0, resolution=224):
    return Anchor(
        model="net",
        tag=tag,
        regime=regime,
        metric="top1_percent",
        value=value,
        gmacs=(resolution / 224) ** 2,
        resolution=resolution,
        source="a paper",
    )


# The table


def test_every_row_has_a_source_and_a_known_regime(rows):
    regimes = {"plain", "strong", "mobile", "extra", "distilled"}
    assert list(rows[0]) == COLUMNS
    assert all(row["source"] and row["model"] and row["regime"] in regimes for row in rows)
    assert not any(row["source"].startswith(("/", "file:")) for row in rows)


def test_every_figure_is_possible(rows):
    assert all(0 < float(row["top1"]) < 100 for row in rows)
    assert all(0.005 < float(row["gmacs"]) < 3000 for row in rows)


def test_no_model_has_two_figures_for_one_tag_and_resolution(rows):
    keys = [(row["model"], row["tag"], row["resolution"]) for row in rows]
    assert len(keys) == len(set(keys))


def test_the_table_is_small_enough_to_ship():
    assert TABLE.stat().st_size < 300_000


def test_copies_of_a_figure_in_two_sources_agree():
    # ResNet-50 of torchvision: 76.13 in its own metadata, 76.156 as timm evaluates it
    (own,) = (a for a in published_anchors("torchvision:resnet50") if a.tag == "IMAGENET1K_V1")
    timm = published_anchors("timm:resnet50.tv_in1k")
    assert any(math.isclose(a.value, own.value, abs_tol=0.1) for a in timm)


# Looking up


@pytest.mark.parametrize(
    ("model", "value"),
    [
        pytest.param("timm:convnext_atto", 75.672, id="timm"),
        pytest.param("timm:convnext_atto.d2_in1k", 75.672, id="timm-with-tag"),
        pytest.param("torchvision:resnet50", 80.858, id="torchvision"),
        pytest.param("lsnet_t", 74.9, id="own-family"),
        pytest.param("LSNet-T", 74.9, id="own-family-as-the-paper-writes-it"),
    ],
)
def test_references_find_their_published_accuracy(model, value):
    assert value in {a.value for a in published_anchors(model)}


def test_a_tag_in_the_reference_narrows_the_anchors():
    assert {a.tag for a in published_anchors("timm:resnet50.a1_in1k")} == {"a1_in1k"}


@pytest.mark.parametrize("model", ["timm:no_such_net", "mine.py:build", "resnet50", ""])
def test_unknown_models_have_no_anchors(model):
    assert published_anchors(model) == ()


# Choosing


def test_the_plain_recipe_is_chosen_before_extra_data_and_teachers():
    anchors = [anchor("in22k", "extra"), anchor("dist", "distilled"), anchor("fb", "strong")]
    chosen, why = choose_anchor(anchors)
    assert chosen.tag == "fb"
    assert "no extra data, no teacher" in why


def test_torchvision_resnet50_starts_from_its_first_weights():
    chosen, _ = choose_anchor(published_anchors("torchvision:resnet50"))
    assert (chosen.tag, chosen.value) == ("IMAGENET1K_V1", 76.130)


def test_extra_data_is_taken_and_said_where_nothing_plain_is_published():
    chosen, why = choose_anchor([anchor("in22k", "extra")])
    assert chosen.tag == "in22k"
    assert "no plain recipe is published" in why


def test_among_plain_recipes_the_middle_one_is_chosen():
    anchors = [anchor(t, "plain", v) for t, v in (("a", 75.0), ("b", 77.0), ("c", 76.0))]
    assert choose_anchor(anchors)[0].tag == "c"


def test_a_named_tag_wins():
    anchors = [anchor("plain", "plain"), anchor("in22k", "extra")]
    chosen, why = choose_anchor(anchors, tag="in22k")
    assert chosen.tag == "in22k"
    assert "as asked for" in why


def test_the_resolution_nearest_to_the_base_is_chosen():
    anchors = [anchor("t", "strong", resolution=r) for r in (224, 288, 384)]
    assert choose_anchor(anchors, resolution=300)[0].resolution == 288


def test_without_a_resolution_the_training_one_is_chosen():
    anchors = [anchor("t", "strong", resolution=r) for r in (288, 224)]
    assert choose_anchor(anchors)[0].resolution == 224


def test_an_unknown_tag_names_the_ones_there_are():
    with pytest.raises(InputError, match="unknown training tag `x`; published are: a, b"):
        choose_anchor([anchor("b", "plain"), anchor("a", "plain")], tag="x")


def test_no_anchor_is_said():
    assert choose_anchor([]) == (None, "no published accuracy of this model")
