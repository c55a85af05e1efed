import msgspec
import pytest
from factories import cost, recipe, variant

from scaleprof.errors import InputError
from scaleprof.prediction import read_runs
from scaleprof.profiler._accuracy import describe_base, with_accuracy
from scaleprof.profiler._options import Options, check_options

RUNS = (
    "family,width,resolution,gmacs,metric,regime\n"
    "net,1,32,1,76,plain\nnet,1.4142,32,2,78,plain\nnet,2,32,4,80,plain\n"
)


def options(text=RUNS, metric="top1_percent", **changes):
    return Options(accuracy=read_runs(text, "runs.csv", metric=metric)[0], **changes)


def model(identifier, gmacs, width=1.0):
    return msgspec.structs.replace(
        variant(identifier),
        cost=cost(macs=int(gmacs * 1e9)),
        recipe=recipe(achieved={"width": width}),
    )


def predicted(given, *models):
    base = describe_base("file.py:net", models[0], given)
    return [v.accuracy for v in with_accuracy(list(models), base, given)], base


def test_variants_are_predicted_from_the_users_own_runs():
    (base, larger), found = predicted(options(), model("base", 1.0), model("v", 8.0, 2.828))
    assert (base.status, base.mean) == ("anchor", 76.0)
    assert larger.mean == pytest.approx(81.2, abs=1.0)
    assert found.anchor.source.startswith("the nearest of 3 runs in runs.csv; the largest is ")


def test_a_base_whose_published_compute_is_rounded_is_known():
    (base,), _ = predicted(options(), model("base", 1.004))
    assert (base.status, base.mean) == ("anchor", 76.0)


def test_a_loss_is_better_when_lower():
    given = options("family,gmacs,metric\nnet,1,3.2\nnet,2,2.9\n", metric="loss")
    (_, larger), _ = predicted(given, model("base", 1.0), model("v", 4.0, 2.0))
    assert larger.lower_is_better
    assert larger.mean < 2.9


def test_a_base_accuracy_joins_the_runs():
    alone, _ = predicted(options(), model("base", 1.0), model("v", 8.0, 2.828))
    lower, _ = predicted(options(base_accuracy=70.0), model("base", 1.0), model("v", 8.0, 2.828))
    assert lower[0].mean < alone[0].mean


def test_a_family_of_another_name_is_used_only_where_it_is_the_only_one():
    two = RUNS.replace("net,2", "other,2")
    with pytest.raises(InputError, match=r"no family in runs\.csv is `a`; there are net, other"):
        describe_base("a", model("base", 1.0), options(two))
    assert describe_base("a", model("base", 1.0), options()).anchor.model == "net"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (options(anchor="a1"), "your own runs"),
        (Options(metric="dice"), "published accuracies are top-1"),
        (Options(metric="loss", base_accuracy=-1.0), "must be positive"),
        (Options(base_accuracy=176.0), "between 0 and 100 percent"),
    ],
)
def test_options_that_contradict_each_other_are_refused(given, words):
    with pytest.raises(InputError, match=words):
        check_options(given)
