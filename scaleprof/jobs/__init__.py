"""The jobs that workers run. Importing this does not import torch; running a job does."""

from ._requests import BUILD as BUILD
from ._requests import COMPARE as COMPARE
from ._requests import COUNT as COUNT
from ._requests import DEVICE as DEVICE
from ._requests import KNOBS as KNOBS
from ._requests import LIST as LIST
from ._requests import MEASURE as MEASURE
from ._requests import PLAN_TRAINING as PLAN_TRAINING
from ._requests import SCALE as SCALE
from ._requests import SCALE_ONE as SCALE_ONE
from ._requests import BuildRequest as BuildRequest
from ._requests import CountRequest as CountRequest
from ._requests import DeviceRequest as DeviceRequest
from ._requests import Energy as Energy
from ._requests import KnobsReply as KnobsReply
from ._requests import KnobsRequest as KnobsRequest
from ._requests import ListRequest as ListRequest
from ._requests import MeasureReply as MeasureReply
from ._requests import MeasureRequest as MeasureRequest
from ._requests import ModelList as ModelList
from ._requests import PlanReply as PlanReply
from ._requests import PlanRequest as PlanRequest
from ._requests import ScaleOneRequest as ScaleOneRequest
from ._requests import ScaleReply as ScaleReply
from ._requests import ScaleRequest as ScaleRequest
