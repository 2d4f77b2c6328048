"""CrossFormer (ICLR'22): embeddings of several scales, attention near and far in turns.

SmartMem's numbers are those of CrossFormer-S.
"""

from dataclasses import dataclass

import torch
from torch import nn

from smartmem.benchmarks.models.blocks import Mlp, relative_positions, to_image, to_tokens
from smartmem.benchmarks.models.registry import Inputs, Published, Size, image, register, seeded


@dataclass(frozen=True)
class Config:
    """Width of the first stage (it doubles), depths and heads per stage, side of a group."""

    side: int
    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    group: int = 7
    classes: int = 1000


CONFIGS: dict[Size, Config] = {
    "full": Config(224, 96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "bench": Config(224, 48, (2, 2, 2, 2), (3, 6, 12, 24)),
    "tiny": Config(64, 32, (2, 1), (2, 4), group=8, classes=10),
}


class CrossScaleEmbedding(nn.Module):
    """Patches of several sizes around the same places, one beside the other.

    [B, inputs, H, W] to [B, H W / stride², outputs]; each size gets half the channels of the one
    before, the last two the same.
    """

    def __init__(self, inputs: int, outputs: int, kernels: tuple[int, ...], stride: int) -> None:
        super().__init__()
        last = len(kernels) - 1
        self.patches = nn.ModuleList(
            nn.Conv2d(
                inputs, outputs // 2 ** min(i + 1, last), kernel, stride, (kernel - stride) // 2
            )
            for i, kernel in enumerate(kernels)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([to_tokens(patch(image)) for patch in self.patches], 2)


class PositionBias(nn.Module):
    """Dynamic position bias: an MLP from offsets [n, 2] to one number per head [n, heads]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(2, width)]
        for outputs in (width, width, heads):
            layers += [nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, outputs)]
        self.layers = nn.Sequential(*layers)

    def forward(self, offsets: torch.Tensor) -> torch.Tensor:
        return self.layers(offsets)


class GroupAttention(nn.Module):
    """Attention inside groups of ``group``² tokens: [B groups, group², width]."""

    def __init__(self, width: int, heads: int, group: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.position = PositionBias(width // 16, heads)
        reach = torch.arange(1 - group, group)
        offsets = torch.stack(torch.meshgrid(reach, reach, indexing="ij")).flatten(1)
        self.register_buffer("offsets", offsets.transpose(0, 1).float(), persistent=False)
        self.register_buffer("places", relative_positions(group), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count, tokens, width = x.shape
        qkv = self.qkv(x).reshape(count, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        scores = (query * self.scale) @ key.transpose(-2, -1)
        bias = self.position(self.offsets)[self.places.view(-1)].view(tokens, tokens, -1)
        scores = scores + bias.permute(2, 0, 1).contiguous().unsqueeze(0)
        mixed = scores.softmax(-1) @ value
        return self.project(mixed.transpose(1, 2).reshape(count, tokens, width))


class Block(nn.Module):
    """Attention between neighbours or, ``far``, every n-th token: [B, side², width]."""

    def __init__(self, width: int, heads: int, group: int, side: int, *, far: bool) -> None:
        super().__init__()
        self.side, self.group, self.far = side, min(group, side), far
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = GroupAttention(width, heads, self.group)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        group, count = self.group, self.side // self.group
        grid = self.norm1(x)
        if self.far:
            grid = grid.reshape(batch, group, count, group, count, width)
            grid = grid.permute(0, 2, 4, 1, 3, 5)
        else:
            grid = grid.reshape(batch, count, group, count, group, width)
            grid = grid.permute(0, 1, 3, 2, 4, 5)
        grid = self.attention(grid.reshape(batch * count * count, group * group, width))
        grid = grid.reshape(batch, count, count, group, group, width)
        grid = grid.permute(0, 3, 1, 4, 2, 5) if self.far else grid.permute(0, 1, 3, 2, 4, 5)
        x = x + grid.reshape(batch, tokens, width)
        return x + self.mlp(self.norm2(x))


class Merging(nn.Module):
    """The cross-scale embedding between stages: [B, side², width] to [B, side² / 4, 2 width]."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.norm = nn.LayerNorm(width)
        self.embed = CrossScaleEmbedding(width, 2 * width, (2, 4), 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.embed(to_image(self.norm(x), self.side, self.side))


class CrossFormer(nn.Module):
    """[B, 3, side, side] to [B, classes]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, side = config.width, config.side // 4
        self.embed = CrossScaleEmbedding(3, width, (4, 8, 16, 32), 4)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.Sequential()
        for index, (depth, heads) in enumerate(zip(config.depths, config.heads, strict=True)):
            if index:
                self.blocks.append(Merging(width, side))
                width, side = 2 * width, side // 2
            for place in range(depth):
                block = Block(width, heads, config.group, side, far=place % 2 == 1)
                self.blocks.append(block)
        self.last_norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.norm(self.embed(image)))
        return self.head(self.last_norm(x).mean(1))


@register(
    "crossformer",
    title="CrossFormer-S (ICLR'22)",
    kind="transformer",
    published=(Published("SmartMem Table 7", parameters=31.0, gmacs=5.0),),
)
def crossformer(size: Size) -> tuple[nn.Module, Inputs]:
    """CrossFormer-S: cross-scale embeddings, short- and long-distance attention."""
    config = CONFIGS[size]
    return seeded(lambda: CrossFormer(config)), image(config.side)
