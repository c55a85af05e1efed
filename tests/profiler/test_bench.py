import pytest
from factories import variant

from scaleprof.jobs import Energy, MeasureReply
from scaleprof.profiler._bench import pool
from scaleprof.records import GpuConditions, KernelUse, replace
from scaleprof.timing import Samples


def reply(latency_s, *, foreign_cores=0.0, allocated=None, yardstick_s=()):
    samples = Samples(
        first_call_s=1.0,
        warmup_calls=10,
        samples=(latency_s,) * 11,
        noisy=False,
        timeout=False,
        yardstick_s=yardstick_s,
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


def test_latencies_are_corrected_for_drift_and_say_so():
    got = pool(variant("v"), [reply(0.12), reply(0.1)], "cpu", drift=[1.2, 1.0])
    assert got.latency_s.p50 == pytest.approx(0.1)
    assert got.drift == (1.2, 1.0)
    assert pool(variant("v"), [reply(0.1)], "cpu", drift=[1.0]).drift == ()


def test_the_yardstick_is_kept_where_every_process_timed_it():
    timed, untimed = reply(0.1, yardstick_s=(0.002, 0.001, 0.002, 0.004)), reply(0.1)
    assert pool(variant("v"), [timed, timed], "cpu").yardsticks_s == (0.002, 0.002)
    assert pool(variant("v"), [timed, untimed], "cpu").yardsticks_s == ()


def gpu(sm_mhz):
    return GpuConditions(
        sm_mhz=sm_mhz, reference_mhz=1980, temperature_c=80, power_w=300.0,
        throttle_reasons=("heat",), foreign_processes=0, throttled=sm_mhz < 0.75 * 1980,
    )  # fmt: skip


def test_processes_of_a_throttled_gpu_do_not_count():
    slow, fast = (replace(reply(t), gpu=gpu(mhz)) for t, mhz in ((0.1, 900), (0.05, 1980)))
    got = pool(variant("v"), [slow, fast], "cuda:0")
    assert (got.latency_s.p50, got.discarded_processes, got.throttled) == (0.05, 1, False)
    assert got.gpu == (gpu(1980),)
    always = pool(variant("v"), [slow, slow], "cuda:0")
    assert always.throttled
    assert not always.contended


@pytest.mark.parametrize(("enqueue_s", "bound"), [(0.0079, False), (0.0081, True)])
def test_a_device_that_waits_for_its_host_is_called_so(enqueue_s, bound):
    block = replace(reply(0.01), device_s=(0.01,) * 11, enqueue_s=(enqueue_s,) * 11)
    got = pool(variant("v"), [block], "cuda:0")
    assert got.host_bound is bound
    assert got.device_s == 0.01


def test_what_an_accelerator_does_not_tell_has_its_reason():
    block = replace(reply(0.01), no_events="no events here", energy=Energy(reason="no counter"))
    got = pool(variant("v"), [block], "xpu:0")
    assert (got.device_s, got.energy_j) == (None, None)
    assert got.reasons["device_s"] == "no events here"
    assert got.reasons["energy_j"] == "no counter"


def test_energy_is_the_median_of_the_processes_that_know_it():
    known = [replace(reply(0.01), energy=Energy(joules=j)) for j in (1.0, 3.0, 2.0)]
    got = pool(variant("v"), [reply(0.01), *known], "cuda:0")
    assert got.energy_j == 2.0
    assert "energy_j" not in got.reasons


def test_memory_on_an_accelerator_is_what_was_allocated():
    got = pool(variant("v"), [reply(0.1, allocated=7000), reply(0.1, allocated=9000)], "cuda:0")
    assert (got.peak_bytes, got.peak_bytes_source) == (9000, "allocated")
    assert got.memory.planned == 4000


def test_kernels_are_those_that_the_last_process_told_of():
    told = [KernelUse(kernels="torch", calls={"f": 1}, share=share) for share in (0.5, 0.25)]
    disturbed = replace(reply(0.01, foreign_cores=0.9), kernels=told[0])
    got = pool(variant("v"), [disturbed, replace(reply(0.01), kernels=told[1]), reply(0.01)], "cpu")
    assert got.kernels == told[1]
    assert pool(variant("v"), [reply(0.01)], "cpu").kernels is None
