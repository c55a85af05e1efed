"""Laws fitted to data: latency, memory, accuracy, each with its uncertainty. No torch."""

from ._accuracy import AccuracyLaw as AccuracyLaw
from ._accuracy import AccuracyQuery as AccuracyQuery
from ._accuracy import TrainedModel as TrainedModel
from ._accuracy import fit_accuracy_law as fit_accuracy_law
from ._accuracy import leave_largest_out as leave_largest_out
from ._accuracy import relative_gain_law as relative_gain_law
from ._latency import MIN_POINTS as MIN_POINTS
from ._latency import CostPoint as CostPoint
from ._latency import LatencyLaw as LatencyLaw
from ._latency import fit_latency_law as fit_latency_law
from ._latency_law import ON_CPU as ON_CPU
from ._latency_law import ON_GPU as ON_GPU
from ._latency_law import Residual as Residual
from ._latency_law import RooflineLaw as RooflineLaw
from ._latency_law import Workload as Workload
from ._latency_law import fit_roofline as fit_roofline
from ._latency_transfer import CARRIED as CARRIED
from ._latency_transfer import carried as carried
from ._latency_transfer import choose_anchors as choose_anchors
from ._latency_transfer import transferred_prior as transferred_prior
from ._published import choose_anchor as choose_anchor
from ._published import profiles_folder as profiles_folder
from ._published import published_anchors as published_anchors
from ._rates import Ceilings as Ceilings
from ._rates import ceilings_of as ceilings_of
from ._rates import rate_prior as rate_prior
