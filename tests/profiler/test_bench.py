from factories import variant

from scaleprof.jobs import MeasureReply
from scaleprof.profiler._bench import pool
from scaleprof.timing import Samples


def reply(latency_s, *, foreign_cores=0.0, allocated=None):
    samples = Samples(
        first_call_s=1.0, warmup_calls=10, samples=(latency_s,) * 11, noisy=False, timeout=False
    )
    return MeasureReply(
        samples=samples, foreign_cores=foreign_cores, contended=foreign_cores > 0.5,
        allocated=allocated, reserved=allocated, process=None,
    )  # fmt: skip


def test_processes_that_others_disturbed_do_not_count():
    got = pool(variant("v"), [reply(0.1, foreign_cores=0.9), reply(0.01)], "cpu")
    assert got.latency_s.p50 == 0.01
    assert got.discarded_processes == 1
    assert not got.contended


def test_a_variant_that_was_disturbed_every_time_says_so():
    got = pool(variant("v"), [reply(0.1, foreign_cores=0.9)] * 2, "cpu")
    assert got.contended
    assert got.discarded_processes == 0
    assert got.foreign_cores == (0.9, 0.9)
    assert got.latency_s.p50 == 0.1


def test_memory_on_an_accelerator_is_what_was_allocated():
    got = pool(variant("v"), [reply(0.1, allocated=7000), reply(0.1, allocated=9000)], "cuda:0")
    assert (got.peak_bytes, got.peak_bytes_source) == (9000, "allocated")
    assert got.memory.planned == 4000
