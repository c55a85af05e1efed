import multiprocessing
import os
import signal
import sqlite3
import stat

import msgspec
import pytest

from scaleprof.store import Block, Store, fingerprint, store_path
from scaleprof.store._store import _MIGRATIONS, VERSION


def block(name="a", *, variant="base", p50_s=0.01, measured_at="2026-01-02T03:04:05.000+00:00"):
    return Block(
        fingerprint=name, measured_at=measured_at, model="m", variant=variant, device="d",
        status="ok", p50_s=p50_s, content=b"\x00samples",
    )  # fmt: skip


def numbered(kept, number):
    return msgspec.structs.replace(kept, id=number)


def test_blocks_come_back_in_the_order_they_were_kept(tmp_path):
    blocks = [block(p50_s=1.0), block("b"), block(p50_s=2.0)]
    with Store(tmp_path / "deep" / "store.sqlite") as store:
        ids = [store.keep(one) for one in blocks]
    with Store(tmp_path / "deep" / "store.sqlite") as again:
        assert again.blocks("a") == [numbered(blocks[0], ids[0]), numbered(blocks[2], ids[2])]
        assert len(set(ids)) == 3
        assert again.blocks("nothing") == []
        assert again.problem is None


def test_the_latest_calibration_counts(tmp_path):
    with Store(tmp_path / "s") as store:
        assert store.calibration("cpu") is None
        store.keep_calibration("cpu", "a CPU", b"old")
        store.keep_calibration("cpu", "a CPU", b"new")
        assert store.calibration("cpu") == b"new"


def _write_many(path, name, count):
    with Store(path) as store:
        for i in range(count):
            store.keep(block(name, p50_s=float(i)))
        os._exit(0 if store.problem is None else 1)


def test_programs_that_write_at_the_same_time_lose_nothing(tmp_path):
    path, count = tmp_path / "s", 20
    context = multiprocessing.get_context("fork")
    # also the tables are made by whoever comes first
    names = ["a", "b", "c"]
    writers = [context.Process(target=_write_many, args=(path, name, count)) for name in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    with Store(path) as store:
        for name in names:
            assert [b.p50_s for b in store.blocks(name)] == [float(i) for i in range(count)]


def _write_then_die(path, written):
    with Store(path) as store:
        while True:
            store.keep(block())
            written.value += 1
            if written.value == 5:
                os.kill(os.getpid(), signal.SIGKILL)


def test_what_was_kept_survives_the_end_of_the_program(tmp_path):
    context = multiprocessing.get_context("fork")
    written = context.Value("i", 0)
    writer = context.Process(target=_write_then_die, args=(tmp_path / "s", written))
    writer.start()
    writer.join()
    assert writer.exitcode == -signal.SIGKILL
    with Store(tmp_path / "s") as store:
        assert len(store.blocks("a")) == 5


def test_a_store_of_the_first_version_is_brought_to_this_one(tmp_path):
    old = sqlite3.connect(tmp_path / "s")
    old.executescript(_MIGRATIONS[0])
    old.execute("PRAGMA user_version = 1")
    kept = numbered(block(), 1)
    values = tuple(getattr(kept, name) for name in Block.__struct_fields__)
    names = ", ".join(Block.__struct_fields__)
    marks = ", ".join("?" * len(values))
    old.execute(f"INSERT INTO blocks ({names}) VALUES ({marks})", values)
    old.commit()
    old.close()
    with Store(tmp_path / "s") as store:
        assert store.blocks("a") == [kept]
        store.keep_calibration("cpu", "a CPU", b"new")
        assert store.calibration("cpu") == b"new"
        assert store.problem is None


def test_a_store_of_a_newer_version_is_left_alone(tmp_path):
    newer = sqlite3.connect(tmp_path / "s")
    newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    newer.commit()
    newer.close()
    with Store(tmp_path / "s") as store:
        assert "newer scaleprof" in store.problem
        store.keep(block())
        assert store.blocks("a") == []


@pytest.mark.parametrize(
    "content", [b"this is no database, however long it is" * 100, b"SQLite format 3\x00junk"]
)
def test_a_file_that_is_no_database_is_named_and_left_as_it_was(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with Store(path) as store:
        store.keep(block())
        assert store.blocks("a") == []
        assert str(path) in store.problem
        assert "\n" not in store.problem
    assert path.read_bytes() == content


def test_a_folder_in_place_of_a_store_is_named(tmp_path):
    with Store(tmp_path) as store:
        store.keep(block())
        assert "cannot be opened" in store.problem


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only files")
def test_a_read_only_store_is_read(tmp_path):
    with Store(tmp_path / "s") as store:
        store.keep(block())
    (tmp_path / "s").chmod(stat.S_IRUSR)
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with Store(tmp_path / "s") as store:
            assert store.blocks("a") == [numbered(block(), 1)]
            store.keep(block())
            assert "cannot be written" in store.problem
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_a_full_disk_keeps_what_was_there(tmp_path):
    with Store(tmp_path / "s") as store:
        store.keep(block())
        # a limit on pages is what SQLite calls a full disk
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        for _ in range(200):
            store.keep(block())
        assert "full" in store.problem
        assert store.blocks("a")[0] == numbered(block(), 1)


def test_nothing_is_kept_where_the_store_is_off(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALEPROF_STORE", "off")
    assert store_path() is None
    with Store(None) as store:
        store.keep(block())
        assert store.blocks("a") == []
        assert store.problem is None


def test_the_path_given_goes_before_the_environments(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALEPROF_STORE", str(tmp_path / "environment"))
    assert store_path("here.sqlite").name == "here.sqlite"
    assert store_path() == tmp_path / "environment"
    monkeypatch.delenv("SCALEPROF_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert store_path() == tmp_path / "scaleprof" / "store.sqlite"


def test_a_fingerprint_changes_with_conditions_files_and_environment(tmp_path, monkeypatch):
    source = tmp_path / "net.py"
    source.write_text("one")
    seen = {fingerprint({"batch": 1}, files=[str(source)])}
    seen.add(fingerprint({"batch": 2}, files=[str(source)]))
    source.write_text("two")
    seen.add(fingerprint({"batch": 1}, files=[str(source)]))
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    seen.add(fingerprint({"batch": 1}, files=[str(source)]))
    assert len(seen) == 4
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fingerprint({"batch": 1}, files=[str(source)]) in seen
