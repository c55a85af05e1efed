import msgspec
import pytest
from rich.console import Console
from scripted import STATE, ScriptedCrew

from scaleprof.errors import MeasurementError
from scaleprof.jobs import DeviceNames, Inspection
from scaleprof.profiler import _devices
from scaleprof.profiler._devices import look_at_devices
from scaleprof.records import FoundDevice, MeasuredCeilings
from scaleprof.reports.devices import devices_table
from scaleprof.workers import Done, Failure

CEILINGS = MeasuredCeilings(
    copy_bytes_per_s=2e10,
    matmul_flops_per_s={"float32": 1e11, "float16": None},
    launch_s=2e-6,
    reasons={"matmul_flops_per_s.float16": "not implemented"},
)


class Machine(ScriptedCrew):
    """A machine with these devices; one of them does not answer."""

    device = STATE.device

    def __init__(self, *latencies, names=("cpu",), broken=()):
        super().__init__(*latencies)
        self._names, self._broken = names, broken

    def __call__(self, *_, **__):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def uses(self, device_type):
        self.used = device_type

    def measure(self, job, request, reply):
        if reply is DeviceNames:
            return Done(reply=DeviceNames(names=self._names), elapsed_s=0.0)
        if reply is not Inspection:
            return super().measure(job, request, reply)
        if request.name in self._broken:
            return Failure(status="crashed", reason="was ended by SIGSEGV")
        found = FoundDevice(name=request.name, device=self.device, ceilings=CEILINGS)
        return Done(reply=Inspection(found=found, state=STATE), elapsed_s=0.0)


@pytest.fixture
def look(monkeypatch, tmp_path):
    def look(machine, only=None, *, calibrate=False):
        monkeypatch.setattr(_devices, "Crew", machine)
        store = str(tmp_path / "store.sqlite")
        return look_at_devices(only, calibrate=calibrate, store=store, progress=lambda _: None)

    return look


def test_a_calibration_is_kept_and_shown_again(look):
    latencies = [0.01 * (1 + 0.001 * (i % 3)) for i in range(16)]
    (found,) = look(Machine(*latencies), calibrate=True).devices
    assert found.calibration.latencies_s == tuple(latencies)
    assert 0 < found.calibration.smallest_effect < 0.01
    (again,) = look(Machine()).devices
    assert again.calibration == found.calibration


def test_processes_that_others_disturbed_do_not_calibrate(look):
    disturbed = [(0.1, True)] * 6
    (found,) = look(Machine(*disturbed, *[0.01] * 10), calibrate=True).devices
    assert found.calibration.latencies_s == (0.01,) * 10
    assert found.calibration.disturbed == 6
    with pytest.raises(MeasurementError, match="others took the device from 12 of 16"):
        look(Machine(*[(0.1, True)] * 12, *[0.01] * 4), calibrate=True)


def test_a_device_that_crashes_does_not_hide_the_others(look):
    found = look(Machine(names=("cpu", "cuda:0"), broken=("cuda:0",)))
    assert [device.name for device in found.devices] == ["cpu"]
    assert found.failures == {"cuda:0": "was ended by SIGSEGV"}


def test_what_is_unknown_is_said_so_in_the_table(look, capsys):
    Console(width=150).print(devices_table(look(Machine())))
    shown = capsys.readouterr().out
    assert "20 GB/s" in shown
    # the type that the device does not multiply in is named, without a rate
    assert "matmul fp16    not measured" in shown
    assert "not calibrated (--calibrate)" in shown


def test_a_known_device_stands_beside_its_data_sheet(look, monkeypatch):
    device = msgspec.structs.replace(STATE.device, name="NVIDIA H200")
    monkeypatch.setattr(Machine, "device", device)
    (found,) = look(Machine()).devices
    # 4,800 GB/s and 66.9 TFLOP/s by the data sheet
    assert found.datasheet["bytes_per_s"] == 4.8e12
    assert found.datasheet["float32"] == pytest.approx(66.9e12)
    assert any(advice.startswith("float32 is 0% of the data sheet") for advice in found.advice)
