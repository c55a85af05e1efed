"""``scaleprof report``: formats, streams and exit statuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = str(Path("profiles/examples/convnext_atto-cpu.json").resolve())
FORMATS = (
    "--html", "--markdown", "--timm-csv", "--bencher", "--github-benchmark", "--pytest-benchmark",
)  # fmt: skip


def run(*arguments, cwd, stdin=None):
    return subprocess.run(
        [sys.executable, "-P", "-m", "scaleprof", "report", *arguments],
        capture_output=True, text=True, cwd=cwd, timeout=60, check=False, input=stdin,
    )  # fmt: skip


def test_without_a_format_a_report_is_shown_as_a_table(tmp_path):
    done = run(EXAMPLE, cwd=tmp_path)
    assert done.returncode == 0
    assert "▶ dwr ×2.02" in done.stdout


def test_the_front_is_drawn_below_the_table(tmp_path):
    done = run(EXAMPLE, "--plot", cwd=tmp_path)
    table, _, plot = done.stdout.partition("accuracy)")
    assert "▶ dwr ×2.02" in table
    assert all(mark in plot for mark in "★◆●○")
    assert "\x1b" not in done.stdout


def test_a_format_on_standard_output_is_all_there_is(tmp_path):
    done = run(EXAMPLE, "--bencher", "-", cwd=tmp_path)
    assert "timm:convnext_atto/base" in json.loads(done.stdout)


def test_a_report_is_read_from_standard_input(tmp_path):
    done = run("-", "--timm-csv", "-", cwd=tmp_path, stdin=Path(EXAMPLE).read_text())
    assert done.stdout.startswith("model,infer_img_size")


def test_each_format_goes_to_its_own_file(tmp_path):
    options = [part for name in FORMATS for part in (name, f"out{name}")]
    done = run(EXAMPLE, *options, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert all((tmp_path / f"out{name}").stat().st_size > 0 for name in FORMATS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("none.json",), "cannot read `none.json`", id="no-file"),
        pytest.param((EXAMPLE, "--bencher", "a/b"), "there is no folder `a`", id="no-folder"),
        pytest.param(
            (EXAMPLE, "--bencher", "-", "--timm-csv", "-"), "both write", id="both-on-stdout"
        ),
        pytest.param((EXAMPLE, "--bencher", "-", "--plot"), "both write", id="plot-on-stdout"),
        pytest.param((EXAMPLE, EXAMPLE, "--bencher", "x"), "more than one place", id="twice"),
    ],
)
def test_what_cannot_be_written_is_bad_input(tmp_path, arguments, message):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", FORMATS)
def test_formats_import_neither_torch_nor_numpy(tmp_path, option):
    code = (
        f"import sys; sys.argv = ['scaleprof', 'report', {EXAMPLE!r}, {option!r}, 'out']\n"
        "from scaleprof.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          check=True, cwd=tmp_path)  # fmt: skip
    assert not {"torch", "numpy", "scipy", "rich"} & set(done.stdout.splitlines()[-1].split())
