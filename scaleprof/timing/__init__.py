"""What a variant takes, measured in a fresh worker process. Importing this leaves torch alone."""

from ._calibration import MIN_PROCESSES as MIN_PROCESSES
from ._calibration import calibration_of as calibration_of
from ._calibration import robust_spread as robust_spread
from ._drift import Drift as Drift
from ._drift import drift_of as drift_of
from ._host import FOLLOWS as FOLLOWS
from ._host import FOLLOWS_ERROR as FOLLOWS_ERROR
from ._host import Follows as Follows
from ._host import all_known as all_known
from ._host import follows as follows
from ._measure import Samples as Samples
from ._measure import ScriptedTimer as ScriptedTimer
from ._measure import StoppingRule as StoppingRule
from ._measure import Timer as Timer
from ._measure import measure as measure
from ._statistics import MIN_SAMPLES as MIN_SAMPLES
from ._statistics import by_process as by_process
from ._statistics import median_interval as median_interval
from ._statistics import midmean as midmean
from ._statistics import midmean_error as midmean_error
from ._statistics import missing_percentiles as missing_percentiles
from ._statistics import percentile as percentile
from ._statistics import relative_half_width as relative_half_width
from ._statistics import summarise as summarise
