"""What is known of a device: a value that workers send to their parent."""

from ..records import Device, Record

Flags = dict[str, str | int | bool]


class DeviceState(Record, frozen=True, kw_only=True):
    """A device with its software and settings.

    Attributes:
        name: Device string for torch, for example ``cuda:0``.
        device: What it is.
        versions: Versions of the software on the way to it.
        platform: Operating system and processor architecture.
        flags: Settings that change speed.
        load: Runnable processes per core over the last minute; None where unknown.
    """

    name: str
    device: Device
    versions: dict[str, str]
    platform: str
    flags: Flags
    load: float | None


class GpuState(Record, frozen=True, kw_only=True):
    """A GPU at one moment; what NVML does not tell is None.

    Attributes:
        sm_mhz: Present clock of the multiprocessors.
        reference_mhz: The clock that it promises: the default one, else the highest.
        max_mhz: The highest.
        temperature_c: Temperature.
        power_w: Power draw.
        power_limit_w: What it may draw.
        throttle_reasons: Why it runs slower than it could, in words.
        foreign_processes: Other processes that compute on it.
        persistence: Whether the driver stays loaded between programs.
    """

    sm_mhz: int | None
    reference_mhz: int | None
    max_mhz: int | None
    temperature_c: int | None
    power_w: float | None
    power_limit_w: float | None
    throttle_reasons: tuple[str, ...]
    foreign_processes: int | None
    persistence: bool | None
