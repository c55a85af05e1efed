"""Find a constructor's scaling knobs, and turn recipes into constructor calls."""

from ._probe import Knobs as Knobs
from ._probe import find_knobs as find_knobs
from ._resolve import base_variant as base_variant
from ._resolve import resolve_strategy as resolve_strategy
