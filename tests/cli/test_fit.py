import json

import pytest
from typer.testing import CliRunner

from scaleprof.cli._app import app
from scaleprof.errors import InputError
from scaleprof.reports import read_accuracy

RUNS = "family,gmacs,metric\nnew,1,76\nnew,4,80\n"


def invoke(*arguments):
    return CliRunner().invoke(app, ["fit", *map(str, arguments)])


@pytest.fixture
def runs(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text(RUNS)
    return path


def test_predictions_are_csv_on_standard_output(runs, tmp_path):
    queries = tmp_path / "queries.csv"
    queries.write_text("family,gmacs\nnew,2\nstranger,2\n")
    done = invoke(runs, "--predict", queries)
    assert done.exit_code == 0
    header, first, second = done.stdout.splitlines()
    assert header == "family,gmacs,mean,p05,p95,status,reason"
    assert ",ok," in first
    assert second == "stranger,2,,,,refused,no run of family `stranger`: nothing to start from"


def test_predictions_go_to_a_file_when_asked(runs, tmp_path):
    output = tmp_path / "out.csv"
    done = invoke(runs, "--predict", runs, "--output", output)
    assert done.exit_code == 0
    assert done.stdout == ""
    assert output.read_text().startswith("family,gmacs,metric,mean,")


def test_a_law_is_written_and_read_again(runs, tmp_path):
    law = tmp_path / "law.json"
    done = invoke(runs, "--json", law, "--metric", "dice")
    assert done.exit_code == 0
    assert "dice of" in done.stdout
    assert read_accuracy(str(law)).metric == "dice"


def test_a_file_that_is_no_law_is_refused(tmp_path):
    path = tmp_path / "law.json"
    path.write_text(json.dumps({"schema": "scaleprof.report/1"}))
    with pytest.raises(InputError, match="holds no trained runs"):
        read_accuracy(str(path))


def test_an_output_without_queries_is_refused(runs, tmp_path):
    done = invoke(runs, "--output", tmp_path / "out.csv")
    assert isinstance(done.exception, InputError)
