import csv
import io

import pytest

from scaleprof.errors import InputError
from scaleprof.prediction import predict_table, read_runs

HEADER = "family,width,depth,resolution,patch_size,gmacs,params_m,macts_m,metric,regime,kernel_size"
# e = 16 + 8 C^-0.5: error 24, 20 and 18 percent at 1, 4 and 16 GMACs
CURVE = "family,gmacs,metric,regime\nnew,1,76,plain\nnew,4,80,plain\n"


def fitted(text=CURVE, metric="top1_percent"):
    return read_runs(text, "runs.csv", metric=metric)[0]


def answers(queries, runs=CURVE, metric="top1_percent"):
    out = predict_table(fitted(runs, metric), queries, "queries.csv")
    return list(csv.DictReader(io.StringIO(out)))


def test_a_family_nobody_has_heard_of_is_continued():
    (row,) = answers("family,gmacs,regime\nnew,8,plain\n")
    assert row["status"] == "ok"
    # 16 + 8 / sqrt(8) = 18.8
    assert float(row["mean"]) == pytest.approx(81.2, abs=0.7)
    assert float(row["p05"]) < 81.2 < float(row["p95"])


def test_columns_and_order_of_the_queries_are_kept():
    out = predict_table(fitted(), "gmacs,family\n2,new\n1.5,new\n", "queries.csv")
    lines = out.splitlines()
    assert lines[0] == "gmacs,family,mean,p05,p95,status,reason"
    assert [line.split(",")[0] for line in lines[1:]] == ["2", "1.5"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("stranger,2,", "nothing to start from"),
        ("new,nan,", "`gmacs` must be a finite number"),
        ("new,-1,", "`gmacs` must be positive"),
        ("new,many,", "`gmacs` must be a number, got `many`"),
        ("new,1000,", "the law reaches 16 times"),
        ("new,2,strong", "no run of family `new` under strong; there is plain"),
        ("new,,", "`gmacs` is empty"),
        (",2,", "`family` is empty"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason_beside_the_others(query, words):
    first, second = answers(f"family,gmacs,regime\n{query}\nnew,2,plain\n")
    assert first["status"] == "refused"
    assert words in first["reason"]
    assert (first["mean"], first["p05"], first["p95"]) == ("", "", "")
    assert second["status"] == "ok"


def test_compute_follows_from_factors_where_it_is_not_given():
    runs = "family,width,resolution,gmacs,metric\nnew,1,224,1,76\nnew,1.41421356,224,2,78\n"
    given, derived = answers("family,width,resolution,gmacs\nnew,2,224,4\nnew,2,224,\n", runs)
    assert given["mean"] == derived["mean"]


def test_one_run_gives_a_band_and_no_value_far_away():
    near, far = answers("family,gmacs\nnew,3\nnew,8\n", "family,gmacs,metric\nnew,1,76\n")
    assert near["status"] == "ok"
    assert far["status"] == "band_only"
    assert far["mean"] == ""
    assert float(far["p05"]) < float(far["p95"])


def test_a_larger_kernel_is_worth_at_most_its_own_term_whatever_it_costs():
    runs = "family,kernel_size,gmacs,metric\nnew,7,4,80\nnew,7,1,76\n"
    plain, large = answers("family,kernel_size,gmacs\nnew,7,4.001\nnew,31,9\n", runs)
    assert 0 < float(large["mean"]) - float(plain["mean"]) < 0.45
    assert "kernel size" in large["reason"]


def test_patches_count_through_the_number_of_tokens():
    runs = "family,patch_size,resolution,gmacs,metric\nvit,16,224,4.6,80\nvit,32,224,1.1,74\n"
    by_patch, by_size = answers(
        "family,patch_size,resolution,gmacs\nvit,8,224,20\nvit,16,448,20\n", runs
    )
    assert by_patch["mean"] == by_size["mean"]


def test_a_loss_falls_with_compute():
    runs = "family,gmacs,metric\nlm,1,3.2\nlm,2,2.9\nlm,4,2.7\n"
    (row,) = answers("family,gmacs\nlm,8\n", runs, metric="loss")
    assert 2.3 < float(row["mean"]) < 2.7


def test_rows_of_two_regimes_are_two_laws():
    runs = CURVE + "new,1,80,strong\nnew,4,84,strong\n"
    plain, strong = answers("family,gmacs,regime\nnew,8,plain\nnew,8,strong\n", runs)
    assert float(strong["mean"]) > float(plain["mean"]) + 2


def test_each_family_shows_the_error_of_its_largest_left_out():
    (family,) = fitted().families
    assert (family.runs, family.gmacs) == (2, (1.0, 4.0))
    assert 0 <= family.leave_largest_out < 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("family,gmacs,metric\n", "has a header but no rows"),
        ("family,gmac,metric\nnew,1,76\n", "unknown column `gmac`"),
        ("family,gmacs\nnew,1\n", "has no column `metric`"),
        ("family,gmacs,gmacs,metric\nnew,1,1,76\n", "the column `gmacs` twice"),
        ("family,gmacs,metric\nnew,1\n", "line 2 has 2 cells, the header has 3"),
        ("family,gmacs,metric\nnew,1,nan\n", "line 2: `metric` must be a finite number"),
        ("family,gmacs,metric\nnew,1,\n", "line 2: `metric` is empty"),
        ("family,gmacs,metric\nnew,0,76\n", "line 2: `gmacs` must be positive"),
        ("family,gmacs,metric\n,1,76\n", "line 2: `family` is empty"),
        ("family,gmacs,metric\nnew,,76\n", "no run with `gmacs`"),
        ("family,gmacs,metric\nnew,1,0.76\nnew,2,0.8\n", "must be in percent"),
        ("family,gmacs,metric\nnew,1,176\n", "between 0 and 100 percent"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(text, words):
    with pytest.raises(InputError, match=words) as error:
        fitted(text)
    assert "\n" not in str(error.value)


def test_copies_count_once_and_are_mentioned():
    runs, warnings = read_runs(CURVE + "new,1,76,plain\n", "runs.csv", metric="top1_percent")
    assert len(runs.runs) == 2
    assert warnings == ("1 of 3 rows repeat another and count once",)


def test_a_family_of_one_is_mentioned():
    _, warnings = read_runs("family,gmacs,metric\na,1,76\n", "r", metric="top1_percent")
    assert warnings == ("family `a` has one run: a band within 4 times its compute, no more",)
