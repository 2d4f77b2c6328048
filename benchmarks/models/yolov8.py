"""YOLOv8 nano (2023): an anchor-free detector with its head, boxes decoded, without suppression."""

from dataclasses import dataclass

import torch
from torch import nn

from smartmem.benchmarks.models.blocks import ConvNorm
from smartmem.benchmarks.models.registry import Inputs, Published, Size, calibrated, image, register

# How many bins a side of a box is a distribution over.
BINS = 16
STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class Config:
    """Width of the stem (stages have 2, 4, 8 and 16 times that) and blocks in the first stage."""

    side: int
    width: int
    depth: int
    classes: int = 80


CONFIGS: dict[Size, Config] = {
    "full": Config(640, 16, 1),
    "bench": Config(256, 16, 1),
    "tiny": Config(64, 4, 1, classes=5),
}


def conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> ConvNorm:
    """A convolution with batch norm and SiLU."""
    return ConvNorm(inputs, outputs, kernel, stride, activation=nn.SiLU)


class Bottleneck(nn.Module):
    """Two 3x3 convolutions, added to their input where ``added``: [B, width, H, W]."""

    def __init__(self, width: int, added: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(width, width, 3), conv(width, width, 3))
        self.added = added

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.added else self.body(x)


class SplitStage(nn.Module):
    """C2f: half of the channels goes through a chain whose every step is kept.

    [B, inputs, H, W] to [B, outputs, H, W].
    """

    def __init__(self, inputs: int, outputs: int, depth: int, *, added: bool = False) -> None:
        super().__init__()
        half = outputs // 2
        self.enter, self.leave = conv(inputs, outputs), conv((2 + depth) * half, outputs)
        self.chain = nn.ModuleList(Bottleneck(half, added) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = list(self.enter(x).chunk(2, 1))
        for block in self.chain:
            kept.append(block(kept[-1]))
        return self.leave(torch.cat(kept, 1))


class PyramidPooling(nn.Module):
    """SPPF: three 5x5 poolings, one after the other, side by side: [B, width, H, W]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter, self.leave = conv(width, width // 2), conv(2 * width, width)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = [self.enter(x)]
        for _ in range(3):
            steps.append(self.pool(steps[-1]))
        return self.leave(torch.cat(steps, 1))


class Head(nn.Module):
    """Boxes and class scores of all places of all levels: [B, 4 + classes, places]."""

    def __init__(self, widths: tuple[int, ...], classes: int, side: int) -> None:
        super().__init__()
        self.classes = classes
        box = max(16, widths[0] // 4, 4 * BINS)
        score = max(widths[0], min(classes, 100))
        self.boxes = nn.ModuleList(branch(width, box, 4 * BINS) for width in widths)
        self.scores = nn.ModuleList(branch(width, score, classes) for width in widths)
        centres, strides = places(side)
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("strides", strides, persistent=False)
        bins = torch.arange(BINS).float().view(1, BINS, 1, 1)
        self.register_buffer("bins", bins, persistent=False)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        levels = [
            torch.cat((box(x), score(x)), 1).view(x.shape[0], 4 * BINS + self.classes, -1)
            for x, box, score in zip(maps, self.boxes, self.scores, strict=True)
        ]
        boxes, scores = torch.cat(levels, 2).split((4 * BINS, self.classes), 1)
        return torch.cat((self.decoded(boxes), scores.sigmoid()), 1)

    def decoded(self, boxes: torch.Tensor) -> torch.Tensor:
        """Distributions of four distances [B, 4 bins, places] to centre and size [B, 4, places]."""
        batch, _, count = boxes.shape
        shares = boxes.view(batch, 4, BINS, count).transpose(1, 2).softmax(1)
        distances = nn.functional.conv2d(shares, self.bins).view(batch, 4, count)
        before, after = distances.chunk(2, 1)
        low, high = self.centres - before, self.centres + after
        return torch.cat(((low + high) / 2, high - low), 1) * self.strides


def branch(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """One branch of the head at one level."""
    return nn.Sequential(
        conv(inputs, width, 3), conv(width, width, 3), nn.Conv2d(width, outputs, 1)
    )


def places(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Centres of all cells in units of their stride [1, 2, n], and their strides [1, 1, n]."""
    centres, strides = [], []
    for stride in STRIDES:
        middle = torch.arange(side // stride) + 0.5
        rows, columns = torch.meshgrid(middle, middle, indexing="ij")
        centres.append(torch.stack((columns.flatten(), rows.flatten())))
        strides.append(torch.full((1, rows.numel()), float(stride)))
    return torch.cat(centres, 1).unsqueeze(0), torch.cat(strides, 1).unsqueeze(0)


class YoloV8(nn.Module):
    """[B, 3, side, side] to [B, 4 + classes, places]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        w, d = config.width, config.depth
        self.stem = nn.Sequential(
            conv(3, w, 3, 2), conv(w, 2 * w, 3, 2), SplitStage(2 * w, 2 * w, d, added=True)
        )
        self.eighth = nn.Sequential(
            conv(2 * w, 4 * w, 3, 2), SplitStage(4 * w, 4 * w, 2 * d, added=True)
        )
        self.sixteenth = nn.Sequential(
            conv(4 * w, 8 * w, 3, 2), SplitStage(8 * w, 8 * w, 2 * d, added=True)
        )
        self.last = nn.Sequential(
            conv(8 * w, 16 * w, 3, 2),
            SplitStage(16 * w, 16 * w, d, added=True),
            PyramidPooling(16 * w),
        )
        self.enlarge = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.up_sixteenth = SplitStage(24 * w, 8 * w, d)
        self.up_eighth = SplitStage(12 * w, 4 * w, d)
        self.halve_eighth = conv(4 * w, 4 * w, 3, 2)
        self.down_sixteenth = SplitStage(12 * w, 8 * w, d)
        self.halve_sixteenth = conv(8 * w, 8 * w, 3, 2)
        self.down_last = SplitStage(24 * w, 16 * w, d)
        self.head = Head((4 * w, 8 * w, 16 * w), config.classes, config.side)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        eighth = self.eighth(self.stem(image))
        sixteenth = self.sixteenth(eighth)
        last = self.last(sixteenth)
        sixteenth = self.up_sixteenth(torch.cat((self.enlarge(last), sixteenth), 1))
        eighth = self.up_eighth(torch.cat((self.enlarge(sixteenth), eighth), 1))
        sixteenth = self.down_sixteenth(torch.cat((self.halve_eighth(eighth), sixteenth), 1))
        last = self.down_last(torch.cat((self.halve_sixteenth(sixteenth), last), 1))
        return self.head([eighth, sixteenth, last])


@register(
    "yolov8n",
    title="YOLOv8n (2023)",
    kind="convnet",
    published=(Published("SmartMem Table 7", parameters=3.2, gmacs=4.4),),
)
def yolov8n(size: Size) -> tuple[nn.Module, Inputs]:
    """YOLOv8 nano at 640x640: backbone, pyramid and head with decoded boxes."""
    config = CONFIGS[size]
    inputs = image(config.side)
    return calibrated(lambda: YoloV8(config), inputs), inputs
