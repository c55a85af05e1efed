"""Budgets, the Pareto front, the choice, and the strategies side by side. No torch."""

from ._budget import METRICS as METRICS
from ._budget import Budget as Budget
from ._budget import parse_budget as parse_budget
from ._budget import parse_budgets as parse_budgets
from ._pareto import pareto_front as pareto_front
from ._quantity import BETWEEN_PROCESSES as BETWEEN_PROCESSES
from ._quantity import Quantity as Quantity
from ._quantity import quantity as quantity
from ._select import CONFIDENCE as CONFIDENCE
from ._select import RUNNERS_UP as RUNNERS_UP
from ._select import Limit as Limit
from ._select import NearestMiss as NearestMiss
from ._select import budget_outcome as budget_outcome
from ._select import meets as meets
from ._select import nearest_miss as nearest_miss
from ._select import nearest_miss_error as nearest_miss_error
from ._select import rank as rank
from ._select import resolve_limits as resolve_limits
from ._select import select_variant as select_variant
from ._select import strategies_side_by_side as strategies_side_by_side
from ._stages import COMPUTE as COMPUTE
from ._stages import StageSolution as StageSolution
from ._stages import StageSpace as StageSpace
from ._stages import solve_stages as solve_stages
from ._stages import stage_solutions as stage_solutions
