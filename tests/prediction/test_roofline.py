import math

import numpy as np
import pytest

from scaleprof.prediction import (
    ON_CPU,
    ON_GPU,
    Workload,
    carried,
    ceilings_of,
    choose_anchors,
    fit_roofline,
    rate_prior,
    transferred_prior,
)
from scaleprof.prediction._rates import PARAMETER_NAMES, RatePrior
from scaleprof.prediction._roofline import OVERHEAD, PARAMETERS, rows_of, times
from scaleprof.records import WORK_KINDS, Work

GPU = "NVIDIA GeForce RTX 4090"


def network(scale=1.0, kind="conv_k", blocks=4):
    """Convolutions, norms and activations of a small network, wider by a factor."""
    width = int(64 * scale)
    size = 4 * 56 * 56 * width
    return (
        Work(kind, blocks, size * 9 * width, 2 * size, 36 * width**2, width, 9 * width),
        Work("batch_norm", blocks, 0, 2 * size),
        Work("elementwise", 2 * blocks, 0, 2 * size),
        Work("linear", 1, 1000 * width, 4 * width, 4000 * width, 1000, width),
    )


def family(count=12, **kwargs):
    return [network(0.5 + 0.25 * i, **kwargs) for i in range(count)]


def device(seed=0):
    """Rates of a device that the prior thinks possible."""
    prior = rate_prior("gpu", GPU, "float16")
    generator = np.random.default_rng(seed)
    return generator.multivariate_normal(prior.mean, prior.covariance)


def seconds(theta, works):
    return np.exp(times(theta, rows_of(works)).log_seconds).tolist()


def workloads(works, name="family"):
    return [Workload(work=work, family=name) for work in works]


def test_a_call_takes_the_root_of_both_ceilings_and_its_start():
    # 4e9 MACs at 1e12 per second take 4 ms, 300 MB at 1e11 per second 3 ms: 5 ms, twice, and
    # two starts of 1 µs
    theta = np.full(PARAMETERS, math.log(1e11))
    theta[WORK_KINDS.index("conv_1")] = math.log(1e12)
    theta[
        [PARAMETER_NAMES.index("narrow_features"), PARAMETER_NAMES.index("shallow_features")]
    ] = -99
    theta[OVERHEAD] = math.log(1e-6)
    work = [Work("conv_1", 2, 4_000_000_000, 200_000_000, 100_000_000, 64, 64)]
    assert seconds(theta, [work]) == pytest.approx([0.010002])


def test_slopes_are_the_derivatives():
    theta, rows = rate_prior("gpu", GPU, "float16").mean, rows_of(family(3))
    slopes, step = times(theta, rows).slopes, 1e-5
    for place in range(PARAMETERS):
        up, down = theta.copy(), theta.copy()
        up[place] += step
        down[place] -= step
        want = times(up, rows).log_seconds - times(down, rows).log_seconds
        assert slopes[:, place] == pytest.approx(want / (2 * step), abs=1e-6)


def test_shares_of_time_add_up_to_one():
    there = times(device(), rows_of(family()))
    assert there.by_kind.sum(axis=1) + there.starting == pytest.approx(1.0)


def test_four_measured_variants_predict_the_rest_of_a_family():
    works = family()
    truth = seconds(device(), works)
    known = [0, 3, 7, 11]
    law = fit_roofline(
        workloads([works[i] for i in known]),
        [truth[i] for i in known],
        rate_prior("gpu"),
        ON_GPU,
    )
    got = [band.p50 for band in law.bands(workloads(works))]
    assert got == pytest.approx(truth, rel=0.03)


def test_a_base_that_is_slower_than_the_roofline_makes_its_relatives_slower():
    works, prior = family(3), rate_prior("gpu", GPU, "float16")
    truth = seconds(prior.mean, works)
    law = fit_roofline(workloads(works[:1]), [1.3 * truth[0]], prior, ON_GPU)
    relative, stranger = (
        law.predict([Workload(work=works[1], family=name)])[0][0] - math.log(truth[1])
        for name in ("family", "another")
    )
    assert relative > stranger > 0


def test_without_measurements_the_data_sheet_speaks_with_a_wide_band():
    law = fit_roofline([], [], rate_prior("gpu", GPU, "float16"), ON_GPU)
    sheet = law.bands(workloads([network()]))[0]
    unknown = fit_roofline([], [], rate_prior("gpu"), ON_GPU).bands(workloads([network()]))[0]
    assert 1.2 < sheet.p95 / sheet.p05 < unknown.p95 / unknown.p05


def test_bands_cover_about_as_often_as_they_say():
    covered, total = 0, 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        works = family()
        prior = rate_prior("cpu")
        theta = generator.multivariate_normal(prior.mean, prior.covariance)
        noise = generator.normal(0, math.hypot(ON_CPU.member, ON_CPU.noise), len(works))
        truth = (np.array(seconds(theta, works)) * np.exp(noise)).tolist()
        law = fit_roofline(workloads(works[::3]), truth[::3], prior, ON_CPU)
        for i, band in enumerate(law.bands(workloads(works))):
            if i % 3:
                covered += band.p05 <= truth[i] <= band.p95
                total += 1
    assert 0.85 <= covered / total <= 0.99


def test_leaving_one_out_in_closed_form_agrees_with_fitting_again():
    works = family(6)
    generator = np.random.default_rng(5)
    truth = (np.array(seconds(device(), works)) * np.exp(generator.normal(0, 0.05, 6))).tolist()
    prior = rate_prior("gpu", GPU, "float16")
    law = fit_roofline(workloads(works), truth, prior, ON_GPU)
    mean, spread = law.leave_one_out()
    for i in range(6):
        rest = [j for j in range(6) if j != i]
        alone = fit_roofline(
            workloads([works[j] for j in rest]), [truth[j] for j in rest], prior, ON_GPU
        )
        want, wide = alone.predict(workloads([works[i]]))
        # rates move a little between the two fits, and with them the slopes
        assert mean[i] == pytest.approx(want[0], abs=0.03)
        assert spread[i] == pytest.approx(wide[0], rel=0.15)


def test_one_mad_measurement_does_not_carry_the_others_away():
    works = family()
    truth = seconds(device(), works)
    mad = [*truth[:5], 6 * truth[5], *truth[6:]]
    law = fit_roofline(workloads(works), mad, rate_prior("gpu"), ON_GPU)
    middle = law.bands(workloads(works[8:9]))[0].p50
    assert middle == pytest.approx(truth[8], rel=0.1)


def test_a_profile_of_another_device_is_carried_over():
    works = family() + family(kind="depthwise_3")
    here, there = device(0), device(1)
    prior = rate_prior("gpu", GPU, "float16")
    source = fit_roofline(workloads(works), seconds(here, works), prior, ON_GPU)
    truth, places = seconds(there, works), [0, 11, 12, 23]
    queries = carried(source, workloads(works))
    law = fit_roofline(
        [queries[i] for i in places], [truth[i] for i in places], transferred_prior(source), ON_GPU
    )
    error = [abs(b.p50 / t - 1) for b, t in zip(law.bands(queries), truth, strict=True)]
    assert np.median(error) < 0.05


def test_ceilings_of_both_devices_scale_a_carried_law():
    prior = rate_prior("gpu", GPU, "float16")
    law = fit_roofline([], [], prior, ON_GPU)
    same = ceilings_of(GPU, "float16")
    assert transferred_prior(law, same, same).mean == pytest.approx(prior.mean)


def test_anchors_cover_every_kind_of_work_before_repeating_one():
    pool = [*family(6), network(kind="depthwise_7", blocks=8)]
    chosen = choose_anchors(rate_prior("cpu"), ON_CPU, workloads(pool), workloads(pool), 2)
    assert 6 in chosen
    assert len(set(chosen)) == 2


def test_anchors_beat_the_first_that_come():
    prior, pool = rate_prior("cpu"), [*family(20), *family(20, kind="depthwise_7")]
    chosen = choose_anchors(prior, ON_CPU, workloads(pool), workloads(pool), 4)

    def uncertainty(places):
        known = workloads([pool[i] for i in places])
        truth = seconds(prior.mean, [pool[i] for i in places])
        return fit_roofline(known, truth, prior, ON_CPU).predict(workloads(pool))[1].mean()

    assert uncertainty(chosen) < uncertainty(range(4))


def test_an_unknown_device_or_type_has_no_ceilings():
    assert ceilings_of("Nobody's accelerator", "float16") is None
    assert ceilings_of("Tesla T4", "bfloat16") is None


def test_data_sheets_are_plausible_and_learned_rates_are_a_distribution():
    ceilings = ceilings_of(GPU, "float16")
    # 165.2 TFLOPS are 82.6e12 multiply-adds
    assert ceilings is not None
    assert ceilings.macs_per_s == pytest.approx(82.6e12)
    for device_type in ("gpu", "cpu"):
        prior: RatePrior = rate_prior(device_type)
        assert prior.mean.shape == (PARAMETERS,) == (len(PARAMETER_NAMES),)
        assert np.linalg.eigvalsh(prior.covariance).min() > 0


@pytest.mark.parametrize("latency", [0.0, -1.0, float("nan")])
def test_a_latency_that_is_none_is_refused(latency):
    with pytest.raises(ValueError, match="positive latency"):
        fit_roofline(workloads([network()]), [latency], rate_prior("cpu"), ON_CPU)
