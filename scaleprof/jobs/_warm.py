"""Importing this runs a tiny count: what torch loads at the first use is then there to be forked.

It touches no device and starts no thread: all tensors are without data.
"""

from torch import nn

from ..costs import count_module
from ..records import InputSpec

count_module(
    nn.Sequential(nn.Conv2d(2, 2, 1), nn.Softmax(1)).to("meta"), [InputSpec(shape=(1, 2, 2, 2))]
)
