"""Knobs that the author of a model declares, so that nothing has to be found by probing.

In code, `declare` decorates the class or function that builds the model. In a file, a table named
like the model reference says the same, for models that are not one's own: in ``scaleprof.toml``, or
under ``tool.scaleprof`` in ``pyproject.toml``, of the working directory::

    [models."nets.py:Net"]
    width = ["dims", "head_dim"]
    depth = ["depths"]
    resolution = ["input", "image_size"]
    inputs = ["3x64x64"]
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from ..errors import ModelError
from ..project import project_tables

Constructor = TypeVar("Constructor", bound=Callable[..., Any])

_ATTRIBUTE = "__scaleprof_declaration__"


class Declaration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The knobs of a model, as its author says.

    Attributes:
        width: Arguments that are channel counts or multipliers of them.
        depth: Arguments that are numbers of blocks or multipliers of them.
        resolution: ``input``, and arguments that must equal the size of the input.
        inputs: What the model is called with, as in ``--input``; empty if that is left to the user.
    """

    width: tuple[str, ...] = ()
    depth: tuple[str, ...] = ()
    resolution: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()


def declare(
    *,
    width: Sequence[str] = (),
    depth: Sequence[str] = (),
    resolution: Sequence[str] = (),
    inputs: Sequence[str] = (),
) -> Callable[[Constructor], Constructor]:
    """Declare the scaling knobs of a class or function that builds a model.

    Args:
        width: Arguments that are channel counts or multipliers of them. Numbers nested in an
            argument are named as ``scaleprof knobs`` shows them: ``cfg.blocks[*].channels``.
        depth: Arguments that are numbers of blocks or multipliers of them.
        resolution: ``input``, and arguments that must equal the size of the input.
        inputs: What the model is called with, as in ``--input``: ``3x64x64``, without the batch.

    Returns:
        A decorator that returns the class or function itself.

    Examples:
        >>> @declare(width=["channels"], depth=["blocks"], inputs=["3x32x32"])
        ... def net(channels=64, blocks=4): ...
    """
    declaration = Declaration(
        width=tuple(width), depth=tuple(depth), resolution=tuple(resolution), inputs=tuple(inputs)
    )

    def decorate(constructor: Constructor) -> Constructor:
        setattr(constructor, _ATTRIBUTE, declaration)
        return constructor

    return decorate


def declaration_of(reference: str, constructor: Any = None) -> Declaration | None:
    """Return what is declared of a model: in a file of the working directory, or by `declare`.

    Args:
        reference: The model reference without arguments.
        constructor: The class or function.

    Raises:
        InputError: If a file cannot be read as TOML.
        ModelError: If a table has other keys, or values of other types.
    """
    # both are read first: a broken file is said, whichever declares the model
    for where, models in list(project_tables("models")):
        if not isinstance(models, dict):
            raise ModelError(
                f"{where}: expected a table of tables, got {models!r}",
                hint=f'write [models."{reference}"]',
            )
        if reference in models:
            try:
                return msgspec.convert(models[reference], Declaration)
            except msgspec.ValidationError as error:
                raise ModelError(
                    f'{where}."{reference}": {error}',
                    hint="it takes width, depth, resolution and inputs, each a list of strings",
                ) from None
    found: Declaration | None = getattr(constructor, "__dict__", {}).get(_ATTRIBUTE)
    return found
