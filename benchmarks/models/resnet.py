"""ResNet-18 (CVPR'16) as the encoder of other models: a map at each scale, no classifier."""

from itertools import pairwise

import torch
from torch import nn

from smartmem.benchmarks.models.blocks import ConvNorm, Residual


class Basic(Residual):
    """Two 3x3 convolutions beside a shortcut.

    [B, inputs, H, W] to [B, outputs, H / stride, W / stride].
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        body = nn.Sequential(
            ConvNorm(inputs, outputs, 3, stride), ConvNorm(outputs, outputs, 3, activation=None)
        )
        super().__init__(body, inputs, outputs, stride)


class Encoder(nn.Module):
    """Maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of [B, 3, H, W], with ``widths`` channels."""

    def __init__(self, width: int = 64, depth: int = 2) -> None:
        super().__init__()
        self.widths = (width, width, 2 * width, 4 * width, 8 * width)
        self.stem, self.pool = ConvNorm(3, width, 7, 2), nn.MaxPool2d(3, 2, 1)
        self.stages = nn.ModuleList()
        for inputs, outputs in pairwise(self.widths):
            first = Basic(inputs, outputs, 2 if len(self.stages) else 1)
            rest = (Basic(outputs, outputs) for _ in range(depth - 1))
            self.stages.append(nn.Sequential(first, *rest))

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        maps = [self.stem(image)]
        x = self.pool(maps[0])
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
