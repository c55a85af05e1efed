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
