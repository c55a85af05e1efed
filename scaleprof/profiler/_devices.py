"""What devices are there, what they can do, and how far apart repeated measurements on them are."""

import statistics
from collections.abc import Callable

import msgspec

from ..devices import DeviceState
from ..devices.conditions import ceiling_advice
from ..errors import MeasurementError
from ..jobs import (
    DEVICE_NAMES,
    INSPECT,
    MEASURE,
    DeviceNames,
    DeviceRequest,
    Inspection,
    MeasureReply,
    MeasureRequest,
    NamesRequest,
)
from ..models import ConstructorCall
from ..prediction import ceilings_of
from ..records import Calibration, Devices, FoundDevice, InputSpec, replace
from ..store import Store, fingerprint, now, store_path
from ..timing import MIN_PROCESSES, Samples, all_known, calibration_of
from ..workers import Done, Failure, expect, failure_error
from ._bench import RULE
from ._crew import Crew

# so many processes give the spread within a fifth or so, and end within a minute
_PROCESSES = 16
CALIBRATION_MODEL = "scaleprof.models.calibration:CalibrationNet"
_INPUT = (1, 3, 128, 128)


def look_at_devices(
    only: str | None,
    *,
    calibrate: bool,
    store: str | None,
    progress: Callable[[str], None],
) -> Devices:
    """Look at one device, or at all that are there, and calibrate them if that is asked.

    Args:
        only: Torch device string; None for all.
        calibrate: Whether to measure one model again and again on each.
        store: Path of the store, ``off`` for none; None for the user's own.
        progress: Called with a line for every step.

    Raises:
        ScaleprofError: If the one device is not there, or cannot be calibrated.
    """
    found, failures = [], {}
    with Crew([], device=only or "auto") as crew, Store(store_path(store)) as kept:
        for name in _names(crew, only):
            crew.uses(name.partition(":")[0])
            progress(f"looking at {name}")
            outcome = crew.measure(INSPECT, DeviceRequest(name=name), Inspection)
            if isinstance(outcome, Failure):
                if only is not None:
                    raise failure_error(outcome, f"device `{name}`")
                failures[name] = outcome.reason
                continue
            seen = outcome.reply
            if calibrate:
                _calibrate(crew, kept, seen.state, progress)
            calibration = known_calibration(kept, seen.state)
            found.append(replace(_beside_datasheet(seen.found), calibration=calibration))
        if kept.problem:
            failures["store"] = kept.problem
    return Devices(devices=tuple(found), failures=failures)


def _names(crew: Crew, only: str | None) -> tuple[str, ...]:
    if only is not None:
        return (only,)
    outcome = crew.measure(DEVICE_NAMES, NamesRequest(), DeviceNames)
    return expect(outcome, "the list of devices").names


def _beside_datasheet(found: FoundDevice) -> FoundDevice:
    """Put the data sheet beside what was measured, and point out what is far below it."""
    sheet: dict[str, float] = {}
    rates = found.ceilings.matmul_flops_per_s
    for dtype in rates:
        ceilings = ceilings_of(found.device.name, dtype)
        if ceilings is not None:
            sheet |= {dtype: 2 * ceilings.macs_per_s, "bytes_per_s": ceilings.bytes_per_s}
    measured = {**rates, "bytes_per_s": found.ceilings.copy_bytes_per_s}
    advice = (*found.advice, *ceiling_advice(measured, sheet))
    return replace(found, datasheet=sheet, advice=advice)


def known_calibration(store: Store, state: DeviceState) -> Calibration | None:
    """Return the latest calibration of a device as it is set now, if there is one."""
    content = store.calibration(_machine(state))
    try:
        return msgspec.msgpack.decode(content, type=Calibration) if content else None
    except msgspec.MsgspecError:
        return None


def _machine(state: DeviceState) -> str:
    """What a calibration holds for: noise is the machine's, whatever versions are installed."""
    return fingerprint(state.device, state.platform, state.flags)


def _calibrate(
    crew: Crew, store: Store, state: DeviceState, progress: Callable[[str], None]
) -> None:
    request = MeasureRequest(
        call=ConstructorCall(target=CALIBRATION_MODEL),
        inputs=(InputSpec(shape=_INPUT),),
        dtype="float32",
        device=state.name,
        channels_last=False,
        rule=RULE,
    )
    quiet: list[Samples] = []
    disturbed = 0
    for i in range(_PROCESSES):
        progress(f"measuring one model again and again on {state.name}: {i + 1} of {_PROCESSES}")
        outcome = crew.measure(MEASURE, request, MeasureReply)
        if not isinstance(outcome, Done):
            raise failure_error(outcome, "the model for calibration")
        if outcome.reply.disturbed:
            disturbed += 1
        else:
            quiet.append(outcome.reply.samples)
    if len(quiet) < MIN_PROCESSES:
        raise MeasurementError(
            f"others took the device from {disturbed} of {_PROCESSES} processes: nothing can be "
            "said of its own noise",
            hint="run this on a quiet machine",
        )
    calibration = calibration_of(
        [statistics.median(samples.samples) for samples in quiet],
        model=CALIBRATION_MODEL,
        measured_at=now(),
        disturbed=disturbed,
        yardsticks_s=all_known([samples.yardstick for samples in quiet]),
    )
    content = msgspec.msgpack.encode(calibration)
    store.keep_calibration(_machine(state), state.device.name, content)
    if store.problem or store.path is None:
        raise MeasurementError(
            f"the calibration (spread {calibration.spread:.2%}, smallest effect "
            f"{calibration.smallest_effect:.2%}) cannot be kept: {store.problem or 'no store'}",
            hint="pass --store PATH",
        )
