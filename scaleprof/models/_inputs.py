"""Inputs as users write them: ``3x224x224``, ``int64:128<5000``, ``mask=int64:128<2``."""

import re
from collections.abc import Sequence

from ..errors import InputError
from ..records import InputSpec

_SPEC = re.compile(
    r"(?:(?P<name>[A-Za-z_]\w*)=)?(?:(?P<dtype>[a-z]+[0-9]*):)?"
    r"(?P<shape>[0-9]+(?:x[0-9]+)*)(?:<(?P<high>[0-9]+))?"
)
_MAX_SIZE = 2**31
_DTYPES = ("float32", "float16", "bfloat16", "int64", "int32")


def parse_input(text: str, *, batch: int = 1) -> InputSpec:
    """Parse one input, to which the batch is added in front.

    Args:
        text: ``[NAME=][DTYPE:]SIZExSIZE…[<HIGH]``: one tensor of these sizes. A name passes it by
            keyword. Integer inputs are random below HIGH.
        batch: Size of the dimension put in front.

    Raises:
        InputError: If the text has another form.

    Examples:
        >>> parse_input("3x8x112x112", batch=2).shape
        (2, 3, 8, 112, 112)
        >>> parse_input("tokens=int64:128<5000")
        InputSpec(shape=(1, 128), dtype='int64', high=5000, name='tokens')
    """
    match = _SPEC.fullmatch(text.strip())
    dtype = (match["dtype"] or "float32") if match else ""
    sizes = tuple(int(size) for size in match["shape"].split("x")) if match else ()
    in_range = all(0 < size <= _MAX_SIZE for size in sizes)
    if match is None or dtype not in _DTYPES or not in_range:
        raise InputError(
            f"`{text}` is not an input: expected [NAME=][DTYPE:]SIZExSIZE[<HIGH]",
            hint=f"write 3x224x224 or int64:128<5000; types are {', '.join(_DTYPES)}",
        )
    high = int(match["high"]) if match["high"] else None
    if dtype.startswith("int") != (high is not None):
        raise InputError(
            f"input `{text}` needs `<HIGH`, the bound of its random integers"
            if high is None
            else f"input `{text}` is not of integers: `<HIGH` does not apply"
        )
    return InputSpec(shape=(batch, *sizes), dtype=dtype, high=high, name=match["name"])


def parse_inputs(texts: Sequence[str], *, batch: int = 1) -> tuple[InputSpec, ...]:
    """Parse several inputs; see `parse_input`."""
    return tuple(parse_input(text, batch=batch) for text in texts)


def with_dtype(inputs: Sequence[InputSpec], dtype: str) -> tuple[InputSpec, ...]:
    """Return the inputs with those of the default type, float32, in another one."""
    return tuple(
        InputSpec(shape=spec.shape, dtype=dtype, name=spec.name)
        if spec.dtype == "float32"
        else spec
        for spec in inputs
    )
