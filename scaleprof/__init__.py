"""Measure scaled variants of a torch model on your device, and pick the best one under a budget.

Importing scaleprof does not import torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import ScaleprofError as ScaleprofError
    from .models import declare as declare
    from .profiler import build as build
    from .profiler import check as check
    from .profiler import count as count
    from .profiler import knobs as knobs
    from .profiler import measure as measure
    from .profiler import profile as profile
    from .profiler import scale as scale
    from .profiler import select as select
    from .records import Check as Check
    from .records import FoundKnobs as FoundKnobs
    from .records import Report as Report
    from .records import ScaledModel as ScaledModel

__version__ = "0.1.0"
__all__ = [
    "Check",
    "FoundKnobs",
    "Report",
    "ScaledModel",
    "ScaleprofError",
    "build",
    "check",
    "count",
    "declare",
    "knobs",
    "measure",
    "profile",
    "scale",
    "select",
]

_HOMES = {
    "Check": "records",
    "FoundKnobs": "records",
    "Report": "records",
    "ScaledModel": "records",
    "ScaleprofError": "errors",
    "declare": "models",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module 'scaleprof' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"scaleprof.{_HOMES.get(name, 'profiler')}"), name)
