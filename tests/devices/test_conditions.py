import pytest

from scaleprof.devices import GpuState
from scaleprof.devices.conditions import (
    ceiling_advice,
    cgroup_cores,
    cpu_advice,
    cpu_state,
    gpu_advice,
)


def written(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("text", "cores"), [("150000 100000\n", 1.5), ("max 100000\n", None), (None, None)]
)
def test_a_quota_is_in_cores(tmp_path, text, cores):
    if text is not None:
        written(tmp_path, "sys/fs/cgroup/cpu.max", text)
    assert cgroup_cores(tmp_path) == cores


def test_the_state_of_a_cpu_is_read_from_the_system(tmp_path):
    written(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n")
    written(tmp_path, "sys/devices/system/cpu/intel_pstate/no_turbo", "1\n")
    state = cpu_state(tmp_path)
    assert (state["governor"], state["turbo"]) == ("powersave", False)
    assert state["memory_free_bytes"] > 0


def test_what_the_system_does_not_tell_is_unknown(tmp_path):
    state = cpu_state(tmp_path)
    assert (state["governor"], state["turbo"], state["cgroup_cores"]) == (None, None, None)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        pytest.param({"governor": "powersave"}, "governor is `powersave`", id="governor"),
        pytest.param({"cgroup_cores": 1.5}, "set OMP_NUM_THREADS=1", id="quota"),
        pytest.param({"foreign_cores": 0.9}, "keep 0.9 cores busy", id="busy"),
        pytest.param({"governor": "performance", "foreign_cores": 0.1}, None, id="all-well"),
    ],
)
def test_advice_names_what_was_seen_and_what_to_do(state, words):
    advice = cpu_advice(state, threads=4, cores=4)
    assert (advice == []) if words is None else (words in advice[0])


def test_more_threads_than_cores_are_too_many():
    assert cpu_advice({}, threads=8, cores=4) == ["8 threads share 4 cores: set OMP_NUM_THREADS=4"]


def test_a_gpu_that_others_use_is_not_ready():
    calm = GpuState(
        sm_mhz=1, reference_mhz=1, max_mhz=1, temperature_c=1, power_w=1.0, power_limit_w=1.0,
        throttle_reasons=(), foreign_processes=0, persistence=True,
    )  # fmt: skip
    assert gpu_advice(calm) == []
    import msgspec

    busy = msgspec.structs.replace(
        calm, foreign_processes=2, throttle_reasons=("heat",), persistence=False
    )
    assert [advice.split(":")[0] for advice in gpu_advice(busy)] == [
        "2 other processes compute on it",
        "it is slowed down by heat",
        "its driver is loaded anew by every process",
    ]


def test_a_rate_far_below_the_data_sheet_is_pointed_out():
    assert ceiling_advice({"copy": 50.0, "matmul": None}, {"copy": 100.0, "matmul": 1.0}) == [
        "copy is 50% of the data sheet: something slows the device down"
    ]
    assert ceiling_advice({"copy": 70.0, "unknown": 1.0}, {"copy": 100.0}) == []
