"""What hardware is there, and in what state.

`scaleprof.devices.describe` asks torch, in a worker; importing this package does not import torch.
"""

from ._state import DeviceState as DeviceState
from ._state import GpuState as GpuState
