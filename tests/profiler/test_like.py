"""Predictions that start from a profile of another device."""

import statistics

import pytest
from factories import measured, report
from families import family, scaled

from scaleprof.errors import ReportError
from scaleprof.profiler._like import learned_elsewhere
from scaleprof.profiler._options import Options
from scaleprof.profiler._predict import with_predictions
from scaleprof.records import replace

# here everything takes so much longer than there
SLOWER = 3.0


def truth(variant):
    """Larger variants depart from the roofline: caches, say, of which it does not know."""
    return (variant.cost.macs / 1e8) ** 0.2 * variant.measurement.latency_s.p50


def elsewhere(**changes):
    found = report(*(replace(v, measurement=measured(truth(v))) for v in family()))
    context = replace(found.context, **{"dtype": "float32", **changes})
    return replace(found, context=context, base=replace(found.base, model="net"))


def here():
    """The base and one variant are measured, the others are not."""
    return [
        replace(v, measurement=measured(SLOWER * truth(v)) if place in (0, 3) else None)
        for place, v in enumerate(family())
    ]


def learned(found, model="net", **options):
    given = Options(like=found, device="cpu", **options)
    return learned_elsewhere(model, given, found.context.device)


def errors(predicted):
    return [
        abs(got.prediction.latency_s.p50 / (SLOWER * truth(v)) - 1)
        for got, v in zip(predicted, family(), strict=True)
        if got.measurement is None
    ]


def test_two_measurements_and_a_profile_of_another_device_predict_the_rest():
    like = learned(elsewhere())
    alone, helped = (with_predictions(here(), on_cpu=True, like=law) for law in (None, like))
    assert statistics.median(errors(helped)) < statistics.median(errors(alone)) / 2
    assert helped[1].prediction.source.endswith("and to a profile on a CPU")


def test_a_variant_that_nobody_measured_anywhere_is_predicted_too():
    new = scaled("new", 3.0, known=False)
    got = with_predictions([*here(), new], on_cpu=True, like=learned(elsewhere()))[-1]
    want = SLOWER * scaled("new", 3.0).measurement.latency_s.p50
    assert got.prediction.latency_s.p50 == pytest.approx(want, rel=0.25)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (replace(elsewhere(), base=replace(elsewhere().base, model="other")), "another model"),
        (elsewhere(dtype="float16"), "another dtype"),
        (elsewhere(step="training"), "another step"),
        (replace(elsewhere(), variants=(scaled("base", 1.0, known=False),)), "no measured"),
        (replace(elsewhere(), variants=(scaled("base", 1.0, work=False),)), "no measured"),
    ],
)
def test_a_profile_of_something_else_is_refused(found, message):
    with pytest.raises(ReportError, match=message) as raised:
        learned(found)
    assert "--like" in raised.value.hint


def test_a_profile_of_another_type_of_device_is_refused():
    found = elsewhere()
    gpu = replace(found.context.device, type="cuda")
    with pytest.raises(ReportError, match="type of device: 'cpu', here 'cuda'"):
        learned_elsewhere("net", Options(like=found), gpu)
