"""glibc's allocator in a process that measures: what a call frees is kept for the next one.

Left to itself it hands freed memory at the end of its heap back to the system, so that each call of
a small model may take a thousand page faults: or none, if something that lives on happens to lie
behind. That is chance, differs between processes, and can change within one
(`docs/design/0024-freed-memory-is-kept.md`).
"""

import ctypes
import os
import sys
from collections.abc import Mapping

# parameters of mallopt(3)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = -1
# what glibc lets this threshold grow to as larger and larger blocks are freed
_LARGEST_IN_HEAP = 32 * 2**20
_OWN_SETTINGS = ("MALLOC_TRIM_", "MALLOC_TOP_", "MALLOC_MMAP_")


def keep_freed_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Let this process keep what it frees, unless the environment says how it should be.

    Args:
        environment: Variables; those of mallopt(3) and tunables of glibc's malloc win.

    Returns:
        Whether it does; False as well where there is no such allocator.
    """
    tuned = "glibc.malloc." in environment.get("GLIBC_TUNABLES", "")
    if tuned or any(name.startswith(_OWN_SETTINGS) for name in environment):
        return False
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # either alone would freeze the other, which follows the blocks that are freed
    kept = mallopt(_TRIM_THRESHOLD, _NEVER), mallopt(_MMAP_THRESHOLD, _LARGEST_IN_HEAP)
    return all(kept)
