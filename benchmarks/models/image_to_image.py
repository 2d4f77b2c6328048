"""Image-to-image networks full of instance norms: fast style transfer and CycleGAN's generator."""

from dataclasses import dataclass

import torch
from torch import nn

from smartmem.benchmarks.models.registry import Inputs, Published, Size, image, register, seeded


@dataclass(frozen=True)
class Config:
    """Side of the image, width of the outermost convolutions, residual blocks."""

    side: int
    width: int
    blocks: int


STYLE: dict[Size, Config] = {
    "full": Config(1024, 32, 5),
    "bench": Config(128, 16, 5),
    "tiny": Config(32, 4, 1),
}
GAN: dict[Size, Config] = {
    "full": Config(256, 64, 9),
    "bench": Config(128, 16, 6),
    "tiny": Config(32, 4, 1),
}


def conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, affine: bool, mirrored: bool = True
) -> nn.Sequential:
    """A convolution over the mirrored (else zero-padded) border, instance norm and ReLU."""
    mode = "reflect" if mirrored else "zeros"
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, padding_mode=mode),
        nn.InstanceNorm2d(outputs, affine=affine),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions with instance norm, added to their input: [B, width, H, W]."""

    def __init__(self, width: int, *, affine: bool) -> None:
        super().__init__()
        first, second = (conv(width, width, 3, affine=affine) for _ in range(2))
        self.body = nn.Sequential(*first, *second[:-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


class StyleTransfer(nn.Sequential):
    """[B, 3, side, side] to a stylised image of the same shape.

    Nearest-neighbour enlarging before a convolution in place of transposed convolutions.
    """

    def __init__(self, config: Config) -> None:
        w = config.width
        super().__init__(
            conv(3, w, 9, affine=True),
            conv(w, 2 * w, 3, 2, affine=True),
            conv(2 * w, 4 * w, 3, 2, affine=True),
            *(Residual(4 * w, affine=True) for _ in range(config.blocks)),
            nn.Upsample(scale_factor=2.0, mode="nearest"),
            conv(4 * w, 2 * w, 3, affine=True),
            nn.Upsample(scale_factor=2.0, mode="nearest"),
            conv(2 * w, w, 3, affine=True),
            nn.Conv2d(w, 3, 9, padding=4, padding_mode="reflect"),
        )


def enlarged(inputs: int, outputs: int) -> nn.Sequential:
    """A transposed convolution to twice the side, instance norm and ReLU."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 3, 2, padding=1, output_padding=1),
        nn.InstanceNorm2d(outputs),
        nn.ReLU(),
    )


class Generator(nn.Sequential):
    """CycleGAN's generator: [B, 3, side, side] to an image of the same shape within ±1."""

    def __init__(self, config: Config) -> None:
        w = config.width
        super().__init__(
            conv(3, w, 7, affine=False),
            conv(w, 2 * w, 3, 2, affine=False, mirrored=False),
            conv(2 * w, 4 * w, 3, 2, affine=False, mirrored=False),
            *(Residual(4 * w, affine=False) for _ in range(config.blocks)),
            enlarged(4 * w, 2 * w),
            enlarged(2 * w, w),
            nn.Conv2d(w, 3, 7, padding=3, padding_mode="reflect"),
            nn.Tanh(),
        )


@register(
    "style-transfer",
    title="Fast style transfer (ECCV'16), 1024x1024",
    kind="convnet",
    published=(
        Published(
            "SmartMem Table 1",
            parameters=None,
            gmacs=162.0,
            note="the side of the image is not printed; 1024 is derived from the GMACs",
        ),
    ),
)
def style_transfer(size: Size) -> tuple[nn.Module, Inputs]:
    """Fast style transfer: mirrored borders, instance norms, nearest-neighbour enlarging."""
    config = STYLE[size]
    return seeded(lambda: StyleTransfer(config)), image(config.side)


@register(
    "image-gan",
    title="CycleGAN's generator (ICCV'17), 9 blocks",
    kind="convnet",
    published=(
        Published(
            "GAN Compression (CVPR'20)",
            parameters=11.3,
            gmacs=56.8,
            note="counts all taps of a transposed convolution for each output pixel",
        ),
    ),
)
def image_gan(size: Size) -> tuple[nn.Module, Inputs]:
    """CycleGAN's generator: instance norms without weights, transposed convolutions."""
    config = GAN[size]
    return seeded(lambda: Generator(config)), image(config.side)
