"""A small network to measure a machine with: convolutions, products and normalisations in one."""

import torch
from torch import Tensor, nn


class CalibrationNet(nn.Module):
    """Four stages of residual blocks, depthwise and pointwise, as image models have.

    Args:
        width: Channels of the first stage; they double from stage to stage.
        depth: Blocks of each stage.
    """

    def __init__(self, width: int = 32, depth: int = 2) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=4)]
        for stage in range(4):
            channels = width << stage
            layers += [_Block(channels) for _ in range(depth)]
            if stage < 3:
                layers.append(nn.Conv2d(channels, 2 * channels, 2, stride=2))
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(width << 3, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Return 1,000 logits of images (N, 3, H, W)."""
        return self.head(self.layers(x).mean((2, 3)))  # type: ignore[no-any-return]


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.space = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.BatchNorm2d(channels)
        self.expand = nn.Conv2d(channels, 4 * channels, 1)
        self.project = nn.Conv2d(4 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(torch.relu(self.expand(self.norm(self.space(x)))))
        return x + out
