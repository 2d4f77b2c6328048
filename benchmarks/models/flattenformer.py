"""FLatten Transformer (ICCV'23): focused linear attention in the pyramid of PVT.

SmartMem's numbers are those of FLatten-PVT-M.
"""

from dataclasses import dataclass

import torch
from torch import nn

from smartmem.benchmarks.models.blocks import Mlp, depthwise, small_normal, to_image, to_tokens
from smartmem.benchmarks.models.registry import Inputs, Published, Size, image, register, seeded


@dataclass(frozen=True)
class Config:
    """Width, depth, heads and MLP ratio per stage."""

    side: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    mlp_ratios: tuple[int, ...]
    classes: int = 1000


CONFIGS: dict[Size, Config] = {
    "full": Config(224, (64, 128, 320, 512), (3, 4, 18, 3), (1, 2, 5, 8), (8, 8, 4, 4)),
    "bench": Config(224, (32, 64, 160, 256), (2, 2, 3, 2), (1, 2, 5, 8), (8, 8, 4, 4)),
    "tiny": Config(32, (16, 32), (1, 1), (1, 2), (4, 2), classes=10),
}


class FocusedAttention(nn.Module):
    """Linear attention over a map of ``side``² tokens: [B, side², width].

    The focused function keeps a vector's length and turns it towards its largest elements; a
    depthwise convolution of the values restores the rank.
    """

    focus = 3

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.side = heads, side
        self.query, self.pair = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.project = nn.Linear(width, width)
        self.restore = depthwise(width // heads, 5)
        self.scale = nn.Parameter(torch.zeros(1, 1, width))
        self.position = small_normal(1, side * side, width)

    def focused(self, x: torch.Tensor) -> torch.Tensor:
        """Non-negative vectors along the last dim, of the same length but sharper direction."""
        x = (x.relu() + 1e-6) / nn.functional.softplus(self.scale)
        sharp = x**self.focus
        return sharp / sharp.norm(dim=-1, keepdim=True) * x.norm(dim=-1, keepdim=True)

    def by_head(self, x: torch.Tensor) -> torch.Tensor:
        """[B, tokens, width] to [B heads, tokens, width / heads]."""
        batch, tokens, width = x.shape
        x = x.reshape(batch, tokens, self.heads, width // self.heads).permute(0, 2, 1, 3)
        return x.reshape(batch * self.heads, tokens, -1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        pair = self.pair(x).reshape(batch, tokens, 2, width).permute(2, 0, 1, 3)
        key, value = pair.unbind(0)
        query = self.by_head(self.focused(self.query(x)))
        key = self.by_head(self.focused(key + self.position))
        value = self.by_head(value)
        total = torch.einsum("bic,bc->bi", query, key.sum(1)) + 1e-6
        mixed = torch.einsum("bjc,bjd->bcd", key, value)
        mixed = torch.einsum("bic,bcd->bid", query, mixed) / total.unsqueeze(-1)
        mixed = mixed + to_tokens(self.restore(to_image(value, self.side, self.side)))
        mixed = mixed.reshape(batch, self.heads, tokens, -1).permute(0, 2, 1, 3)
        return self.project(mixed.reshape(batch, tokens, width))


class Block(nn.Module):
    """Focused linear attention and an MLP: [B, side², width]."""

    def __init__(self, width: int, heads: int, mlp_ratio: int, side: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = FocusedAttention(width, heads, side)
        self.mlp = Mlp(width, mlp_ratio * width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Stage(nn.Module):
    """Patches, positions, blocks: [B, inputs, H, W] to [B, width, side, side]."""

    def __init__(self, inputs: int, width: int, patch: int, side: int, blocks: list[Block]) -> None:
        super().__init__()
        self.side = side
        self.embed, self.norm = nn.Conv2d(inputs, width, patch, patch), nn.LayerNorm(width)
        self.position = small_normal(1, side * side, width)
        self.blocks = nn.Sequential(*blocks)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.norm(to_tokens(self.embed(image))) + self.position
        return to_image(self.blocks(x), self.side, self.side)


class FLattenPVT(nn.Module):
    """[B, 3, side, side] to [B, classes]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        inputs, side = 3, config.side
        self.stages = nn.Sequential()
        for width, depth, heads, ratio in zip(
            config.widths, config.depths, config.heads, config.mlp_ratios, strict=True
        ):
            patch = 2 if len(self.stages) else 4
            side //= patch
            blocks = [Block(width, heads, ratio, side) for _ in range(depth)]
            self.stages.append(Stage(inputs, width, patch, side, blocks))
            inputs = width
        self.norm = nn.LayerNorm(inputs)
        self.head = nn.Linear(inputs, config.classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(to_tokens(self.stages(image))).mean(1))


@register(
    "flattenformer",
    title="FLatten-PVT-M (ICCV'23)",
    kind="hybrid",
    published=(Published("SmartMem Table 7", parameters=37.3, gmacs=7.2),),
)
def flattenformer(size: Size) -> tuple[nn.Module, Inputs]:
    """FLatten-PVT-M: focused linear attention in all four stages."""
    config = CONFIGS[size]
    return seeded(lambda: FLattenPVT(config)), image(config.side)
