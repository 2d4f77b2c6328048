"""CSWin Transformer (CVPR'22): half of the heads attend in rows, half in columns.

SmartMem's numbers are those of CSWin-S.
"""

from dataclasses import dataclass

import torch
from torch import nn

from smartmem.benchmarks.models.blocks import Mlp, depthwise, to_image, to_tokens
from smartmem.benchmarks.models.registry import Inputs, Published, Size, image, register, seeded


@dataclass(frozen=True)
class Config:
    """Width of the first stage (it doubles); depth, heads and stripe width per stage."""

    side: int
    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    stripes: tuple[int, ...]
    classes: int = 1000


CONFIGS: dict[Size, Config] = {
    "full": Config(224, 64, (2, 4, 32, 2), (2, 4, 8, 16), (1, 2, 7, 7)),
    "bench": Config(224, 32, (1, 2, 4, 1), (2, 4, 8, 16), (1, 2, 7, 7)),
    "tiny": Config(56, 16, (2, 1), (2, 4), (2, 7), classes=10),
}


class StripeAttention(nn.Module):
    """Attention inside windows of ``height`` x ``width``, with positions from a convolution (LePE).

    q, k and v [3, B, side², channels] to [B, side², channels].
    """

    def __init__(self, channels: int, heads: int, side: int, height: int, width: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (channels // heads) ** -0.5
        self.side, self.height, self.width = side, height, width
        self.enhance = depthwise(channels, 3)

    def windows(self, tokens: torch.Tensor) -> torch.Tensor:
        """[B, side², C] to [B windows, C, height, width]."""
        batch, _, channels = tokens.shape
        rows, columns = self.side // self.height, self.side // self.width
        x = to_image(tokens, self.side, self.side)
        x = x.view(batch, channels, rows, self.height, columns, self.width)
        x = x.permute(0, 2, 4, 1, 3, 5).contiguous()
        return x.reshape(-1, channels, self.height, self.width)

    def by_head(self, windows: torch.Tensor) -> torch.Tensor:
        """[B windows, C, height, width] to [B windows, heads, height width, C / heads]."""
        count, channels = windows.shape[:2]
        x = windows.reshape(count, self.heads, channels // self.heads, self.height * self.width)
        return x.permute(0, 1, 3, 2).contiguous()

    def forward(self, qkv: torch.Tensor) -> torch.Tensor:
        batch, _, channels = qkv.shape[1:]
        query, key, value = (self.windows(part) for part in qkv.unbind(0))
        position = self.by_head(self.enhance(value))
        query, key, value = self.by_head(query), self.by_head(key), self.by_head(value)
        scores = ((query * self.scale) @ key.transpose(-2, -1)).softmax(-1)
        x = (scores @ value + position).transpose(1, 2)
        rows, columns = self.side // self.height, self.side // self.width
        x = x.reshape(batch, rows, columns, self.height, self.width, channels)
        return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(batch, -1, channels)


class Block(nn.Module):
    """Attention in crossed stripes, or over all where a stripe is the image: [B, side², width]."""

    def __init__(self, width: int, heads: int, side: int, stripe: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = Mlp(width, 4 * width)
        if stripe >= side:
            self.branches = nn.ModuleList([StripeAttention(width, heads, side, side, side)])
        else:
            self.branches = nn.ModuleList(
                StripeAttention(width // 2, heads // 2, side, *shape)
                for shape in ((side, stripe), (stripe, side))
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, width).permute(2, 0, 1, 3)
        parts = qkv.chunk(len(self.branches), -1)
        mixed = [branch(part) for branch, part in zip(self.branches, parts, strict=True)]
        x = x + self.project(torch.cat(mixed, 2))
        return x + self.mlp(self.norm2(x))


class Merging(nn.Module):
    """A convolution of stride 2 and a norm: [B, side², width] to [B, side² / 4, 2 width]."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.reduce, self.norm = nn.Conv2d(width, 2 * width, 3, 2, 1), nn.LayerNorm(2 * width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(to_tokens(self.reduce(to_image(x, self.side, self.side))))


class CSWin(nn.Module):
    """[B, 3, side, side] to [B, classes]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, side = config.width, config.side // 4
        self.embed, self.norm = nn.Conv2d(3, width, 7, 4, 2), nn.LayerNorm(width)
        self.blocks = nn.Sequential()
        for index, (depth, heads, stripe) in enumerate(
            zip(config.depths, config.heads, config.stripes, strict=True)
        ):
            if index:
                self.blocks.append(Merging(width, side))
                width, side = 2 * width, side // 2
            self.blocks.extend(Block(width, heads, side, stripe) for _ in range(depth))
        self.last_norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.norm(to_tokens(self.embed(image))))
        return self.head(self.last_norm(x).mean(1))


@register(
    "cswin",
    title="CSWin-S (CVPR'22)",
    kind="hybrid",
    published=(Published("SmartMem Table 7", parameters=34.7, gmacs=6.9),),
)
def cswin(size: Size) -> tuple[nn.Module, Inputs]:
    """CSWin-S: attention in horizontal and vertical stripes, positions from convolutions."""
    config = CONFIGS[size]
    return seeded(lambda: CSWin(config)), image(config.side)
