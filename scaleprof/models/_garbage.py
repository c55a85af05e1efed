"""Python's search for dead objects that hold each other, put off while models are built."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Let Python not look for cycles of dead objects inside the ``with`` block.

    Thousands of small modules and tensors that stay alive otherwise make it look again and again
    through everything that is alive, which takes a quarter of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
