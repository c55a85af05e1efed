"""Networks that tests name as ``nets.py:Name``: good ones, and every kind of bad one."""

import dataclasses
import functools
import itertools
import os
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

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


class Sleeps(nn.Module):
    """Sleeps, but where there is nothing to wait for."""

    def forward(self, x):
        if not x.is_meta:
            time.sleep(0.05)
        return x


class Waits(nn.Module):
    """Has one module that takes nearly all of the time."""

    def __init__(self, width=4):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, stride=2)
        self.slow = Sleeps()
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        return self.head(self.slow(self.stem(x)).mean((2, 3)))


@dataclasses.dataclass
class Stage:
    """One stage of `Configured`: channels, blocks, and a layer that is made from a name."""

    channels: int
    blocks: int
    act: type = nn.ReLU
    kernel_size: int = 3


class Wide(NamedTuple):
    """How wide the head is."""

    hidden: int = 64
    dropout: float = 0.0


class Options:
    """A plain object, which keeps what it was given."""

    def __init__(self, stem=16, bias=True):
        self.stem = stem
        self.bias = bias


def configured():
    """Everything is set inside: only the class takes other values."""
    return Configured((Stage(16, 1), Stage(32, 3)), head=Wide(), options=Options())


class Configured(nn.Module):
    """A net that is configured by a dataclass, a named tuple and a plain object."""

    def __init__(self, stages, head, options):
        super().__init__()
        self.stem = nn.Conv2d(3, options.stem, 3, stride=2, padding=1, bias=options.bias)
        layers, width = [], options.stem
        for stage in stages:
            layers.append(nn.Conv2d(width, stage.channels, 1))
            width = stage.channels
            blocks = [nn.Conv2d(width, width, 3, padding=1) for _ in range(stage.blocks)]
            layers.append(nn.Sequential(*blocks, stage.act()))
        self.layers = nn.Sequential(*layers)
        self.hidden = nn.Linear(width, head.hidden)
        self.head = nn.Linear(head.hidden, 10)

    def forward(self, x):
        return self.head(self.hidden(self.layers(self.stem(x)).mean((2, 3))))


class Listed(nn.Module):
    """Blocks listed one by one in stages; its constructor insists on lists, and empties them."""

    def __init__(self, stages=None, width=16):
        super().__init__()
        stages = stages or [[{"out": 16}], [{"out": 32}, {"out": 32}]]
        assert isinstance(stages[0], list)
        self.stages, before = nn.ModuleList(), width
        self.stem = nn.Conv2d(3, width, 1)
        for stage in stages:
            blocks = nn.Sequential()
            for block in stage:
                out = block.pop("out")
                blocks.append(nn.Conv2d(before, out, 3, padding=1))
                before = out
            self.stages.append(blocks)

    def forward(self, x):
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return x


def listed():
    return Listed([[{"out": 16}], [{"out": 32}, {"out": 32}]], 16)


class Mixed(nn.Module):
    """Channels in a list among letters that stand for pooling."""

    def __init__(self, layers=(16, 16, "M", 32, 32, "M")):
        super().__init__()
        modules, width = [], 3
        for layer in layers:
            if layer == "M":
                modules.append(nn.MaxPool2d(2))
            else:
                modules.append(nn.Conv2d(width, layer, 3, padding=1))
                width = layer
        self.layers = nn.Sequential(*modules)

    def forward(self, x):
        return self.layers(x)


class Separate(nn.Module):
    """Inputs and outputs of layers are arguments of their own, and must agree."""

    def __init__(self, left=32, right=32, out=64):
        super().__init__()
        self.left = nn.Conv2d(3, left, 3)
        self.right = nn.Conv2d(right, out, 3)
        self.last = nn.Conv2d(out, out, 3)

    def forward(self, x):
        return self.last(self.right(self.left(x)))


class HardCoded(nn.Module):
    """Channel counts are in the code, of a depthwise and a grouped convolution among others."""

    def __init__(self, depth=2):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16))
        self.depthwise = nn.Conv2d(16, 16, 3, groups=16)
        self.grouped = nn.Conv2d(16, 32, 1, groups=2)
        self.blocks = nn.Sequential(*(nn.Conv2d(32, 32, 3, padding=1) for _ in range(depth)))
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        x = self.blocks(self.grouped(self.depthwise(self.stem(x))))
        return self.head(x.mean((2, 3)))


class Rows(nn.Module):
    """Blocks in rows: layers with activations side by side, and blocks of several layers."""

    def __init__(self):
        super().__init__()
        pair = [layer for _ in range(2) for layer in (nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())]
        blocks = [nn.Sequential(nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 1)) for _ in range(3)]
        stem, head = nn.Conv2d(3, 16, 3, stride=2), nn.Conv2d(16, 10, 1)
        self.layers = nn.Sequential(stem, *pair, nn.MaxPool2d(2), *blocks, head)

    def forward(self, x):
        return self.layers(x)


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


class Inherits(Net):
    """Its constructor is that of its base class."""

    def forward(self, x):
        return super().forward(x) * 2


class Named(nn.Module):
    """Blocks behind names of their own, with sizes written into the code."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.first, self.second = Residual(16), Residual(16)
        self.wider = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.third = Residual(32)
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        x = self.second(self.first(self.stem(x)))
        return self.head(self.third(self.wider(x)).mean((2, 3)))


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.a = nn.Conv2d(channels, channels, 3, padding=1)
        self.b = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return x + self.b(self.a(x).relu())


class Shared(nn.Module):
    """One block that runs several times."""

    def __init__(self, width=32, rounds=4):
        super().__init__()
        self.stem, self.block = nn.Conv2d(3, width, 1), Residual(width)
        self.rounds = rounds

    def forward(self, x):
        x = self.stem(x)
        for _ in range(self.rounds):
            x = self.block(x)
        return x


class Gridded(nn.Module):
    """Takes images whose size is a multiple of 12."""

    def __init__(self, width=32):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)

    def forward(self, x):
        if x.shape[-1] % 12:
            raise ValueError("the size must be a multiple of 12")
        return self.stem(x)


class Breadth:
    """How broad a stage is; it keeps another number than it is given."""

    def __init__(self, channels, factor=2):
        self.wide = channels * factor


class Staged(nn.Module):
    def __init__(self, stages, classes=10):
        super().__init__()
        sizes = [3, *(stage.wide for stage in stages)]
        pairs = itertools.pairwise(sizes)
        self.stages = nn.Sequential(*(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs))
        self.head = nn.Linear(sizes[-1], classes)

    def forward(self, x):
        return self.head(self.stages(x).mean((2, 3)))


def staged(**kwargs):
    """Makes the stages itself, whatever it is given."""
    kwargs["stages"] = [Breadth(16), Breadth(32)]
    return Staged(**kwargs)


def edited(width=32):
    """Changes what the class builds, by no argument of it."""
    net = Shared(width=width, rounds=2)
    net.stem.stride = (2, 2)
    return net


class Odd(nn.Module):
    """Takes a multiplier below one, and a number of extra blocks that is zero."""

    def __init__(self, multiplier=0.25, blocks=2, extra=0):
        super().__init__()
        width = round(128 * multiplier)
        self.stem = nn.Conv2d(3, width, 1)
        self.blocks = nn.Sequential(*(Residual(width) for _ in range(blocks + extra)))

    def forward(self, x):
        return self.blocks(self.stem(x))


class Towers(nn.Module):
    """As many groups as there are channels in eight, which are in no argument."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 3, padding=1)
        self.many = nn.Conv2d(64, 64, 3, padding=1, groups=32)
        self.two = nn.Conv2d(64, 64, 3, padding=1, groups=2)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(self.two(self.many(self.stem(x))).mean((2, 3)))


class GroupWidths(nn.Module):
    """Stages whose widths are multiples of their groups', 24, in no relation to eight."""

    def __init__(self, widths=(72, 168, 408), group_width=24):
        super().__init__()
        layers, channels = [], 3
        for width in widths:
            layers += [nn.Conv2d(channels, width, 1)]
            layers += [nn.Conv2d(width, width, 3, 2, 1, groups=width // group_width)]
            channels = width
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


class FailsWhenWide(nn.Module):
    """Works at its own width, and fails in a way of choice when it runs at a larger one."""

    def __init__(self, how, width=16, depth=2):
        super().__init__()
        self.how = how if width > 16 else "works"
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.layers = nn.Sequential(*[nn.Conv2d(width, width, 3, padding=1) for _ in range(depth)])
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        if not x.is_meta:
            self._fail()
        return self.head(self.layers(self.stem(x)).mean((2, 3)))

    def _fail(self):
        if self.how == "raises":
            raise RuntimeError("this is too wide for me")
        if self.how == "hangs":
            while True:
                time.sleep(1.0)
        if self.how == "eats memory":
            # a page at a time, until somebody stops it
            eaten = []
            while True:
                eaten.append(bytearray(b"x" * 2**24))


class GroupNormed(nn.Module):
    """Norms of 32 groups, which is in no argument, and one of as many groups as channels."""

    def __init__(self, width=32):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.each = nn.GroupNorm(width, width)
        self.wider = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.norm = nn.GroupNorm(32, 2 * width)
        self.last = nn.Conv2d(2 * width, width, 3, padding=1)
        self.whole = nn.GroupNorm(1, width)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.norm(self.wider(self.each(self.stem(x))))
        return self.head(self.whole(self.last(x)).mean((2, 3)))


class LateDepthwise(nn.Module):
    """Stages of one group, and one of as many groups as it has channels."""

    def __init__(self, widths=(64, 128), groups=(1, 128)):
        super().__init__()
        layers, channels = [], 3
        for width, count in zip(widths, groups, strict=True):
            layers += [nn.Conv2d(channels, width, 1)]
            layers += [nn.Conv2d(width, width, 3, padding=1, groups=count)]
            channels = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, channels, 1))

    def forward(self, x):
        return self.layers(x)


class Divided(nn.Module):
    """Rounds its channels down to multiples of 8, and needs multiples of the size of a group."""

    def __init__(self, width_factor=1.0, group_size=16):
        super().__init__()
        layers, channels = [], 3
        for base in (48, 80):
            width = 8 * int(base * width_factor / 8)
            if width % group_size:
                raise ValueError("channels must divide by the size of a group")
            layers += [nn.Conv2d(channels, width, 3, padding=1)]
            layers += [nn.GroupNorm(width // group_size, width), Residual(width)]
            channels = width
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


class PerGroup(nn.GroupNorm):
    """A norm that is told its channels, and has its number of groups by default."""

    def __init__(self, channels, groups=16):
        super().__init__(groups, channels)
        if channels % groups:
            raise ValueError("channels must divide by the groups")
        # no layer of torch tells that they are channels
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))


class InnerDefaults(nn.Module):
    """Takes the class of its norm as an argument."""

    def __init__(self, width=64, norm_layer=PerGroup, blocks=2):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*(Residual(width) for _ in range(blocks)))
        self.narrow, self.norm = nn.Conv2d(width, width // 4, 1), norm_layer(width // 4)

    def forward(self, x):
        x = self.narrow(self.blocks(self.stem(x)))
        return self.norm(x) * self.norm.gain


class MostlyWide(nn.Module):
    """Its argument widens four sizes in five; a reshape may need those of the others."""

    def __init__(self, width=32, flat=False):
        super().__init__()
        inner = [nn.Conv2d(width, width, 1) for _ in range(12)]
        self.stem = nn.Conv2d(3, 32, 3, padding=1)
        self.inner = nn.Sequential(nn.Conv2d(32, width, 1), *inner)
        self.outer, self.after = nn.Conv2d(width, 32, 3, padding=1), nn.Conv2d(32, 32, 1)
        self.head, self.flat = nn.Linear(32, 10), flat

    def forward(self, x):
        x = self.after(self.outer(self.inner(self.stem(x))))
        x = x.reshape(x.shape[0], 32, -1) if self.flat else x.flatten(2)
        return self.head(x.mean(2))


class SizesOfGroups(nn.Module):
    """Is told how many channels a group of each stage has: one."""

    def __init__(self, widths=(32, 64), gs=(1, 1)):
        super().__init__()
        layers, channels = [], 3
        for width, size in zip(widths, gs, strict=True):
            layers += [nn.Conv2d(channels, width, 1)]
            layers += [nn.Conv2d(width, width, 3, padding=1, groups=width // size)]
            channels = width
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


class Stepped(nn.Module):
    """Takes widths in steps of 64 from 64 on, and raw weights, which only its argument widens."""

    def __init__(self, width=64):
        super().__init__()
        width = max(64 * round(width / 64), 64)
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.gain = nn.Parameter(torch.ones(width, 1, 1))
        self.last = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return self.last(self.stem(x) * self.gain)
