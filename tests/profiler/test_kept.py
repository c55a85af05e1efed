import datetime as dt

import msgspec
import pytest
from factories import recipe
from factories import variant as any_variant
from scripted import STATE, ScriptedCrew

from scaleprof.profiler._bench import Bench
from scaleprof.profiler._kept import Kept
from scaleprof.profiler._options import Options
from scaleprof.store import Block, Store
from scaleprof.timing import StoppingRule
from scaleprof.workers import Failure


def variant(name, *, out_features=5):
    arguments = {"in_features": 2, "out_features": out_features}
    return msgspec.structs.replace(any_variant(name), recipe=recipe(arguments=arguments))


BASE = variant("base", out_features=3)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite"


def run(path, crew, variants, *, state=STATE, files=(), fresh=False, base=False):
    """One job: measure these variants in turn; return it for its notes and measurements."""
    with Store(path) as store:
        kept = Kept(store, model="m", state=state, files=files, fresh=fresh)
        # "meta": nobody waits for the cores of a device that is not a CPU
        bench = Bench(crew, Options(), "meta", deadline=1e9, rule=StoppingRule(), kept=kept)
        for one in variants:
            bench.run_base(one) if base else bench.run(one)
    return bench


def p50(bench, one):
    return bench.measured(one).measurement.latency_s.p50


def test_the_same_job_takes_what_is_kept_and_measures_the_rest(path):
    small, large = variant("a"), variant("b", out_features=7)
    run(path, ScriptedCrew(0.1, 0.2), [small, BASE])
    again = ScriptedCrew(0.3)
    job = run(path, again, [small, BASE, large])
    assert again.processes == 1
    assert [p50(job, v) for v in (small, BASE, large)] == [0.1, 0.2, 0.3]
    assert len(job.kept.notes) == 1
    assert "2 blocks of samples were measured before" in job.kept.notes[0]


def test_a_second_process_of_a_variant_is_another_block(path):
    first = run(path, ScriptedCrew(0.1, 0.2), [BASE, BASE])
    assert first.measured(BASE).measurement.latency_s.processes == (11, 11)
    again = ScriptedCrew(0.3)
    job = run(path, again, [BASE, BASE, BASE])
    assert again.processes == 1
    assert (
        job.measured(BASE).measurement.latency_s.samples == (0.1,) * 11 + (0.2,) * 11 + (0.3,) * 11
    )


def test_blocks_that_were_kept_at_one_moment_are_all_taken(path, monkeypatch):
    monkeypatch.setattr("scaleprof.profiler._kept.now", lambda: "2026-01-01T00:00:00.000+00:00")
    run(path, ScriptedCrew(0.1, 0.2), [BASE, BASE])
    none_needed = ScriptedCrew()
    run(path, none_needed, [BASE, BASE])
    assert none_needed.processes == 0


def test_the_yardstick_of_each_process_is_kept_and_latencies_stay_as_they_are(path):
    run(path, ScriptedCrew(0.1, hosts=(1.0,)), [BASE])
    job = run(path, ScriptedCrew(0.13, hosts=(1.3,)), [BASE, BASE])
    measured = job.measured(BASE).measurement
    assert measured.yardsticks_s == (1.0, 1.3)
    assert measured.latency_s.samples == (0.1,) * 11 + (0.13,) * 11


def test_fresh_takes_nothing_and_keeps_all(path):
    run(path, ScriptedCrew(0.1), [BASE])
    job = run(path, ScriptedCrew(0.2), [BASE], fresh=True)
    assert p50(job, BASE) == 0.2
    assert job.kept.notes == []
    with Store(path) as store:
        kept = store._connection.execute("SELECT p50_s FROM blocks").fetchall()
    assert kept == [(0.1,), (0.2,)]


def test_a_check_measures_whatever_is_kept(path):
    run(path, ScriptedCrew(0.1), [BASE])
    crew = ScriptedCrew(0.2)
    with Store(path) as store:
        kept = Kept(store, model="m", state=STATE, files=(), fresh=False)
        bench = Bench(crew, Options(), "meta", deadline=1e9, rule=StoppingRule(), kept=kept)
        bench.run(BASE, again=True)
    assert p50(bench, BASE) == 0.2


def test_an_edited_file_is_measured_anew(path, tmp_path):
    source = tmp_path / "net.py"
    source.write_text("def forward(x): return x + x")
    run(path, ScriptedCrew(0.1), [BASE], files=[str(source)])
    source.write_text("def forward(x): return 2 * x")
    assert p50(run(path, ScriptedCrew(0.2), [BASE], files=[str(source)]), BASE) == 0.2


@pytest.mark.parametrize(
    "changes",
    [
        {"versions": {"torch": "3"}},
        {"flags": {"threads": 1}},
        {"name": "meta:1"},
        {"device": msgspec.structs.replace(STATE.device, driver="600")},
    ],
    ids=["version", "threads", "device", "driver"],
)
def test_other_conditions_are_measured_anew(path, changes):
    run(path, ScriptedCrew(0.1), [BASE])
    state = msgspec.structs.replace(STATE, **changes)
    assert p50(run(path, ScriptedCrew(0.2), [BASE], state=state), BASE) == 0.2


def test_another_graph_is_measured_anew(path):
    run(path, ScriptedCrew(0.1), [BASE])
    changed = msgspec.structs.replace(
        BASE, cost=msgspec.structs.replace(BASE.cost, graph="another")
    )
    assert p50(run(path, ScriptedCrew(0.2), [changed]), BASE) == 0.2


def test_how_a_process_failed_is_kept_but_tried_again(path):
    crash = Failure(status="crashed", reason="was ended by SIGSEGV")
    failed = run(path, ScriptedCrew(crash), [BASE])
    assert failed.measured(BASE).measurement.status == "crashed"
    with Store(path) as store:
        assert store._connection.execute("SELECT status FROM blocks").fetchall() == [("crashed",)]
    assert p50(run(path, ScriptedCrew(0.2), [BASE]), BASE) == 0.2


def _backdate(path, **ago):
    then = dt.datetime.now(dt.UTC) - dt.timedelta(**ago)
    with Store(path) as store, store._connection as connection:
        connection.execute("UPDATE blocks SET measured_at = ?", (then.isoformat(),))


def test_a_disturbed_block_is_taken_only_by_a_job_that_is_resumed(path):
    run(path, ScriptedCrew((0.1, True), (0.1, True)), [BASE])
    resumed = ScriptedCrew()
    run(path, resumed, [BASE])
    assert resumed.processes == 0
    _backdate(path, hours=1)
    assert p50(run(path, ScriptedCrew(0.2), [BASE]), BASE) == 0.2


def test_blocks_of_another_day_are_taken_if_the_base_is_what_it_was(path):
    run(path, ScriptedCrew(0.1, 0.5), [BASE, variant("a")])
    _backdate(path, days=1)
    crew = ScriptedCrew(0.104)
    with Store(path) as store:
        kept = Kept(store, model="m", state=STATE, files=(), fresh=False)
        bench = Bench(crew, Options(), "meta", deadline=1e9, rule=StoppingRule(), kept=kept)
        bench.run_base(BASE)
        bench.run(variant("a"))
    assert crew.processes == 1
    assert p50(bench, variant("a")) == 0.5


def test_nothing_is_taken_where_the_base_is_slower_than_it_was(path):
    run(path, ScriptedCrew(0.1, 0.5), [BASE, variant("a")])
    _backdate(path, days=1)
    crew = ScriptedCrew(0.15, 0.8)
    with Store(path) as store:
        kept = Kept(store, model="m", state=STATE, files=(), fresh=False)
        bench = Bench(crew, Options(), "meta", deadline=1e9, rule=StoppingRule(), kept=kept)
        bench.run_base(BASE)
        bench.run(variant("a"))
        notes = kept.notes
    assert p50(bench, variant("a")) == 0.8
    assert any("the base is 50% slower" in note for note in notes)


def test_a_store_that_cannot_be_used_is_a_note_and_no_error(tmp_path):
    broken = tmp_path / "store"
    broken.write_bytes(b"no database" * 500)
    job = run(broken, ScriptedCrew(0.1), [BASE])
    assert p50(job, BASE) == 0.1
    assert ["not a database" in note for note in job.kept.notes] == [True]


def test_a_block_that_cannot_be_read_is_measured_anew(path):
    run(path, ScriptedCrew(0.1), [BASE])
    with Store(path) as store, store._connection as connection:
        connection.execute("UPDATE blocks SET content = ?", (b"\xc1",))
    assert p50(run(path, ScriptedCrew(0.2), [BASE]), BASE) == 0.2


def test_fields_of_a_block_are_those_of_its_table(path):
    with Store(path) as store:
        rows = store._connection.execute("PRAGMA table_info(blocks)").fetchall()
    assert {row[1] for row in rows} == set(Block.__struct_fields__)
