"""What two reports must share before their numbers mean anything beside each other."""

from collections.abc import Iterator, Mapping
from typing import Any

from ...records import Report
from .._text import one_line

# they take no part in a forward pass; a difference of ours is told as a note
_INDIFFERENT = {"numpy", "scaleprof"}


def differences(baseline: Report, report: Report) -> tuple[str, ...]:
    """Say in what the environments of two reports differ, as ``threads: 2, now 4``.

    Compared are the model, device, driver, platform, every flag, type, layout, mode, batch, and the
    versions of python, torch and the model's library.
    """
    then, now = _conditions(baseline), _conditions(report)
    names = [*then, *(name for name in now if name not in then)]
    return tuple(
        f"{name}: {_shown(then.get(name))}, now {_shown(now.get(name))}"
        for name in names
        if then.get(name) != now.get(name)
    )


def _conditions(report: Report) -> dict[str, Any]:
    context = report.context
    device = context.device
    return {
        "model": report.base.model,
        "device": device.name,
        "device type": device.type,
        "cores": device.cores,
        "driver": device.driver,
        "platform": context.platform,
        "dtype": context.dtype,
        "layout": context.layout,
        "mode": context.mode,
        "batch": context.batch,
        **dict(_named(context.flags, "")),
        **dict(_named(context.versions, " version")),
    }


def _named(values: Mapping[str, Any], suffix: str) -> Iterator[tuple[str, Any]]:
    for name, value in sorted(values.items()):
        if name not in _INDIFFERENT:
            yield one_line(f"{name}{suffix}"), value


def _shown(value: Any) -> str:
    return "unknown" if value is None else one_line(str(value))
