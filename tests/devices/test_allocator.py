import ctypes
import os
import subprocess
import sys

import pytest

from scaleprof.devices.allocator import keep_freed_memory

# what a call of a model does to the heap: a block of 4 MiB is taken, filled and freed
CALLS = """
import ctypes, resource, sys
from scaleprof.devices.allocator import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
print(keep_freed_memory())

def call():
    block = libc.malloc(2**22)
    libc.memset(block, 1, 2**22)
    libc.free(block)

call()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    call()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

glibc = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc"
)


def calls(**variables):
    of_malloc = ("MALLOC_", "GLIBC_TUNABLES")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(of_malloc)}
    command = [sys.executable, "-c", CALLS]
    done = subprocess.run(
        command, env=environment | variables, capture_output=True, text=True, check=True
    )
    kept, faults = done.stdout.split()
    return kept == "True", int(faults)


@glibc
def test_what_a_call_frees_is_there_for_the_next_one():
    kept, faults = calls()
    assert kept
    assert faults < 100


@glibc
def test_what_the_environment_says_of_the_heap_holds():
    kept, faults = calls(MALLOC_MMAP_THRESHOLD_="131072", MALLOC_TRIM_THRESHOLD_="131072")
    assert not kept
    # 1024 pages of 4 KiB in each call, or less of larger ones
    assert faults >= 100


@pytest.mark.parametrize(
    "environment",
    [
        {"MALLOC_TOP_PAD_": "0"},
        {"MALLOC_MMAP_MAX_": "0"},
        {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=1"},
    ],
)
def test_every_setting_of_the_heap_is_the_users(environment):
    assert not keep_freed_memory(environment)


@glibc
def test_other_settings_are_no_reason_to_hand_memory_back():
    environment = {"MALLOC_ARENA_MAX": "1", "GLIBC_TUNABLES": "glibc.cpu.x86_ibt=off"}
    assert keep_freed_memory(environment)
