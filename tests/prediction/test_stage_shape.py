"""Stages that are scaled differently, as the accuracy law sees them."""

import math

import pytest

from scaleprof.prediction import (
    AccuracyQuery,
    TrainedModel,
    fit_accuracy_law,
    stage_loss,
    unevenness,
)
from scaleprof.prediction._recipe_shape import shape_features
from scaleprof.records import StageFactors

LAW = fit_accuracy_law([TrainedModel(gmacs=4.1, metric=76.1)], regime="plain")
SHARES = (0.2, 0.3, 0.4, 0.1)


def stages(depths=(1.0,) * 4, widths=(1.0,) * 4, blocks=(2,) * 4):
    rows = zip(SHARES, blocks, depths, widths, strict=True)
    return tuple(StageFactors(share=s, blocks=n, depth=d, width=w) for s, n, d, w in rows)


def query(depths=(1.0,) * 4, widths=(1.0,) * 4, gmacs=8.2, blocks=(2,) * 4):
    return AccuracyQuery(gmacs=gmacs, depth=2.0, stages=stages(depths, widths, blocks))


def test_stages_scaled_alike_are_what_the_whole_is():
    whole = AccuracyQuery(gmacs=8.2, depth=1.5, width=1.2, resolution=1.1)
    alike = AccuracyQuery(
        gmacs=8.2, depth=1.5, width=1.2, resolution=1.1, stages=stages((1.5,) * 4, (1.2,) * 4)
    )
    assert shape_features(alike) == pytest.approx(shape_features(whole))
    assert LAW.predict(alike).mean == pytest.approx(LAW.predict(whole).mean)


def test_growing_alike_is_even_and_the_middle_is_the_median():
    shares = [0.2, 0.6, 0.2]
    assert unevenness([0.7] * 3, [0.7] * 3, shares) == 0.0
    growth = [0.0, 1.0, 5.0]
    assert unevenness(growth, growth, shares) == pytest.approx(0.2 * 1 + 0.2 * 4)
    assert unevenness(growth, [0.0, 1.0, 1.5], shares) == pytest.approx(0.2 * 1 + 0.2 * 0.5)


def test_of_equal_compute_the_uneven_recipe_is_worth_less_and_its_band_is_wider():
    even, uneven = LAW.predict(query((2.0,) * 4)), LAW.predict(query((1.0, 1.0, 3.5, 1.0)))
    assert uneven.mean < even.mean
    assert uneven.p95 - uneven.p05 > even.p95 - even.p05
    assert "stages scaled differently" in uneven.reason


def test_a_stage_that_runs_away_is_refused_in_words():
    refused = LAW.predict(query((1.0, 1.0, 4.5, 1.0)))
    assert refused.status == "refused"
    assert refused.mean is None
    assert "one stage grows 4.5 times as much as another" in refused.reason
    assert LAW.predict(query((1.0, 1.0, 4.0, 1.0))).status == "ok"


def test_moving_compute_between_stages_never_pays_at_equal_prices():
    # the second stage gives up what the third gets; together they are what they were
    for moved in (0.05, 0.1, 0.15):
        depths = (1.0, 1.0 - moved / 0.3, 1.0 + moved / 0.4, 1.0)
        assert LAW.predict(query(depths)).mean < LAW.predict(query()).mean


def test_more_blocks_are_excused_in_the_deepest_stage_alone():
    third = (1.0, 1.0, 2.0, 1.0)
    excused = LAW.predict(query(third, blocks=(2, 2, 6, 2))).mean
    assert excused > LAW.predict(query(third, blocks=(6, 2, 2, 2))).mean
    assert excused > LAW.predict(query(third)).mean
    # not wider channels, nor fewer blocks
    wider, shallower = (1.0, 1.0, 1.3, 1.0), (1.0, 1.0, 0.5, 1.0)
    for changed in ({"widths": wider}, {"depths": shallower}):
        one, other = (LAW.predict(query(**changed, blocks=(2, 2, n, 2))).mean for n in (2, 6))
        assert one == pytest.approx(other)


# https://docs.pytorch.org/vision/stable/models.html, first weights, and
# https://github.com/facebookresearch/ConvNeXt; shares of stages as `profile --space stages` counts
RESNET = (0.188, 0.25, 0.375, 0.188), (3, 4, 6, 3), TrainedModel(gmacs=4.09, metric=76.13)
CONVNEXT = (0.173, 0.168, 0.495, 0.164), (3, 3, 9, 3), TrainedModel(gmacs=4.5, metric=82.1)


@pytest.mark.parametrize(
    ("family", "regime", "depths", "gmacs", "published"),
    [
        (RESNET, "plain", (3, 4, 23, 3), 7.80, 77.37),
        (CONVNEXT, "strong", (3, 3, 27, 3), 8.7, 83.1),
    ],
)
def test_published_families_whose_third_stage_alone_grows_are_within_the_band(
    family, regime, depths, gmacs, published
):
    shares, base, anchor = family
    rows = zip(shares, depths, base, strict=True)
    shape = tuple(
        StageFactors(share=s, blocks=old, depth=new / old, width=1.0) for s, new, old in rows
    )
    law = fit_accuracy_law([anchor], regime=regime)
    got = law.predict(AccuracyQuery(gmacs=gmacs, depth=sum(depths) / sum(base), stages=shape))
    assert got.p05 < published < got.p95
    assert abs(got.mean - published) < 0.6


def test_the_loss_of_a_stage_is_that_of_the_law():
    assert stage_loss(1.0, 1.0, 1.0, transformer=False) == 0.0
    assert stage_loss(4.0, 1.0, 1.0, transformer=True) == 0.0
    # depth alone loses 0.42 ln s of effective compute
    assert stage_loss(4.0, 1.0, 1.0, transformer=False) == pytest.approx(
        0.42 * math.log(4.0), abs=0.01
    )
