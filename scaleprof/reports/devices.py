"""Devices for people: what they can do beside what their vendors say, and what to do about it."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..records import Calibration, Devices, FoundDevice
from ..units import format_quantity
from ._text import plain

_TYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


def devices_table(found: Devices) -> Group:
    """Show devices, one below the other."""
    parts: list[Group | Text] = [_device(device) for device in found.devices]
    parts += [Text(f"{plain(n)}: {plain(why)}", style="red") for n, why in found.failures.items()]
    return Group(*parts)


def _device(found: FoundDevice) -> Group:
    device = found.device
    facts = [format_quantity(device.memory_bytes, "bytes")] if device.memory_bytes else []
    facts += [f"{device.cores} cores"] if device.cores else []
    facts += [f"driver {plain(device.driver)}"] if device.driver else []
    title = Text(f"{plain(found.name)}: {plain(device.name)}, {', '.join(facts)}", style="bold")
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), show_header=False)
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column()
    for name, text in _rows(found):
        rows.add_row(name, plain(text))
    advice = [Text(f"  ! {plain(text)}", style="yellow") for text in found.advice]
    return Group(title, rows, *advice, Text(""))


def _rows(found: FoundDevice) -> list[tuple[str, str]]:
    ceilings, sheet = found.ceilings, found.datasheet
    rows = [("copy", _rate(ceilings.copy_bytes_per_s, sheet.get("bytes_per_s"), "GB/s", 1e9))]
    rows += [
        (f"matmul {_TYPES.get(name, name)}", _rate(rate, sheet.get(name), "TFLOP/s", 1e12))
        for name, rate in ceilings.matmul_flops_per_s.items()
    ]
    if ceilings.launch_s is not None:
        rows.append(("launch", f"{ceilings.launch_s * 1e6:.1f} µs an operator"))
    rows.append(("settings", _listing(found.settings)))
    if found.state:
        rows.append(("now", _listing(found.state)))
    rows += [("no " + metric, why) for metric, why in found.lacks.items()]
    calibration = found.calibration
    rows.append(
        (
            "noise",
            "not calibrated (--calibrate)"
            if calibration is None
            else f"fresh processes are {calibration.spread:.1%} apart{_beside(calibration)}; ten "
            f"on each side tell {calibration.smallest_effect:.1%} from nothing "
            f"({calibration.measured_at[:10]})",
        )
    )
    return rows


def _beside(calibration: Calibration) -> str:
    if calibration.spread_beside is None:
        return ""
    return f", {calibration.spread_beside:.1%} with the host's speed taken out"


def _rate(rate: float | None, sheet: float | None, unit: str, base: float) -> str:
    if rate is None:
        return "not measured"
    text = f"{rate / base:.3g} {unit}"
    return f"{text}, {rate / sheet:.0%} of the data sheet's {sheet / base:.4g}" if sheet else text


def _listing(
    values: dict[str, str | int | bool] | dict[str, str | int | float | bool | None],
) -> str:
    known = [f"{key} {_value(key, value)}" for key, value in values.items() if value is not None]
    return ", ".join(known)


def _value(key: str, value: str | int | float | bool | None) -> str:
    if key.endswith("_bytes") and isinstance(value, int):
        return format_quantity(value, "bytes")
    return str(value)
