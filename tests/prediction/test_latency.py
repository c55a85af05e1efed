import math
import random

import pytest

from scaleprof.prediction import CostPoint, fit_latency_law


def device(macs, activations, *, noise=0.0, rng=None):
    """A device whose latency is a power law of both costs."""
    factor = math.exp(rng.gauss(0, noise)) if rng else 1.0
    return CostPoint(
        macs=macs,
        activations=activations,
        latency_s=1e-3 * (macs / 1e9) ** 0.3 * (activations / 1e6) ** 0.6 * factor,
    )


def grid(**kwargs):
    return [device(1e9 * m, 1e6 * a, **kwargs) for m in (1, 2, 4) for a in (1, 2, 4)]


def test_a_power_law_is_recovered():
    law = fit_latency_law(grid())
    want = device(3e9, 5e6)
    assert law.predict(macs=3e9, activations=5e6).p50 == pytest.approx(want.latency_s, rel=0.02)
    assert law.points == 9


def test_the_band_widens_away_from_the_measurements():
    law = fit_latency_law(grid())
    widths = [
        math.log(band.p95 / band.p05)
        for band in (law.predict(macs=1e9 * s, activations=1e6 * s) for s in (2, 20, 200))
    ]
    assert widths == sorted(widths)
    assert widths[0] < widths[2]


def test_two_points_give_a_wide_band_rather_than_none():
    law = fit_latency_law(grid()[:2])
    band = law.predict(macs=8e9, activations=8e6)
    assert band.p95 / band.p05 > 1.5


def test_the_band_covers_about_as_often_as_it_says():
    rng = random.Random(3)
    covered = 0
    for _ in range(300):
        law = fit_latency_law(grid(noise=0.1, rng=rng))
        new = device(3e9, 3e6, noise=0.1, rng=rng)
        band = law.predict(macs=3e9, activations=3e6)
        covered += band.p05 <= new.latency_s <= band.p95
    # a 90 % band; the prior's noise of 15 % makes it a little wider, never narrower
    assert 0.87 <= covered / 300 <= 0.99


def test_a_single_point_is_too_few():
    with pytest.raises(ValueError, match="needs 2"):
        fit_latency_law(grid()[:1])


def test_units_of_time_only_shift_the_prediction():
    seconds = fit_latency_law(grid()).predict(macs=3e9, activations=3e6)
    points = [
        CostPoint(macs=p.macs, activations=p.activations, latency_s=1e3 * p.latency_s)
        for p in grid()
    ]
    milli = fit_latency_law(points).predict(macs=3e9, activations=3e6)
    assert milli.p50 == pytest.approx(1e3 * seconds.p50)
    assert milli.p95 / milli.p05 == pytest.approx(seconds.p95 / seconds.p05)
