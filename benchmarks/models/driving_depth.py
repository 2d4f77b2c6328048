"""The depth network of the driving stack, after Monodepth2 (ICCV'19)."""

from dataclasses import dataclass

import torch
from torch import nn

from smartmem.benchmarks.models.registry import Inputs, Size, calibrated, normal, register
from smartmem.benchmarks.models.resnet import Encoder

NEAREST_M, FARTHEST_M = 0.1, 100.0


@dataclass(frozen=True)
class Config:
    """Shape of the image, width and depth of the encoder, width of the decoder's last step."""

    height: int
    width: int
    encoder: int
    depth: int
    decoder: int


CONFIGS: dict[Size, Config] = {
    "full": Config(192, 640, 64, 2, 16),
    "bench": Config(128, 256, 32, 1, 8),
    "tiny": Config(64, 96, 8, 1, 4),
}


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution over the mirrored border."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")


class Step(nn.Module):
    """One step up: [B, inputs, H, W] and a map at twice the size, if any, to [B, outputs, …]."""

    def __init__(self, inputs: int, skipped: int, outputs: int) -> None:
        super().__init__()
        self.before = nn.Sequential(conv(inputs, outputs), nn.ELU())
        self.after = nn.Sequential(conv(outputs + skipped, outputs), nn.ELU())

    def forward(self, x: torch.Tensor, skipped: torch.Tensor | None) -> torch.Tensor:
        x = nn.functional.interpolate(self.before(x), scale_factor=2.0, mode="nearest")
        return self.after(x if skipped is None else torch.cat((x, skipped), 1))


class DepthNet(nn.Module):
    """[B, 3, H, W] to depths in metres at full, half, quarter and eighth size."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.encoder = Encoder(config.encoder, config.depth)
        inputs = self.encoder.widths[-1]
        self.steps, self.heads = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(5)):
            outputs = config.decoder * 2**level
            skipped = self.encoder.widths[level - 1] if level else 0
            self.steps.append(Step(inputs, skipped, outputs))
            if level < 4:
                self.heads.append(nn.Sequential(conv(outputs, 1), nn.Sigmoid()))
            inputs = outputs

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        *skipped, x = self.encoder(image)
        depths: list[torch.Tensor] = []
        low, high = 1 / FARTHEST_M, 1 / NEAREST_M
        for level, step in zip(reversed(range(5)), self.steps, strict=True):
            x = step(x, skipped[level - 1] if level else None)
            if level < 4:
                disparity = self.heads[len(depths)](x)
                depths.append(1 / (low + (high - low) * disparity))
        return tuple(reversed(depths))


@register("driving-depth", title="Driving stack: depth after Monodepth2", kind="convnet")
def driving_depth(size: Size) -> tuple[nn.Module, Inputs]:
    """ResNet-18 and a decoder of mirrored convolutions, nearest enlarging and skips."""
    config = CONFIGS[size]
    inputs = (normal(1, 3, config.height, config.width),)
    return calibrated(lambda: DepthNet(config), inputs), inputs
