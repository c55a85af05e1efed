import pytest

from scaleprof.devices.nvml import plausible_energy
from scaleprof.devices.rapl import energy_between, package_energies_j


def zone(root, name, energy_uj, range_uj=1_000_000):
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "energy_uj").write_text(str(energy_uj))
    (folder / "max_energy_range_uj").write_text(str(range_uj))


def test_packages_add_up_and_their_parts_do_not(tmp_path):
    zone(tmp_path, "intel-rapl:0", 100_000)
    zone(tmp_path, "intel-rapl:1", 200_000)
    zone(tmp_path, "intel-rapl:0:0", 1)
    before = package_energies_j(tmp_path)
    zone(tmp_path, "intel-rapl:0", 400_000)
    zone(tmp_path, "intel-rapl:1", 250_000)
    zone(tmp_path, "intel-rapl:0:0", 99_999)
    assert energy_between(before, package_energies_j(tmp_path)) == pytest.approx(0.35)


def test_a_counter_that_wraps_goes_on(tmp_path):
    zone(tmp_path, "intel-rapl:0", 900_000)
    before = package_energies_j(tmp_path)
    zone(tmp_path, "intel-rapl:0", 100_000)
    assert energy_between(before, package_energies_j(tmp_path)) == pytest.approx(0.2)


@pytest.mark.parametrize("content", [None, "not a number"])
def test_without_a_counter_energy_is_unknown(tmp_path, content):
    if content is not None:
        zone(tmp_path, "intel-rapl:0", content)
    assert package_energies_j(tmp_path) is None
    assert energy_between(None, None) is None


@pytest.mark.parametrize(
    ("counted", "power", "want", "reason"),
    [
        pytest.param(100.0, 110.0, 100.0, None, id="they-agree"),
        pytest.param(100.0, 210.0, None, "disagree", id="they-do-not"),
        pytest.param(None, 100.0, None, "no energy counter", id="no-counter"),
        pytest.param(100.0, None, None, "power draw", id="no-power"),
        pytest.param(100.0, 0.0, None, "disagree", id="no-power-drawn"),
    ],
)
def test_an_energy_is_believed_only_if_power_agrees(counted, power, want, reason):
    energy, why = plausible_energy(counted, power, seconds=1.0)
    assert energy == want
    assert (why is None) if reason is None else (reason in why)
