"""BiFormer (CVPR'23): each region attends to the tokens of the few regions it is most like.

SmartMem's numbers are those of BiFormer-S.
"""

from dataclasses import dataclass

import torch
from torch import nn

from smartmem.benchmarks.models.blocks import Mlp, depthwise
from smartmem.benchmarks.models.registry import Inputs, Published, Size, calibrated, image, register


@dataclass(frozen=True)
class Config:
    """Widths, depths and routed regions per stage (None: attention over all tokens)."""

    side: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    routed: tuple[int | None, ...]
    head_width: int = 32
    regions: int = 7
    classes: int = 1000


CONFIGS: dict[Size, Config] = {
    "full": Config(224, (64, 128, 256, 512), (4, 4, 18, 4), (1, 4, 16, None)),
    "bench": Config(224, (32, 64, 128, 256), (1, 1, 3, 1), (1, 4, 16, None)),
    "tiny": Config(64, (16, 32), (1, 1), (2, None), head_width=8, regions=4, classes=10),
}


class RoutedAttention(nn.Module):
    """Bi-level routing attention over ``regions``² regions of a map: [B, H, W, width].

    Regions are compared by their mean query and key; then tokens attend to those of the ``routed``
    best regions, gathered. A depthwise convolution of the values is added (LePE).
    """

    def __init__(self, width: int, head_width: int, regions: int, routed: int) -> None:
        super().__init__()
        self.heads, self.regions, self.routed = width // head_width, regions, routed
        self.scale = width**-0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.enhance = depthwise(width, 5)
        self.project = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, height, wide, width = x.shape
        side, areas = self.regions, self.regions**2
        rows, columns = height // side, wide // side
        tokens = rows * columns

        x = x.reshape(batch, side, rows, side, columns, width).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(batch, areas, tokens, width)
        query, pairs = self.qkv(x).split((width, 2 * width), -1)

        means = pairs[..., :width].mean(2)
        likeness = (query.mean(2) * self.scale) @ means.transpose(-2, -1)
        best = likeness.topk(self.routed, -1).indices
        chosen = torch.gather(
            pairs.unsqueeze(1).expand(-1, areas, -1, -1, -1),
            2,
            best[..., None, None].expand(-1, -1, -1, tokens, 2 * width),
        )
        key, value = chosen.split((width, width), -1)

        query = query.reshape(batch * areas, tokens, self.heads, -1).transpose(1, 2)
        key = key.reshape(batch * areas, self.routed * tokens, self.heads, -1).permute(0, 2, 3, 1)
        value = value.reshape(batch * areas, self.routed * tokens, self.heads, -1).transpose(1, 2)
        mixed = ((query * self.scale) @ key).softmax(-1) @ value

        mixed = mixed.reshape(batch, side, side, self.heads, rows, columns, -1)
        mixed = mixed.permute(0, 1, 4, 2, 5, 3, 6).reshape(batch, height, wide, width)
        plain = pairs[..., width:].reshape(batch, side, side, rows, columns, width)
        plain = plain.permute(0, 5, 1, 3, 2, 4).reshape(batch, width, height, wide)
        return self.project(mixed + self.enhance(plain).permute(0, 2, 3, 1))


class FullAttention(nn.Module):
    """Attention over all tokens of a map: [B, H, W, width]."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.heads, self.scale = width // head_width, head_width**-0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, height, wide, width = x.shape
        qkv = self.qkv(x.reshape(batch, height * wide, width))
        qkv = qkv.reshape(batch, height * wide, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        scores = ((query * self.scale) @ key.transpose(-2, -1)).softmax(-1)
        mixed = (scores @ value).transpose(1, 2).reshape(batch, height, wide, width)
        return self.project(mixed)


class Block(nn.Module):
    """A depthwise convolution for position, attention, an MLP: [B, width, H, W]."""

    def __init__(self, width: int, attention: nn.Module) -> None:
        super().__init__()
        self.position = depthwise(width, 3)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.mlp = attention, Mlp(width, 3 * width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (x + self.position(x)).permute(0, 2, 3, 1)
        x = x + self.attention(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return x.permute(0, 3, 1, 2)


def halved(inputs: int, outputs: int) -> list[nn.Module]:
    """A 3x3 convolution of stride 2 and its norm."""
    return [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.BatchNorm2d(outputs)]


class BiFormer(nn.Module):
    """[B, 3, side, side] to [B, classes]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.widths[0]
        self.blocks = nn.Sequential(*halved(3, width // 2), nn.GELU(), *halved(width // 2, width))
        for index, (outputs, depth, routed) in enumerate(
            zip(config.widths, config.depths, config.routed, strict=True)
        ):
            if index:
                self.blocks.extend(halved(width, outputs))
                width = outputs
            for _ in range(depth):
                attention = (
                    FullAttention(width, config.head_width)
                    if routed is None
                    else RoutedAttention(width, config.head_width, config.regions, routed)
                )
                self.blocks.append(Block(width, attention))
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, config.classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.blocks(image)).flatten(2).mean(-1))


@register(
    "biformer",
    title="BiFormer-S (CVPR'23)",
    kind="hybrid",
    published=(Published("SmartMem Table 7", parameters=25.5, gmacs=4.5),),
)
def biformer(size: Size) -> tuple[nn.Module, Inputs]:
    """BiFormer-S: top-k routing between regions, gathered keys and values."""
    config = CONFIGS[size]
    inputs = image(config.side)
    return calibrated(lambda: BiFormer(config), inputs), inputs
