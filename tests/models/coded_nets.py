"""Networks that hold part of their sizes in their code, named as ``coded_nets.py:Name``."""

import functools

import torch
from torch import nn


class Halves(nn.Module):
    """A block that computes with the channels that it was given, as Python numbers."""

    def __init__(self, channels):
        super().__init__()
        self.half = channels // 2
        self.conv = nn.Conv2d(self.half, self.half, 3, padding=1)

    def forward(self, x):
        return torch.cat([x[:, : self.half], self.conv(x[:, self.half : 2 * self.half])], 1)


class Literal(nn.Module):
    """Its channels are literals of its constructor; only the stem's are an argument."""

    def __init__(self, stem=24, blocks=2, num_classes=10):
        super().__init__()
        self.__strides = [2]
        self.stem = nn.Conv2d(3, stem, 3, stride=self.__strides[0], padding=1)
        layers = []
        for channels in (32, 64, 64):
            layers += [nn.Conv2d(stem, channels, 3, stride=2, padding=1)]
            layers += [Halves(channels) for _ in range(blocks)]
            stem = channels
        self.layers = nn.Sequential(*layers)
        self.neck = nn.Conv2d(stem, 96, 1)
        self.head = nn.Linear(96, num_classes)

    def forward(self, x):
        return self.head(self.neck(self.layers(self.stem(x))).mean((2, 3)))


class Attention(nn.Module):
    """Attention over a grid, whose size and whose keys nobody gives."""

    def __init__(self, dim, key_dim=32, *, resolution=4, num_heads=2):
        super().__init__()
        self.key_dim, self.num_heads = key_dim, num_heads
        self.qkv = nn.Linear(dim, 3 * key_dim * num_heads)
        self.bias = nn.Parameter(torch.zeros(resolution**2, resolution**2))
        self.proj = nn.Linear(key_dim * num_heads, dim)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, self.key_dim).unbind(2)
        scores = torch.einsum("bihc,bjhc->bhij", q, k) + self.bias
        out = torch.einsum("bhij,bjhc->bihc", scores.softmax(-1), v)
        return x + self.proj(out.reshape(b, n, -1))


class Defaults(nn.Module):
    """Attention at a stride of 8 whose defaults hold half its channels, and its input's size."""

    def __init__(self, dim=64, depth=2, num_classes=10):
        super().__init__()
        self.stem = nn.Conv2d(3, dim, 8, stride=8)
        self.blocks = nn.ModuleList(Attention(dim) for _ in range(depth))
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


class Tiled(nn.Module):
    """Runs on what its grid divides at a stride of 8, and has an argument for the grid.

    Another argument is as large and so named, and cannot follow.
    """

    def __init__(self, width=32, grid_size=12, bank_size=12, kernel_size=3, num_classes=10):
        super().__init__()
        if bank_size != 12:
            raise ValueError("there are twelve")
        self.grid_size = grid_size
        self.stem = nn.Conv2d(3, width, 8, stride=8)
        self.conv = nn.Conv2d(width, width, kernel_size, padding=kernel_size // 2)
        self.rows = nn.Conv2d(width, width, (grid_size, 1))
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        x = self.conv(self.stem(x))
        if x.shape[-1] % self.grid_size:
            raise ValueError(f"not a multiple of {self.grid_size}")
        return self.head(self.rows(x).mean((2, 3)))


class Plain(nn.Module):
    """An argument for all of its channels, and numbers in its code that shape nothing else."""

    def __init__(self, width=32, num_classes=10):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.gate = nn.Sequential(nn.Conv2d(width, 8, 1), nn.Conv2d(8, width, 1))
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        x = self.stem(x)
        return self.head((x * self.gate(x)).mean((2, 3)))


def twice(init):
    """Decorate a constructor."""

    @functools.wraps(init)
    def decorated(self, *args, **kwargs):
        init(self, *args, **kwargs)

    return decorated


class Decorated(nn.Module):
    """Its constructor is another function than the one that is written there."""

    @twice
    def __init__(self, features=48):
        super().__init__()
        self.layer = nn.Linear(features, 16)
