"""Networks whose constructors take sizes of patches and kernels, each in another way."""

import itertools

import torch
from torch import nn
from torch.nn import functional


class StridedStem(nn.Module):
    """Patches of 8 or 16, embedded by as many strided convolutions as that takes; no others."""

    def __init__(self, patch_size=16, dim=32, depth=4):
        super().__init__()
        strides = {8: 3, 16: 4}[patch_size]
        widths = [3, *(dim >> (strides - 1 - i) for i in range(strides))]
        pairs = itertools.pairwise(widths)
        self.stem = nn.Sequential(*(nn.Conv2d(a, b, 3, 2, 1, bias=False) for a, b in pairs))
        layers = [nn.Linear(dim, dim) for _ in range(depth * 4)]
        self.blocks = nn.Sequential(*layers)

    def forward(self, x):
        return self.blocks(self.stem(x).flatten(2).transpose(1, 2))


class InnerPatches(nn.Module):
    """Attends between like places of patches of a map, which no weight knows the size of."""

    def __init__(self, patch_size=2, dim=16):
        super().__init__()
        self.patch_size = patch_size
        self.stem = nn.Conv2d(3, dim, 4, 4)
        self.last = nn.Linear(dim, 4 * dim)

    def forward(self, x):
        patches = functional.unfold(self.stem(x), self.patch_size, stride=self.patch_size)
        b, _, positions = patches.shape
        q = patches.reshape(b, -1, self.patch_size**2, positions).permute(0, 2, 3, 1)
        return self.last(functional.scaled_dot_product_attention(q, q, q))


class OnePatch(nn.Module):
    """Its positions are written into it: an argument that takes one value is none."""

    def __init__(self, patch_size=4, dim=16):
        super().__init__()
        self.stem = nn.Conv2d(3, dim, patch_size, patch_size)
        self.positions = nn.Parameter(torch.zeros(dim, 8, 8))

    def forward(self, x):
        return self.stem(x) + self.positions


class PaddedBesides(nn.Module):
    """A kernel whose padding is an argument of its own, beside a shortcut that needs it."""

    def __init__(self, down_kernel_size=3, down_padding=1, width=16, shortcut=True):
        super().__init__()
        self.down = nn.Conv2d(3, width, down_kernel_size, 1, down_padding)
        self.short = nn.Conv2d(3, width, 1) if shortcut else None

    def forward(self, x):
        return self.down(x) + self.short(x) if self.short else self.down(x)


class Tabled(nn.Module):
    """Rows of taps and channels, without a name for either."""

    def __init__(self, rows=((3, 16), (5, 24), (1, 32))):
        super().__init__()
        widths = [3, *(row[1] for row in rows)]
        layers = [
            nn.Conv2d(old, width, taps, padding=taps // 2)
            for old, (taps, width) in zip(widths, rows, strict=False)
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


class Zeros(nn.Module):
    """Kernels of which none means no layer."""

    def __init__(self, kernel_sizes=(3, 0, 5), width=16):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 1),
            *(nn.Conv2d(width, width, k, padding=k // 2) for k in kernel_sizes if k),
        )

    def forward(self, x):
        return self.layers(x)
