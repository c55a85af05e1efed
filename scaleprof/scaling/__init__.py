"""Arithmetic of scaling: strategies and multipliers to factors, factors to rounded sizes."""

from ._factors import AXES as AXES
from ._factors import STRATEGIES as STRATEGIES
from ._factors import ScalingFactors as ScalingFactors
from ._factors import scaling_factors as scaling_factors
from ._factors import strategy_factors as strategy_factors
from ._rounding import round_to_step as round_to_step
from ._rounding import scale_depths as scale_depths
from ._stages import StageOptions as StageOptions
from ._stages import StageRecipe as StageRecipe
