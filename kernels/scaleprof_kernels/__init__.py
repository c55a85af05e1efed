"""Kernels for large-kernel convolutional networks, in Triton, with torch wherever torch is faster."""

from ._choices import Choice as Choice
from ._choices import read_choices as read_choices
from ._choices import use_choices as use_choices
from ._choices import write_choices as write_choices
from .depthwise_conv2d import depthwise_conv2d as depthwise_conv2d
