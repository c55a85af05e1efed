"""Start predictions from a profile of the same model on another device."""

from ..errors import ReportError
from ..records import Device
from ._options import Options
from ._predict import Elsewhere, roofline_law

# what must be as there, for latencies to depart from the roofline in the same way
_CONDITIONS = ("dtype", "layout", "mode", "step")


def learned_elsewhere(model: str, options: Options, device: Device) -> Elsewhere | None:
    """Fit the law to the profile that predictions are to start from, if one was given.

    Args:
        model: The model reference of this job.
        options: Its conditions.
        device: Its device.

    Raises:
        ReportError: If the profile is of another model, of another type of device or of other
            conditions, or holds no measurements that a law can be fitted to.
    """
    report = options.like
    if report is None:
        return None
    there = report.context
    if report.base.model != model:
        raise _other("model", report.base.model, model)
    if there.device.type != device.type:
        raise _other("type of device", there.device.type, device.type)
    for name in _CONDITIONS:
        if getattr(there, name) != getattr(options, name):
            raise _other(name, getattr(there, name), getattr(options, name))
    law = roofline_law(report.variants, on_cpu=there.device.type == "cpu", device=there.device.name)
    if law is None:
        raise ReportError(
            "the profile to start from has no measured variants whose work was counted",
            hint="record it anew with scaleprof profile MODEL --json, or leave --like out",
        )
    return Elsewhere(law=law, device=there.device.name, dtype=there.dtype)


def _other(what: str, there: str, here: str) -> ReportError:
    return ReportError(
        f"the profile to start from is of another {what}: {there!r}, here {here!r}",
        hint="pass a profile of the same model under the same conditions, or leave --like out",
    )
