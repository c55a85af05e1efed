"""Other constructors for classes, for a while."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def replaced_constructors(replacements: Mapping[type, Callable[..., None]]) -> Iterator[None]:
    """Give classes other ``__init__`` methods inside the ``with`` block.

    A class that inherits its own has none again afterwards.
    """
    originals = {cls: vars(cls).get("__init__") for cls in replacements}
    for cls, replacement in replacements.items():
        setattr(cls, "__init__", replacement)  # noqa: B010
    try:
        yield
    finally:
        for cls, original in originals.items():
            if original is None:
                delattr(cls, "__init__")
            else:
                setattr(cls, "__init__", original)  # noqa: B010
