"""ResNeXt-50 32x4d (CVPR'17): bottlenecks around grouped convolutions."""

from dataclasses import dataclass

from torch import nn

from smartmem.benchmarks.models.blocks import ConvNorm, Residual
from smartmem.benchmarks.models.registry import Inputs, Published, Size, calibrated, image, register


@dataclass(frozen=True)
class Config:
    """Width of the first stage's grouped convolutions (it doubles), groups, depths, stem."""

    side: int
    width: int
    groups: int
    depths: tuple[int, ...]
    stem: int = 64
    classes: int = 1000


CONFIGS: dict[Size, Config] = {
    "full": Config(224, 128, 32, (3, 4, 6, 3)),
    "bench": Config(160, 64, 16, (2, 2, 2, 2)),
    "tiny": Config(64, 16, 4, (1, 2), stem=8, classes=10),
}


class Bottleneck(Residual):
    """1x1, grouped 3x3 and 1x1 convolutions beside a shortcut.

    [B, inputs, H, W] to [B, 2 width, H / stride, W / stride].
    """

    def __init__(self, inputs: int, width: int, stride: int, groups: int) -> None:
        outputs = 2 * width
        body = nn.Sequential(
            ConvNorm(inputs, width),
            ConvNorm(width, width, 3, stride, groups=groups),
            ConvNorm(width, outputs, activation=None),
        )
        super().__init__(body, inputs, outputs, stride)


class ResNeXt(nn.Sequential):
    """[B, 3, side, side] to [B, classes]."""

    def __init__(self, config: Config) -> None:
        super().__init__(ConvNorm(3, config.stem, 7, 2), nn.MaxPool2d(3, 2, 1))
        inputs = config.stem
        for stage, depth in enumerate(config.depths):
            width = config.width * 2**stage
            for place in range(depth):
                stride = 2 if stage and place == 0 else 1
                self.append(Bottleneck(inputs, width, stride, config.groups))
                inputs = 2 * width
        self.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, config.classes)])


@register(
    "resnext",
    title="ResNeXt-50 32x4d (CVPR'17)",
    kind="convnet",
    published=(Published("SmartMem Table 7", parameters=25.0, gmacs=4.3),),
)
def resnext(size: Size) -> tuple[nn.Module, Inputs]:
    """ResNeXt-50 32x4d: bottlenecks with 32 groups."""
    config = CONFIGS[size]
    inputs = image(config.side)
    return calibrated(lambda: ResNeXt(config), inputs), inputs
