"""What two reports must share before their numbers mean anything beside each other."""

from typing import Any

from ...records import Report
from .._text import one_line

# they take no part in a forward pass; a difference of ours is told as a note
_INDIFFERENT = {"numpy", "scaleprof"}


def differences(baseline: Report, report: Report) -> tuple[str, ...]:
    """Say in what the environments of two reports differ, as ``flag threads: 2, now 4``.

    Compared are the model, device, driver, platform, every flag, type, layout, mode, step, kernels,
    batch, and the versions of python, torch and the model's library.
    """
    then, now = _conditions(baseline), _conditions(report)
    names = [*then, *(name for name in now if name not in then)]
    return tuple(
        f"{one_line(' '.join(name))}: {_shown(then.get(name))}, now {_shown(now.get(name))}"
        for name in names
        if then.get(name) != now.get(name)
    )


def _conditions(report: Report) -> dict[tuple[str, ...], Any]:
    """Return conditions by their names; no flag can stand in for another condition."""
    context = report.context
    device = context.device
    return {
        ("model",): report.base.model,
        ("device",): device.name,
        ("device type",): device.type,
        ("cores",): device.cores,
        ("driver",): device.driver,
        ("platform",): context.platform,
        ("dtype",): context.dtype,
        ("layout",): context.layout,
        ("mode",): context.mode,
        ("step",): context.step,
        ("kernels",): context.kernels,
        ("batch",): context.batch,
        **{("flag", name): value for name, value in sorted(context.flags.items())},
        **{
            ("version of", name): version
            for name, version in sorted(context.versions.items())
            if name not in _INDIFFERENT
        },
    }


def _shown(value: Any) -> str:
    return "unknown" if value is None else one_line(str(value))
