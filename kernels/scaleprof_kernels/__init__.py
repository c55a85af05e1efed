"""Kernels for large-kernel networks, in Triton, with torch wherever torch is faster."""

from ._choices import Choice as Choice
from ._choices import read_choices as read_choices
from ._choices import use_choices as use_choices
from ._choices import write_choices as write_choices
from .depthwise_conv2d import depthwise_conv2d as depthwise_conv2d
from .ls_conv import ConvNorm as ConvNorm
from .ls_conv import LSConv as LSConv
from .ls_conv import SmallKernelAggregation as SmallKernelAggregation
from .modules import DepthwiseConv2d as DepthwiseConv2d
from .modules import Replacements as Replacements
from .modules import replace_depthwise_ as replace_depthwise_
from .modules import restore_depthwise_ as restore_depthwise_
from .reparam import fold_norm as fold_norm
from .reparam import merge_branches as merge_branches
from .reparam import merge_reparam as merge_reparam
from .reparam import merge_reparam_ as merge_reparam_
from .small_kernel_aggregation import small_kernel_aggregation as small_kernel_aggregation
