"""Peak memory of one forward pass: by torch's allocator on an accelerator, else by the process."""

import re
from collections.abc import Callable
from pathlib import Path

import torch

_SIZES = re.compile(r"^(VmHWM|RssFile):\s+(\d+) kB", re.MULTILINE)


def accelerator_peak(function: Callable[[], object], device: torch.device) -> tuple[int, int]:
    """Return the allocated and the reserved peak of one call in bytes, weights included."""
    torch.accelerator.synchronize(device)
    torch.accelerator.memory.reset_peak_memory_stats(device)
    function()
    torch.accelerator.synchronize(device)
    allocated = torch.accelerator.memory.max_memory_allocated(device)
    return allocated, torch.accelerator.memory.max_memory_reserved(device)


def reset_process_peak() -> int | None:
    """Start a new peak of this process's resident set and return its present size in bytes.

    Returns:
        None where the kernel has no such counter (anything but Linux).
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return process_peak()


def process_peak() -> int | None:
    """Return the peak of this process's memory in bytes, or None where it is unknown.

    Pages of files are left out: code of libraries that is mapped when it is first run is shared by
    all processes, and no memory of a model's.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    sizes = {name: int(kib) * 1024 for name, kib in _SIZES.findall(status)}
    if "VmHWM" not in sizes:
        return None
    return sizes["VmHWM"] - sizes.get("RssFile", 0)
