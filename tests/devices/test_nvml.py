"""NVML against a stand-in for its library; tests on a GPU compare with the real one."""

from types import SimpleNamespace

import pynvml
import pytest
from scripted_cuda import field_value, scripted_nvml

from scaleprof.devices.nvml import Gpu, GpuWatch


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that says what the returned dictionary holds; a missing key is not supported."""
    return scripted_nvml(monkeypatch)


def test_the_state_is_in_base_units(gpu):
    state = Gpu("1234").state()
    assert (state.sm_mhz, state.reference_mhz, state.max_mhz) == (1980, 1755, 1980)
    assert (state.power_w, state.power_limit_w) == (260.0, 700.0)
    assert state.foreign_processes == 0
    assert state.throttle_reasons == ()
    assert Gpu("GPU-1234").energy_j() == 5.0


def test_what_a_gpu_does_not_tell_is_unknown(gpu):
    gpu.clear()
    state = Gpu("1234").state()
    assert (state.sm_mhz, state.reference_mhz, state.power_w) == (None, None, None)
    assert (state.foreign_processes, state.persistence) == (None, None)
    assert Gpu("1234").energy_j() is None
    assert not GpuWatch(Gpu("1234")).conditions().throttled


@pytest.mark.parametrize(
    "told", [None, [field_value(0)], [field_value(1, pynvml.NVML_ERROR_UNKNOWN)]]
)
def test_without_the_power_of_now_that_of_the_last_second_counts(gpu, told):
    gpu["FieldValues"] = told
    assert Gpu("1234").state().power_w == 250.0


def test_without_a_default_clock_the_highest_is_what_it_promises(gpu):
    del gpu["DefaultApplicationsClock"]
    assert Gpu("1234").state().reference_mhz == 1980


def test_reasons_to_slow_down_are_said_in_words(gpu):
    gpu["CurrentClocksThrottleReasons"] = (
        pynvml.nvmlClocksThrottleReasonSwPowerCap | pynvml.nvmlClocksThrottleReasonGpuIdle
    )
    assert Gpu("1234").state().throttle_reasons == ("its power limit",)


def test_other_processes_on_the_gpu_are_foreign(gpu):
    gpu["ComputeRunningProcesses"].append(SimpleNamespace(pid=2**30))
    assert Gpu("1234").state().foreign_processes == 1


def test_where_our_number_is_not_known_what_appears_after_is_us(gpu):
    running = gpu["ComputeRunningProcesses"]
    running[:] = [SimpleNamespace(pid=2**30)]
    seen = Gpu("1234")
    assert seen.state().foreign_processes == 1
    # this process began to compute, under the number that it has outside of its container
    running.append(SimpleNamespace(pid=2**30 + 1))
    assert seen.state().foreign_processes == 1
    running.append(SimpleNamespace(pid=2**30 + 2))
    assert seen.state().foreign_processes == 2


@pytest.mark.parametrize(("mhz", "throttled"), [(1317, False), (1316, True)])
def test_a_clock_below_three_quarters_of_the_default_is_throttled(gpu, mhz, throttled):
    # 0.75 × 1755 MHz = 1316.25 MHz
    gpu["ClockInfo"] = mhz
    assert GpuWatch(Gpu("1234")).conditions().throttled is throttled


def test_looks_are_rare_and_the_median_clock_counts(gpu):
    times = iter([0.0, 0.01, 0.1, 0.2, 0.3])
    watch = GpuWatch(Gpu("1234"), clock=lambda: next(times))
    for mhz in (900, 1, 1800, 1900):
        gpu["ClockInfo"] = mhz
        watch.look()
    # the look at 0.01 s came too soon; the last one is that of `conditions`
    assert watch.conditions().sm_mhz == 1900
