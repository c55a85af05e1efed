"""Energy of CPU packages by RAPL, where the system lets it be read.

https://www.kernel.org/doc/html/latest/power/powercap/powercap.html
"""

from pathlib import Path

_ROOT = Path("/sys/class/powercap")
UNREADABLE = "the energy counter of the CPU (RAPL) is not there, or may not be read"


def package_energies_j(root: Path = _ROOT) -> dict[str, tuple[float, float]] | None:
    """Return the energy counter of every package and the value at which it wraps, in joules.

    Returns:
        None where there is no counter, or it may not be read.
    """
    try:
        return {
            zone.name: (_joules(zone / "energy_uj"), _joules(zone / "max_energy_range_uj"))
            # intel-rapl:0 is a package, intel-rapl:0:1 a part of it; AMD's have the same names
            for zone in sorted(root.glob("intel-rapl:*"))
            if zone.name.count(":") == 1
        } or None
    except (OSError, ValueError):
        return None


def energy_between(
    before: dict[str, tuple[float, float]] | None, after: dict[str, tuple[float, float]] | None
) -> float | None:
    """Return what all packages used between two readings in joules; a counter may wrap once."""
    if before is None or after is None or before.keys() != after.keys():
        return None
    used = 0.0
    for name, (end, wraps_at) in after.items():
        grown = end - before[name][0]
        used += grown if grown >= 0 else grown + wraps_at
    return used


def _joules(path: Path) -> float:
    return int(path.read_text()) * 1e-6
