"""Classifiers of short clips: C3D (ICCV'15) and R(2+1)D-18 (CVPR'18)."""

from dataclasses import dataclass

import torch
from torch import nn

from smartmem.benchmarks.models.registry import (
    Inputs,
    Published,
    Size,
    calibrated,
    normal,
    register,
)

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Clip:
    """Frames and side of the clip, width of the first convolution, classes."""

    frames: int
    side: int
    width: int
    classes: int

    def inputs(self) -> Inputs:
        """One clip: [1, 3, frames, side, side]."""
        return (normal(1, 3, self.frames, self.side, self.side),)


CLIPS: dict[Size, Clip] = {
    "full": Clip(16, 112, 64, 101),
    "bench": Clip(16, 56, 32, 101),
    "tiny": Clip(8, 32, 8, 5),
}


class C3D(nn.Sequential):
    """Eight 3x3x3 convolutions, five poolings, three linear layers: [B, 3, T, H, W] to [B, n]."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        inputs, frames, side = 3, clip.frames, clip.side
        for stage, (factor, depth) in enumerate(((1, 1), (2, 1), (4, 2), (8, 2), (8, 2))):
            outputs = factor * clip.width
            for _ in range(depth):
                self.extend([nn.Conv3d(inputs, outputs, 3, padding=1), nn.ReLU()])
                inputs = outputs
            # The first pooling keeps all frames; the last one is padded, since 7 is odd.
            time, pad = (2 if stage and frames > 1 else 1), side % 2
            self.append(nn.MaxPool3d((time, 2, 2), (time, 2, 2), (0, pad, pad)))
            frames, side = frames // time, (side + pad) // 2
        hidden = 64 * clip.width
        self.append(nn.Flatten())
        for width in (inputs * frames * side * side, hidden):
            self.extend([nn.Linear(width, hidden), nn.ReLU()])
        self.append(nn.Linear(hidden, clip.classes))


def conv_norm(inputs: int, outputs: int, kernel: Triple, stride: Triple) -> list[nn.Module]:
    """A convolution that keeps the shape but for its stride, and its norm."""
    time, height, width = kernel
    padding = (time // 2, height // 2, width // 2)
    return [
        nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False),
        nn.BatchNorm3d(outputs),
    ]


def factored(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    """A convolution in space, then one in time, with the parameters of a 3x3x3 one."""
    middle = (27 * inputs * outputs) // (9 * inputs + 3 * outputs)
    return [
        *conv_norm(inputs, middle, (1, 3, 3), (1, stride, stride)),
        nn.ReLU(),
        *conv_norm(middle, outputs, (3, 1, 1), (stride, 1, 1)),
    ]


class FactoredBlock(nn.Module):
    """Two factored convolutions beside a shortcut: [B, inputs, T, H, W]."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        first, second = factored(inputs, outputs, stride), factored(outputs, outputs)
        self.body = nn.Sequential(*first, nn.ReLU(), *second)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut.extend(conv_norm(inputs, outputs, (1, 1, 1), (stride,) * 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.body(x) + self.shortcut(x)).relu()


class R2Plus1D(nn.Sequential):
    """[B, 3, T, H, W] to [B, classes]."""

    def __init__(self, clip: Clip, depth: int) -> None:
        # 45 channels between the two convolutions of the stem where it ends in 64.
        middle = 45 * clip.width // 64
        super().__init__(
            *conv_norm(3, middle, (1, 7, 7), (1, 2, 2)),
            nn.ReLU(),
            *conv_norm(middle, clip.width, (3, 1, 1), (1, 1, 1)),
            nn.ReLU(),
        )
        inputs = clip.width
        for stage in range(4):
            outputs = clip.width * 2**stage
            for place in range(depth):
                stride = 2 if stage and place == 0 else 1
                self.append(FactoredBlock(inputs, outputs, stride))
                inputs = outputs
        self.extend([nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(inputs, clip.classes)])


@register(
    "c3d",
    title="C3D (ICCV'15), 16 frames",
    kind="convnet",
    published=(Published("MMAction2's model zoo", parameters=78.4, gmacs=38.5),),
)
def c3d(size: Size) -> tuple[nn.Module, Inputs]:
    """C3D on UCF-101's classes: plain 3x3x3 convolutions and poolings."""
    clip = CLIPS[size]
    inputs = clip.inputs()
    return calibrated(lambda: C3D(clip), inputs), inputs


@register(
    "r2plus1d",
    title="R(2+1)D-18 (CVPR'18), 16 frames",
    kind="convnet",
    published=(Published("torchvision's r2plus1d_18", parameters=31.5, gmacs=40.5),),
)
def r2plus1d(size: Size) -> tuple[nn.Module, Inputs]:
    """R(2+1)D-18 on Kinetics-400's classes: convolutions in space, then in time."""
    classes = 400 if size == "full" else CLIPS[size].classes
    clip = Clip(CLIPS[size].frames, CLIPS[size].side, CLIPS[size].width, classes)
    inputs = clip.inputs()
    depth = 1 if size == "tiny" else 2
    return calibrated(lambda: R2Plus1D(clip, depth), inputs), inputs
