import random

import pytest

from scaleprof.prediction import explained_by, fit_exponents


def grid():
    return [
        {"depth": d, "width": w, "resolution": r}
        for d in (1.0, 2.0)
        for w in (0.7, 1.0, 1.4)
        for r in (1.0, 1.5)
    ]


def latency(row, noise=0.0, rng=None):
    factor = 1 + (rng.gauss(0, noise) if rng else 0)
    return 2e-3 * row["depth"] ** 0.9 * row["width"] ** 1.3 * row["resolution"] ** 1.8 * factor


def test_exponents_of_a_power_law_are_recovered():
    got = fit_exponents(grid(), [latency(row) for row in grid()])
    found = {axis: band.mean for axis, band in got.items()}
    assert found == pytest.approx({"depth": 0.9, "width": 1.3, "resolution": 1.8}, abs=0.01)


def test_intervals_cover_about_as_often_as_they_say():
    rng = random.Random(1)
    draws = 200
    held = 0
    for _ in range(draws):
        band = fit_exponents(grid(), [latency(row, 0.05, rng) for row in grid()])["width"]
        held += band.p05 <= 1.3 <= band.p95
    assert 0.84 <= held / draws <= 0.97


def test_an_axis_that_hardly_moved_has_no_exponent():
    rows = [{"depth": 1 + i, "width": 1 + 0.01 * i} for i in range(6)]
    assert set(fit_exponents(rows, [1e-3 * (1 + i) for i in range(6)])) == {"depth"}


def test_four_variants_are_too_few():
    assert fit_exponents(grid()[:4], [1.0] * 4) == {}
    assert explained_by([{"macs": 1.0}] * 4, [1.0] * 4) == {}


def test_the_cost_that_latency_follows_comes_first():
    costs = [{"macs": 2.0**i, "activations": 3.0 + i % 3} for i in range(8)]
    got = explained_by(costs, [1e-3 * row["macs"] for row in costs])
    assert list(got) == ["macs", "activations"]
    assert got["macs"] == pytest.approx(0, abs=1e-9)
