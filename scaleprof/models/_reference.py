"""What users type to name a model: ``timm:NAME``, ``package.mod:callable``, ``file.py:callable``.

Our own families need no source: ``lsnet_t``.

Arguments may follow in parentheses, as Python literals: ``nets.py:Net(width=64, depths=(2, 2))``.
"""

import ast
import re
from typing import Any

import msgspec

from ..errors import ModelError
from ._own import OWN_MODELS

_REFERENCE = re.compile(
    r"(?P<source>.+?\.py|[^:()]+):(?P<name>[^():]+?)\s*(?:\((?P<arguments>.*)\))?", re.DOTALL
)
_OWN = re.compile(r"(?P<name>\w+)\s*(?:\((?P<arguments>.*)\))?", re.DOTALL)
_FORMS = (
    "timm:NAME, torchvision:NAME, package.module:callable, path/to/file.py:callable, "
    f"or one of {', '.join(OWN_MODELS)}"
)
OWN = "scaleprof"
"""Source of our own families."""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed model reference.

    Attributes:
        text: As the user wrote it.
        source: ``timm``, ``torchvision``, a module name, a path that ends in ``.py``, or
            ``scaleprof`` for our own families.
        name: Name inside the source; a dotted name for a nested callable.
        arguments: Keyword arguments given in parentheses.
    """

    text: str
    source: str
    name: str
    arguments: dict[str, Any] = {}


def parse_reference(text: str) -> Reference:
    """Parse a model reference.

    Raises:
        ModelError: If the text has none of the forms, or its arguments are not literals.

    Examples:
        >>> parse_reference("timm:resnet50").source
        'timm'
        >>> parse_reference("nets.py:Net(width=64, depths=(2, 2))").arguments
        {'width': 64, 'depths': (2, 2)}
    """
    match = _REFERENCE.fullmatch(text.strip())
    own = _OWN.fullmatch(text.strip())
    if own is not None and own["name"] in OWN_MODELS:
        match = own
    if match is None:
        raise ModelError(f"`{text}` is not a model reference", hint=f"use {_FORMS}")
    name = match["name"].strip()
    return Reference(
        text=text.strip(),
        source=OWN if match is own else match["source"].strip(),
        name=name,
        arguments=_parse_arguments(match["arguments"], text) if match["arguments"] else {},
    )


def _parse_arguments(source: str, text: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f({source})", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError
        if call.args or any(keyword.arg is None for keyword in call.keywords):
            raise ModelError(
                f"the arguments of `{text}` must be given by name", hint="write NAME(width=64)"
            )
        values = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
        # they travel to a worker as JSON values of 64 bits
        msgspec.msgpack.encode(values)
    except (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError):
        raise ModelError(
            f"the arguments of `{text}` are not plain Python literals",
            hint="use numbers, strings, tuples, lists, True, False or None",
        ) from None
    return values
