from scaleprof.records import DeviceLaw, ExponentBand
from scaleprof.reports._law import law_lines


def law(**changes):
    settings = {
        "exponents": {"width": ExponentBand(mean=1.2, p05=1.1, p95=1.3)},
        "errors": {"activations": 0.04, "macs": 0.1},
        "starting_share": 0.25,
        "starting_dominates_below": 1 / 3,
        "left_out_error": 0.031,
        "covered": 0.9,
        "variants": 12,
    }
    return DeviceLaw(**(settings | changes))


def test_a_law_is_said_in_words():
    assert law_lines(law()) == (
        "here    latency ∝ width^1.20 (1.10 to 1.30), from 12 measured variants",
        "        activations (4 % off) explain it best, before MACs (10 % off)",
        "        starting operators takes 25 % of the base's latency, and most of it below 0.33 "
        "times its compute",
        "        predicted from the others, a measured variant is 3.1 % off (median); 90 % are "
        "within their 90 % band",
    )


def test_what_is_unknown_is_not_said():
    unknown = law(
        exponents={},
        errors={},
        starting_share=None,
        starting_dominates_below=None,
        left_out_error=None,
        covered=None,
    )
    assert law_lines(unknown) == ()
