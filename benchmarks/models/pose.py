"""Lightweight OpenPose (arXiv 1811.12004): body parts and their links, on a MobileNet backbone."""

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
    """Shape of the image, width of the backbone's stem, of the heads, parts and links."""

    height: int
    width: int
    stem: int
    inner: int
    deep: int = 5
    parts: int = 19
    links: int = 38


CONFIGS: dict[Size, Config] = {
    "full": Config(256, 456, 32, 128),
    "bench": Config(128, 128, 16, 64),
    "tiny": Config(32, 48, 4, 8, deep=1, parts=3, links=4),
}


def conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """A convolution with bias and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU())


def unnormed(width: int) -> nn.Sequential:
    """A depthwise and a 1x1 convolution with ELU and no norm: [B, width, H, W]."""
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        nn.ELU(),
        nn.Conv2d(width, width, 1, bias=False),
        nn.ELU(),
    )


def backbone(stem: int, deep: int) -> nn.Sequential:
    """MobileNet to its fifth stage at 1/8 of the image, dilated once: [B, 16 stem, H/8, W/8]."""
    shapes = [(1, 2, 1), (2, 4, 2), (4, 4, 1), (4, 8, 2), (8, 8, 1), (8, 16, 1)]
    layers = [ConvNorm(3, stem, 3, 2)]
    layers += [SeparableConv(a * stem, b * stem, stride) for a, b, stride in shapes]
    layers += [SeparableConv(16 * stem, 16 * stem, dilation=2)]
    layers += [SeparableConv(16 * stem, 16 * stem) for _ in range(deep - 1)]
    return nn.Sequential(*layers)


class Narrowing(nn.Module):
    """The backbone's channels down to those of the heads: [B, inputs, H, W]."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.align = conv(inputs, width, 1)
        self.trunk = nn.Sequential(*(unnormed(width) for _ in range(3)))
        self.last = conv(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.align(x)
        return self.last(x + self.trunk(x))


class RefinementBlock(nn.Module):
    """A 1x1 convolution, and two of 3x3 beside it, the second dilated."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.first = conv(inputs, width, 1)
        self.trunk = nn.Sequential(ConvNorm(width, width, 3), ConvNorm(width, width, 3, dilation=2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return x + self.trunk(x)


class Heads(nn.Module):
    """Maps of parts and of links from [B, inputs, H, W]."""

    def __init__(self, trunk: nn.Module, width: int, hidden: int, config: Config) -> None:
        super().__init__()
        self.trunk = trunk
        self.parts, self.links = (
            nn.Sequential(conv(width, hidden, 1), nn.Conv2d(hidden, outputs, 1))
            for outputs in (config.parts, config.links)
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.trunk(x)
        return self.parts(x), self.links(x)


class Pose(nn.Module):
    """[B, 3, H, W] to refined maps of parts [B, 19, H/8, W/8] and links [B, 38, H/8, W/8]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.inner
        seen = width + config.parts + config.links
        first = nn.Sequential(*(conv(width, width) for _ in range(3)))
        second = nn.Sequential(
            RefinementBlock(seen, width), *(RefinementBlock(width, width) for _ in range(4))
        )
        self.features = nn.Sequential(
            backbone(config.stem, config.deep), Narrowing(16 * config.stem, width)
        )
        self.initial = Heads(first, width, 4 * width, config)
        self.refined = Heads(second, width, width, config)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.features(image)
        return self.refined(torch.cat((features, *self.initial(features)), 1))


@register(
    "pose",
    title="Lightweight OpenPose (arXiv 1811.12004)",
    kind="convnet",
    published=(Published("arXiv 1811.12004", parameters=4.1, gmacs=None),),
)
def pose(size: Size) -> tuple[nn.Module, Inputs]:
    """Lightweight OpenPose with one stage of refinement, at the paper's 456x256."""
    config = CONFIGS[size]
    inputs = (normal(1, 3, config.height, config.width),)
    return calibrated(lambda: Pose(config), inputs), inputs
