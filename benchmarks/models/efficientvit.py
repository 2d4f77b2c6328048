"""EfficientViT (ICCV'23): ReLU linear attention over several scales, between MBConv blocks.

SmartMem's numbers are those of EfficientViT-B3 at 256x256.
"""

from dataclasses import dataclass

import torch
from torch import nn

from smartmem.benchmarks.models.blocks import ConvNorm, SeparableConv, depthwise
from smartmem.benchmarks.models.registry import Inputs, Published, Size, calibrated, image, register


@dataclass(frozen=True)
class Config:
    """Widths and depths of stem and stages, width of a head, widths of the classifier."""

    side: int
    widths: tuple[int, int, int, int, int]
    depths: tuple[int, int, int, int, int]
    head_width: int
    classifier: tuple[int, int]
    classes: int = 1000


CONFIGS: dict[Size, Config] = {
    "full": Config(256, (32, 64, 128, 256, 512), (1, 4, 6, 6, 9), 32, (2304, 2560)),
    "bench": Config(224, (16, 32, 64, 128, 256), (1, 2, 2, 2, 2), 16, (1024, 1280)),
    "tiny": Config(64, (8, 8, 16, 16, 32), (1, 1, 1, 1, 1), 8, (32, 48), classes=10),
}


class Residual(nn.Module):
    """``x + body(x)``."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


class MBConv(nn.Sequential):
    """An inverted bottleneck of expansion 4; ``normed`` only at its end in the late stages."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, normed: bool) -> None:
        inner = 4 * inputs
        if normed:
            wide = [
                ConvNorm(inputs, inner, activation=nn.Hardswish),
                ConvNorm(inner, inner, 3, stride, groups=inner, activation=nn.Hardswish),
            ]
        else:
            wide = [
                nn.Conv2d(inputs, inner, 1),
                nn.Hardswish(),
                nn.Conv2d(inner, inner, 3, stride, 1, groups=inner),
                nn.Hardswish(),
            ]
        super().__init__(*wide, ConvNorm(inner, outputs, activation=None))


class LinearAttention(nn.Module):
    """Multi-scale ReLU linear attention: [B, width, H, W].

    q, k and v as they are and aggregated by 5x5 convolutions; the values get a channel of ones,
    whose product is the sum to divide by.
    """

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        heads = width // head_width
        self.head_width = head_width
        self.qkv = nn.Conv2d(width, 3 * width, 1, bias=False)
        self.aggregate = nn.Sequential(
            depthwise(3 * width, 5, bias=False),
            nn.Conv2d(3 * width, 3 * width, 1, groups=3 * heads, bias=False),
        )
        self.project = ConvNorm(2 * width, width, activation=None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, _, height, width = x.shape
        qkv = self.qkv(x)
        scales = torch.cat((qkv, self.aggregate(qkv)), 1)
        scales = scales.reshape(batch, -1, 3 * self.head_width, height * width)
        query, key, value = scales.chunk(3, 2)
        query, key = query.relu(), key.relu()
        value = nn.functional.pad(value, (0, 0, 0, 1), value=1.0)
        mixed = (value @ key.transpose(-1, -2)) @ query
        mixed = mixed[:, :, :-1] / (mixed[:, :, -1:] + 1e-6)
        return self.project(mixed.reshape(batch, -1, height, width))


class EfficientViT(nn.Sequential):
    """[B, 3, side, side] to [B, classes]."""

    def __init__(self, config: Config) -> None:
        width = config.widths[0]
        super().__init__(ConvNorm(3, width, 3, 2, activation=nn.Hardswish))
        for _ in range(config.depths[0]):
            stem = SeparableConv(width, width, activation=nn.Hardswish, last=None)
            self.append(Residual(stem))
        for stage, (outputs, depth) in enumerate(
            zip(config.widths[1:], config.depths[1:], strict=True)
        ):
            attentive = stage >= 2
            self.append(MBConv(width, outputs, 2, normed=not attentive))
            width = outputs
            # The convolution of stride 2 counts as one of the blocks where there is no attention.
            for _ in range(depth if attentive else depth - 1):
                if attentive:
                    self.append(Residual(LinearAttention(width, config.head_width)))
                self.append(Residual(MBConv(width, width, normed=not attentive)))
        first, second = config.classifier
        self.extend(
            [
                ConvNorm(width, first, activation=nn.Hardswish),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(first, second, bias=False),
                nn.LayerNorm(second),
                nn.Hardswish(),
                nn.Linear(second, config.classes),
            ]
        )


@register(
    "efficientvit",
    title="EfficientViT-B3 (ICCV'23)",
    kind="hybrid",
    published=(Published("SmartMem Table 7", parameters=51.0, gmacs=5.2),),
)
def efficientvit(size: Size) -> tuple[nn.Module, Inputs]:
    """EfficientViT-B3: MBConv blocks, then multi-scale linear attention."""
    config = CONFIGS[size]
    inputs = image(config.side)
    return calibrated(lambda: EfficientViT(config), inputs), inputs
