"""What hardware is there, and in what state."""

from ._describe import DeviceState as DeviceState
from ._describe import describe_device as describe_device
