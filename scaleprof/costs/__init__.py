"""What a variant needs, counted on the meta device without running it."""

from ._count import count_module as count_module
from ._count import meta_inputs as meta_inputs
from ._fvcore import fvcore_comparison as fvcore_comparison
from ._training import mean_square as mean_square
from ._training import training_peak_bytes as training_peak_bytes
