"""The detector of the driving stack, after CenterNet (arXiv 1904.07850): objects are peaks."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from smartmem.benchmarks.models.registry import Inputs, Size, calibrated, normal, register
from smartmem.benchmarks.models.resnet import Encoder


@dataclass(frozen=True)
class Config:
    """Shape of the image, width and depth of the encoder, of the heads, classes, detections."""

    height: int
    width: int
    encoder: int
    depth: int
    inner: int
    classes: int
    kept: int


CONFIGS: dict[Size, Config] = {
    "full": Config(384, 768, 64, 2, 64, 10, 100),
    "bench": Config(192, 384, 32, 1, 32, 10, 50),
    "tiny": Config(64, 96, 8, 1, 8, 3, 5),
}


def enlarged(inputs: int, outputs: int) -> nn.Sequential:
    """A transposed convolution to twice the size: [B, inputs, H, W] to [B, outputs, 2H, 2W]."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def head(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """One map per output."""
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, outputs, 1)
    )


class Detector(nn.Module):
    """[B, 3, H, W] to scores [B, n], classes [B, n] and boxes [B, n, 4] of the n best peaks."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.kept, self.columns = config.kept, config.width // 4
        self.encoder = Encoder(config.encoder, config.depth)
        widths = (self.encoder.widths[-1], *(config.encoder * n for n in (4, 2, 1)))
        self.decoder = nn.Sequential(*(enlarged(a, b) for a, b in pairwise(widths)))
        self.heat = head(config.encoder, config.inner, config.classes)
        nn.init.constant_(self.heat[-1].bias, -2.19)
        self.size = head(config.encoder, config.inner, 2)
        self.offset = head(config.encoder, config.inner, 2)
        self.peaks = nn.MaxPool2d(3, 1, 1)

    def at(self, maps: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """The vectors of maps [B, 2, H, W] at places [B, n]: [B, n, 2]."""
        vectors = maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, 2)
        return vectors.gather(1, places.unsqueeze(-1).expand(-1, -1, 2))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x = self.decoder(self.encoder(image)[-1])
        heat = self.heat(x).sigmoid()
        heat = heat * (self.peaks(heat) == heat)
        scores, found = heat.flatten(1).topk(self.kept)
        area = heat.shape[2] * heat.shape[3]
        classes, places = found // area, found % area
        corner = torch.stack((places % self.columns, places // self.columns), -1)
        centre = corner + self.at(self.offset(x), places)
        half = self.at(self.size(x), places) / 2
        return scores, classes, 4 * torch.cat((centre - half, centre + half), -1)


@register("driving-detector", title="Driving stack: CenterNet, ResNet-18", kind="convnet")
def driving_detector(size: Size) -> tuple[nn.Module, Inputs]:
    """CenterNet on ResNet-18: transposed convolutions, peaks by pooling, top-k, gathered boxes."""
    config = CONFIGS[size]
    inputs = (normal(1, 3, config.height, config.width),)
    model = calibrated(lambda: Detector(config), inputs)
    # Scores of kernels after He are all nearly 1 where they peak: equal ones have no order.
    with torch.no_grad():
        model.get_parameter("heat.2.weight").mul_(0.1)
    return model, inputs
