"""The segmenter of the driving stack: Fast-SCNN (BMVC'19)."""

from dataclasses import dataclass

import torch
from torch import nn

from smartmem.benchmarks.models.blocks import ConvNorm, SeparableConv
from smartmem.benchmarks.models.registry import (
    Inputs,
    Published,
    Size,
    calibrated,
    normal,
    register,
)


@dataclass(frozen=True)
class Config:
    """Shape of the image, a factor for all widths, blocks per stage, cells of the pyramid."""

    height: int
    width: int
    unit: int
    depth: int
    cells: tuple[int, ...] = (1, 2, 3, 6)
    classes: int = 19


CONFIGS: dict[Size, Config] = {
    "full": Config(1024, 2048, 16, 3),
    "bench": Config(256, 512, 16, 3),
    "tiny": Config(64, 128, 4, 1, cells=(1, 2), classes=4),
}


def resized(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Bilinear, with corners on corners: [B, C, height, width]."""
    return nn.functional.interpolate(x, (height, width), mode="bilinear", align_corners=True)


class Bottleneck(nn.Module):
    """An inverted bottleneck of expansion 6: [B, inputs, H, W]."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = 6 * inputs
        self.body = nn.Sequential(
            ConvNorm(inputs, inner),
            SeparableConv(inner, outputs, stride, last=None),
        )
        self.added = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.added else self.body(x)


class PyramidPooling(nn.Module):
    """Means over grids of several sizes, enlarged and put side by side: [B, width, H, W]."""

    def __init__(self, width: int, cells: tuple[int, ...]) -> None:
        super().__init__()
        part = width // 4
        self.branches = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(count), ConvNorm(width, part)) for count in cells
        )
        self.leave = ConvNorm(width + len(cells) * part, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [resized(branch(x), *x.shape[2:]) for branch in self.branches]
        return self.leave(torch.cat((x, *parts), 1))


class FastSCNN(nn.Module):
    """[B, 3, H, W] to class scores [B, classes, H, W]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        u, depth = config.unit, config.depth
        self.detail = nn.Sequential(
            ConvNorm(3, 2 * u, 3, 2), SeparableConv(2 * u, 3 * u, 2), SeparableConv(3 * u, 4 * u, 2)
        )
        self.context = nn.Sequential()
        inputs = 4 * u
        for outputs, stride in ((4 * u, 2), (6 * u, 2), (8 * u, 1)):
            for place in range(depth):
                self.context.append(Bottleneck(inputs, outputs, 1 if place else stride))
                inputs = outputs
        self.context.append(PyramidPooling(inputs, config.cells))
        self.from_context = nn.Sequential(
            ConvNorm(inputs, inputs, 3, groups=inputs, dilation=4),
            nn.Conv2d(inputs, inputs, 1),
            nn.BatchNorm2d(inputs),
        )
        self.from_detail = nn.Sequential(nn.Conv2d(4 * u, inputs, 1), nn.BatchNorm2d(inputs))
        self.classify = nn.Sequential(
            SeparableConv(inputs, inputs),
            SeparableConv(inputs, inputs),
            nn.Conv2d(inputs, config.classes, 1),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        detail = self.detail(image)
        context = resized(self.context(detail), *detail.shape[2:])
        merged = (self.from_detail(detail) + self.from_context(context)).relu()
        return resized(self.classify(merged), *image.shape[2:])


@register(
    "driving-segmenter",
    title="Driving stack: Fast-SCNN (BMVC'19)",
    kind="convnet",
    published=(Published("BMVC'19", parameters=1.11, gmacs=None),),
)
def driving_segmenter(size: Size) -> tuple[nn.Module, Inputs]:
    """Fast-SCNN on Cityscapes' 2048x1024: two branches, pyramid pooling, bilinear resizing."""
    config = CONFIGS[size]
    inputs = (normal(1, 3, config.height, config.width),)
    return calibrated(lambda: FastSCNN(config), inputs), inputs
