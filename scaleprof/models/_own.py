"""Our own model families: which names there are, and how timm gets to know them."""

import functools
import importlib
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError

if TYPE_CHECKING:
    from torch import nn

_FAMILIES = {
    "lsnet": ("t", "s", "b"),
    "unireplknet": ("a", "f", "p", "n", "t", "s", "b", "l", "xl"),
}
OWN_MODELS: Mapping[str, str] = {
    f"{family}_{size}": f"{__package__}.{family}:{family}_{size}"
    for family, sizes in _FAMILIES.items()
    for size in sizes
}
"""What builds each model that is named without a source, ``module:qualname``."""

# what timm says of weights to every builder
_OF_WEIGHTS = ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")


def register_with_timm() -> tuple[str, ...]:
    """Let `timm.create_model` build our families; a name that timm has already stays timm's.

    Importing a family after timm does this by itself.

    Returns:
        The names that were registered by this call.

    Raises:
        MissingExtraError: If timm is not installed.
    """
    try:
        timm = importlib.import_module("timm")
    except ModuleNotFoundError:
        raise MissingExtraError(
            "this needs the package `timm`, which is not installed", hint="pip install timm"
        ) from None
    names = [name for name in OWN_MODELS if not timm.is_model(name)]
    for name in names:
        module, _, builder = OWN_MODELS[name].partition(":")
        family = importlib.import_module(module)
        # a family that is imported here for the first time registers all of them
        if not timm.is_model(name):
            timm.models.register_model(_for_timm(getattr(family, builder)))
    return tuple(names)


def register_if_imported() -> None:
    """Register our families if timm was imported before."""
    if "timm" in sys.modules:
        register_with_timm()


def _for_timm(builder: Callable[..., "nn.Module"]) -> Callable[..., "nn.Module"]:
    """A builder that takes what `timm.create_model` passes besides the arguments of the model."""

    @functools.wraps(builder)
    def build(*, pretrained: bool = False, **arguments: Any) -> "nn.Module":
        if pretrained:
            raise ValueError(f"there are no weights of {builder.__name__}: pass `pretrained=False`")
        return builder(**{k: v for k, v in arguments.items() if k not in _OF_WEIGHTS})

    return build
