"""Who runs large-kernel operators in a profile, and what the report says of it."""

import importlib.util

import pytest

import scaleprof
from scaleprof.errors import DeviceError, MissingExtraError, RecipeError
from scaleprof.profiler._options import Options, resolve_kernels
from scaleprof.records import Device, replace
from scaleprof.reports.table import profile_table

CPU = Device(type="cpu", index=None, name="A CPU", memory_bytes=None, cores=2, driver=None)
GPU = replace(CPU, type="cuda", index=0, name="A GPU")


@pytest.mark.parametrize(
    ("asked", "device", "want"),
    [
        ("auto", CPU, "torch"),
        ("auto", GPU, "triton"),
        ("torch", GPU, "torch"),
        ("triton", GPU, "triton"),
        ("auto", replace(CPU, type="mps"), "torch"),
    ],
)
def test_auto_is_triton_on_an_nvidia_gpu_alone(asked, device, want):
    pytest.importorskip("triton")
    assert resolve_kernels(Options(kernels=asked), device) == want


def test_without_triton_auto_is_torch_and_triton_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert resolve_kernels(Options(), GPU) == "torch"
    with pytest.raises(MissingExtraError, match="needs triton"):
        resolve_kernels(Options(kernels="triton"), GPU)


def test_triton_on_a_cpu_is_refused_in_one_line_before_anything_is_measured():
    with pytest.raises(DeviceError) as raised:
        scaleprof.profile("lsnet_t", device="cpu", kernels="triton")
    assert "`--kernels triton` needs an NVIDIA GPU, this device is" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.hint


def test_another_kind_of_kernels_is_refused():
    with pytest.raises(RecipeError, match="unknown kind of kernels `cuda`"):
        scaleprof.profile("lsnet_t", kernels="cuda")


@pytest.fixture(scope="module")
def report():
    small = "dims=(16, 32, 48, 64), depths=(1, 2, 3, 2), img_size=64"
    return scaleprof.profile(f"lsnet_t({small})", device="cpu", strategies=["w"], multipliers=[2.0])


def test_the_report_says_of_each_variant_what_ran_and_for_how_long(report):
    assert report.context.kernels == "torch"
    for variant in report.variants:
        used = variant.measurement.kernels
        # an LS convolution in each of the second and third stages
        assert used.calls == {
            "depthwise_conv2d: torch": 2, "small_kernel_aggregation: torch": 2,
        }  # fmt: skip
        assert 0 < used.share < 1


def test_the_table_says_it_of_the_base(report):
    text = str(profile_table(report).renderables[-1])
    assert "kernels of base: 2 depthwise_conv2d: torch, 2 small_kernel_aggregation: torch" in text


def test_a_model_without_such_operators_spends_no_time_in_them():
    report = scaleprof.profile(
        "timm:test_convnext(kernel_sizes=3)", device="cpu", strategies=["w"], multipliers=[0.5]
    )
    used = report.variants[0].measurement.kernels
    assert (used.calls, used.share) == ({}, 0.0)
    assert "kernels of" not in str(profile_table(report).renderables[-1])
