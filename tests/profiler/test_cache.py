import os

import msgspec
import pytest

from scaleprof.profiler import _cache
from scaleprof.profiler._cache import VARIABLE, Cache
from scaleprof.records import Axis

REPLY = Axis(status="ok", arguments=("dims",), base={"dims": [1, 2]})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path


def put(request=("model", 1), files=()):
    Cache().put("job", request, REPLY, [str(file) for file in files])


def got(request=("model", 1), *, fresh=False):
    return Cache(fresh=fresh).get("job", request, Axis)


def test_a_reply_is_found_by_its_request_alone(folder):
    put()
    assert got() == REPLY
    assert got(("model", 2)) is None


def test_a_fresh_look_takes_nothing_and_replaces(folder):
    put()
    assert got(fresh=True) is None


def test_a_changed_or_missing_file_makes_an_entry_old(folder):
    source = folder / "net.py"
    source.write_text("width = 1")
    put(files=[source])
    assert got() == REPLY
    source.write_text("width = 2")
    assert got() is None
    put(files=[source])
    source.unlink()
    assert got() is None


def test_a_declaration_is_part_of_the_question(folder, monkeypatch):
    monkeypatch.chdir(folder)
    put()
    (folder / "scaleprof.toml").write_text("")
    assert got() == REPLY
    (folder / "scaleprof.toml").write_text('[models."net.py:net"]\nwidth = ["dims"]\n')
    assert got() is None


def test_other_libraries_are_another_question(folder, monkeypatch):
    put()
    monkeypatch.setattr(_cache, "_versions", lambda: ("torch 0.1",))
    assert got() is None


def test_a_broken_entry_was_never_there(folder):
    put()
    (entry,) = (folder / "cache").iterdir()
    entry.write_bytes(entry.read_bytes()[:-3])
    assert got() is None
    entry.write_bytes(msgspec.msgpack.encode(["other", "thing"]))
    assert got() is None


def test_the_cache_can_be_off(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, "off")
    put()
    assert got() is None


def test_a_folder_that_cannot_be_written_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "below"))
    put()
    assert got() is None


def test_the_oldest_entries_go_first(folder, monkeypatch):
    put(("a",))
    (old,) = (folder / "cache").iterdir()
    os.utime(old, (1, 1))
    monkeypatch.setattr(_cache, "_MAX_BYTES", old.stat().st_size + 10)
    put(("b",))
    assert got(("b",)) == REPLY
    assert got(("a",)) is None
