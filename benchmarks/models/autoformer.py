"""AutoFormerV2 (S3, NeurIPS'21): a window transformer whose every block has searched choices.

SmartMem's AutoFormer is the one with local attention and 4.7 GMACs, which is the searched S3-T:
14x14 windows in the third stage, 7x7 elsewhere.
"""

from dataclasses import dataclass

import torch
from torch import nn

from smartmem.benchmarks.models.blocks import Mlp, relative_positions, small_normal, to_tokens
from smartmem.benchmarks.models.registry import Inputs, Published, Size, image, register, seeded


@dataclass(frozen=True)
class Block:
    """The searched choices of one block: heads, width of q, k and v per head, MLP ratio, window."""

    heads: int
    head_width: int = 32
    mlp_ratio: float = 4.0
    window: int = 7


@dataclass(frozen=True)
class Config:
    """Side of the image, and width and blocks of each stage."""

    side: int
    stages: tuple[tuple[int, tuple[Block, ...]], ...]
    classes: int = 1000


CONFIGS: dict[Size, Config] = {
    "full": Config(
        224,
        (
            (96, (Block(3),) * 2),
            (192, (Block(6),) * 2),
            (384, (Block(12, window=14),) * 6),
            (768, (Block(24),) * 2),
        ),
    ),
    "bench": Config(
        224,
        (
            (48, (Block(2, 24),) * 2),
            (96, (Block(3),) * 2),
            (192, (Block(6, window=14),) * 2),
            (384, (Block(12),) * 2),
        ),
    ),
    "tiny": Config(
        56,
        (
            (16, (Block(2, 12, 3.0),) * 2),
            (32, (Block(2, 16, 2.0, 7), Block(4, 8))),
        ),
        10,
    ),
}


def windows_of(x: torch.Tensor, window: int) -> torch.Tensor:
    """[B, H, W, C] to [B windows, window², C]."""
    batch, height, width, channels = x.shape
    x = x.view(batch, height // window, window, width // window, window, channels)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, window * window, channels)


def image_of(windows: torch.Tensor, window: int, side: int) -> torch.Tensor:
    """[B windows, window², C] to [B, side, side, C]."""
    count, channels = side // window, windows.shape[-1]
    x = windows.view(-1, count, count, window, window, channels)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, side, side, channels)


def shift_mask(side: int, window: int, shift: int) -> torch.Tensor:
    """What keeps apart the parts of a rolled image in one window: [windows, window², window²]."""
    places = torch.arange(side)
    part = (places >= side - window).int() + (places >= side - shift).int()
    parts = windows_of((3 * part[:, None] + part[None, :])[None, :, :, None], window).squeeze(-1)
    apart = parts[:, :, None] != parts[:, None, :]
    return torch.zeros(apart.shape).masked_fill(apart, -100.0)


class WindowAttention(nn.Module):
    """Attention inside windows with a bias by relative position: [B windows, tokens, width]."""

    def __init__(self, width: int, block: Block, window: int) -> None:
        super().__init__()
        inner = block.heads * block.head_width
        self.heads, self.scale = block.heads, block.head_width**-0.5
        self.qkv = nn.Linear(width, 3 * inner)
        self.project = nn.Linear(inner, width)
        self.biases = small_normal((2 * window - 1) ** 2, block.heads)
        self.register_buffer("places", relative_positions(window), persistent=False)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        count, tokens, _ = x.shape
        qkv = self.qkv(x).reshape(count, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        scores = (query * self.scale) @ key.transpose(-2, -1)
        bias = self.biases[self.places.view(-1)].view(tokens, tokens, -1)
        scores = scores + bias.permute(2, 0, 1).contiguous().unsqueeze(0)
        if mask is not None:
            windows = mask.shape[0]
            scores = scores.view(count // windows, windows, self.heads, tokens, tokens)
            scores = (scores + mask.unsqueeze(1).unsqueeze(0)).view(-1, self.heads, tokens, tokens)
        mixed = scores.softmax(-1) @ value
        return self.project(mixed.transpose(1, 2).reshape(count, tokens, -1))


class WindowBlock(nn.Module):
    """Attention in windows, shifted in every second block, and an MLP: [B, side², width]."""

    def __init__(self, width: int, block: Block, side: int, shifted: bool) -> None:
        super().__init__()
        self.side, self.window = side, min(block.window, side)
        self.shift = self.window // 2 if shifted and self.window < side else 0
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = WindowAttention(width, block, self.window)
        self.mlp = Mlp(width, int(width * block.mlp_ratio))
        mask = shift_mask(side, self.window, self.shift) if self.shift else None
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        grid = self.norm1(x).view(batch, self.side, self.side, width)
        if self.shift:
            grid = torch.roll(grid, (-self.shift, -self.shift), (1, 2))
        grid = image_of(
            self.attention(windows_of(grid, self.window), self.mask), self.window, self.side
        )
        if self.shift:
            grid = torch.roll(grid, (self.shift, self.shift), (1, 2))
        x = x + grid.view(batch, tokens, width)
        return x + self.mlp(self.norm2(x))


class PatchMerging(nn.Module):
    """Four neighbours become one token: [B, side², width] to [B, side² / 4, outputs]."""

    def __init__(self, width: int, outputs: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.norm = nn.LayerNorm(4 * width)
        self.reduce = nn.Linear(4 * width, outputs, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, _, width = x.shape
        x = x.view(batch, self.side, self.side, width)
        corners = [x[:, i::2, j::2, :] for j in (0, 1) for i in (0, 1)]
        return self.reduce(self.norm(torch.cat(corners, -1).view(batch, -1, 4 * width)))


class AutoFormerV2(nn.Module):
    """[B, 3, side, side] to [B, classes]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, side = config.stages[0][0], config.side // 4
        self.embed, self.norm = nn.Conv2d(3, width, 4, 4), nn.LayerNorm(width)
        self.blocks = nn.Sequential()
        for index, (outputs, blocks) in enumerate(config.stages):
            if index:
                self.blocks.append(PatchMerging(width, outputs, side))
                width, side = outputs, side // 2
            for place, block in enumerate(blocks):
                self.blocks.append(WindowBlock(width, block, side, shifted=place % 2 == 1))
        self.last_norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.norm(to_tokens(self.embed(image))))
        return self.head(self.last_norm(x).mean(1))


@register(
    "autoformer",
    title="AutoFormerV2 S3-T (NeurIPS'21)",
    kind="transformer",
    published=(Published("SmartMem Table 7", parameters=31.2, gmacs=4.7),),
)
def autoformer(size: Size) -> tuple[nn.Module, Inputs]:
    """AutoFormerV2 S3-T: windows of 14x14 and 7x7, shifted in every second block."""
    config = CONFIGS[size]
    return seeded(lambda: AutoFormerV2(config)), image(config.side)
