"""DeepViT (arXiv 2103.11886): re-attention mixes the attention maps of the heads.

FlashMem's DeepViT is its ViT (width 1024, 16 heads, MLP 2048) with twice the layers.
"""

from dataclasses import dataclass

import torch
from torch import nn

from smartmem.benchmarks.models.blocks import Mlp, small_normal, to_tokens
from smartmem.benchmarks.models.registry import Inputs, Published, Size, calibrated, image, register


@dataclass(frozen=True)
class Config:
    """Sides of image and patch, width, layers, heads, width of the MLP."""

    side: int
    patch: int
    width: int
    layers: int
    heads: int
    hidden: int
    classes: int = 1000


CONFIGS: dict[Size, Config] = {
    "full": Config(224, 16, 1024, 24, 16, 2048),
    "bench": Config(224, 16, 256, 8, 8, 512),
    "tiny": Config(48, 16, 32, 2, 4, 64, classes=10),
}


class ReAttention(nn.Module):
    """Attention whose maps are mixed across heads, then normed: [B, tokens, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mix = nn.Parameter(nn.init.normal_(torch.empty(heads, heads), std=heads**-0.5))
        self.norm = nn.BatchNorm2d(heads)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        maps = (query @ key.transpose(-2, -1) * self.scale).softmax(-1)
        maps = self.norm(torch.einsum("bhij,hg->bgij", maps, self.mix))
        return self.project((maps @ value).transpose(1, 2).reshape(batch, tokens, width))


class Block(nn.Module):
    """Re-attention and an MLP: [B, tokens, width]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.attention = ReAttention(config.width, config.heads)
        self.mlp = Mlp(config.width, config.hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class DeepViT(nn.Module):
    """[B, 3, side, side] to [B, classes], by a class token."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        patches = (config.side // config.patch) ** 2
        self.embed = nn.Conv2d(3, config.width, config.patch, config.patch)
        self.token = small_normal(1, 1, config.width)
        self.position = small_normal(1, patches + 1, config.width)
        self.blocks = nn.Sequential(*(Block(config) for _ in range(config.layers)))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        token = self.token.expand(image.shape[0], -1, -1)
        x = torch.cat((token, to_tokens(self.embed(image))), 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


@register(
    "deepvit",
    title="DeepViT (arXiv 2103.11886)",
    kind="transformer",
    published=(Published("FlashMem Table 7", parameters=204.0, gmacs=42.0),),
)
def deepvit(size: Size) -> tuple[nn.Module, Inputs]:
    """DeepViT of FlashMem's size: 24 layers of re-attention."""
    config = CONFIGS[size]
    inputs = image(config.side)
    return calibrated(lambda: DeepViT(config), inputs), inputs
