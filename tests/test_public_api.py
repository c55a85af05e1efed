import subprocess
import sys

import pytest

import scaleprof


def _modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import scaleprof", id="the-package"),
        pytest.param("import scaleprof; scaleprof.profile; scaleprof.select", id="its-functions"),
        pytest.param("import scaleprof.prediction", id="prediction"),
        pytest.param("import scaleprof.reports.table", id="reports"),
        pytest.param("import scaleprof.jobs, scaleprof.profiler._profile", id="the-conductor"),
        pytest.param("import scaleprof.cli", id="the-command-line"),
    ],
)
def test_importing_does_not_import_torch(code):
    assert not {"torch", "timm", "fvcore", "pynvml"} & _modules_after(code)


def test_help_imports_neither_torch_nor_numpy():
    code = "import sys; sys.argv = ['scaleprof', '--help']\nfrom scaleprof.cli import main\n"
    code += "try: main()\nexcept SystemExit: pass"
    assert not {"torch", "numpy", "scipy"} & _modules_after(code)


def test_every_public_name_is_there_and_documented():
    for name in scaleprof.__all__:
        assert getattr(scaleprof, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = scaleprof.nonsense
