"""Find a constructor's scaling knobs, and turn recipes into constructor calls."""

from ._find import find_knobs as find_knobs
from ._groups import Arguments as Arguments
from ._knobs import Knobs as Knobs
from ._resolve import base_variant as base_variant
from ._resolve import resolve_factors as resolve_factors
from ._resolve import resolve_strategy as resolve_strategy
