"""Python's search for dead objects that hold each other, put off while models are built."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# objects made and not yet deleted, of models that hold themselves, after which it is time to look
_MANY = 1_000_000

_inside = 0


@contextmanager
def no_collection() -> Iterator[None]:
    """Let Python not look for cycles of dead objects inside the ``with`` block, or as a decorator.

    Thousands of small modules and tensors otherwise make it look again and again through everything
    that is alive, which takes a quarter of the time. Most models are deleted without it; after very
    many that are not, it looks once among the new objects.
    """
    global _inside  # noqa: PLW0603 - as gc itself has it
    if _inside and gc.get_count()[0] > _MANY:
        gc.collect(0)
    was_enabled = gc.isenabled()
    gc.disable()
    _inside += 1
    try:
        yield
    finally:
        _inside -= 1
        if was_enabled:
            gc.enable()
