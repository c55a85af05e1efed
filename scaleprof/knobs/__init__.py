"""Find a constructor's scaling knobs, and turn recipes into constructor calls."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from ._find import find_knobs as find_knobs
from ._groups import Arguments as Arguments
from ._knobs import Knobs as Knobs
from ._resolution import size_factor as size_factor
from ._resolve import base_variant as base_variant
from ._resolve import resolve_factors as resolve_factors
from ._resolve import resolve_strategy as resolve_strategy
from ._searched import with_other_sizes as with_other_sizes
from ._stages import count_stages as count_stages
from ._stages import has_widths_by_stage as has_widths_by_stage
from ._stages import resolve_stages as resolve_stages
from ._stages import stage_options as stage_options


class _AlsoAFunction(ModuleType):
    """Keeps `scaleprof.knobs` the public function of that name once this package is imported."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return import_module("scaleprof.profiler").knobs(*args, **kwargs)


sys.modules[__name__].__class__ = _AlsoAFunction
