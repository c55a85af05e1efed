"""Networks that tests name as ``nets.py:Name``: good ones, and every kind of bad one."""

import functools
import os
import signal
import sys
import time
from pathlib import Path

import torch
from torch import nn


class Net(nn.Module):
    """A small convolutional net with width and depth."""

    def __init__(self, width=16, depths=(1, 2), num_classes=10, act=nn.ReLU, norm=None):
        super().__init__()
        norm = norm or functools.partial(nn.BatchNorm2d, eps=1e-3)
        self.stem = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    nn.Sequential(nn.Conv2d(width, width, 3, padding=1), norm(width), act())
                    for _ in range(depth)
                )
            )
            for depth in depths
        )
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.head(x.mean((2, 3)))


class Fixed(nn.Module):
    """Nothing to scale but the input, and not even that."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3 * 8 * 8, 10)

    def forward(self, x):
        return self.layer(x.flatten(1))


class Needs(Net):
    def __init__(self, width, depths):
        super().__init__(width, depths)


class ReadsItsWeights(nn.Module):
    """A constructor that cannot run on the meta device."""

    def __init__(self):
        super().__init__()
        rates = [x.item() for x in torch.linspace(0, 1, 3)]
        self.layers = nn.Sequential(*(nn.Linear(4, 4) for rate in rates if rate >= 0))

    def forward(self, x):
        return self.layers(x)


def not_a_module():
    return 3


def raises():
    raise ValueError("width must be even")


def exits():
    sys.exit(7)


def hangs():
    time.sleep(3600)


def crashes():
    os.kill(os.getpid(), signal.SIGSEGV)


def prints():
    print("hello from a constructor")
    print("and on stderr", file=sys.stderr)
    return Net()


def eats_memory():
    hoard = []
    while True:
        hoard.append(bytearray(os.urandom(1 << 20)) * 64)


class FailsForward(Net):
    def forward(self, x):
        raise RuntimeError("the forward pass is broken")


class CrashesWhenWide(Net):
    """Counts well, but a wider variant ends the process that builds it with weights."""

    def __init__(self, width=16, depths=(1, 2)):
        if width > 16 and not torch.empty(1).is_meta:
            os.kill(os.getpid(), signal.SIGSEGV)
        super().__init__(width, depths)


class CrashesWhenProbed(Net):
    """Its base is fine; any other width ends the process."""

    def __init__(self, width=16, depths=(1, 2)):
        if width != 16:
            os.kill(os.getpid(), signal.SIGSEGV)
        super().__init__(width, depths)


class Noted(Net):
    """Adds a line to the file that ``NOTES`` names whenever it is built with weights."""

    def __init__(self, width=16, depths=(1, 2)):
        super().__init__(width, depths)
        if not self.stem.weight.is_meta:
            with Path(os.environ["NOTES"]).open("a") as notes:
                notes.write("built\n")


class FailsWhenChecked(Net):
    """Works as often as the file that ``NOTES`` names has room for, and then no more."""

    def __init__(self, width=16, depths=(1, 2)):
        super().__init__(width, depths)
        if not self.stem.weight.is_meta:
            notes = Path(os.environ["NOTES"])
            left = int(notes.read_text()) - 1
            notes.write_text(str(left))
            if left < 0:
                raise RuntimeError("worn out")


CONSTANT = 3
