import pytest

from scaleprof.errors import InputError
from scaleprof.project import project_tables, project_text

OWN = "[check]\nvariant = 'base'\n"
SHARED = "[tool.scaleprof.check]\nvariant = 'choice'\n"


def test_the_file_of_its_own_comes_first(tmp_path):
    (tmp_path / "pyproject.toml").write_text(SHARED)
    (tmp_path / "scaleprof.toml").write_text(OWN)
    assert list(project_tables("check", tmp_path)) == [
        ("`scaleprof.toml`: check", {"variant": "base"}),
        ("`pyproject.toml`: tool.scaleprof.check", {"variant": "choice"}),
    ]
    assert list(project_tables("models", tmp_path)) == []


def test_a_file_that_is_not_needed_is_not_read(tmp_path):
    (tmp_path / "scaleprof.toml").write_text(OWN)
    (tmp_path / "pyproject.toml").write_text("[check")
    assert next(project_tables("check", tmp_path))[1] == {"variant": "base"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("scaleprof.toml", b"[check", "cannot read `scaleprof.toml`"),
        ("scaleprof.toml", b"[check]\nvariant = '\xff'", "cannot read `scaleprof.toml`"),
        ("pyproject.toml", b"tool = 3", "expected `tool` to be a table, got 3"),
        ("pyproject.toml", b"[tool]\nscaleprof = []", r"expected `scaleprof` .*, got \[\]"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_with_a_hint(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        list(project_tables("check", tmp_path))
    assert caught.value.hint


def test_the_text_changes_with_either_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = {project_text()}
    for name in ("scaleprof.toml", "pyproject.toml"):
        (tmp_path / name).write_bytes(b"\xff" + name.encode())
        seen.add(project_text())
    assert len(seen) == 3
