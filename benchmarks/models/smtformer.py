"""SMT, the Scale-aware Modulation Transformer (ICCV'23): modulation early, attention late.

SmartMem's numbers are near those of SMT-S.
"""

from dataclasses import dataclass

import torch
from torch import nn

from smartmem.benchmarks.models.blocks import depthwise, to_image, to_tokens
from smartmem.benchmarks.models.registry import Inputs, Published, Size, calibrated, image, register


@dataclass(frozen=True)
class Config:
    """Width, depth, heads of attention and MLP ratio per stage; heads of all modulations.

    The third stage has modulation and attention in turns, the fourth attention alone.
    """

    side: int
    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]
    mlp_ratios: tuple[int, int, int, int] = (4, 4, 4, 2)
    scales: int = 4
    classes: int = 1000


CONFIGS: dict[Size, Config] = {
    "full": Config(224, (64, 128, 256, 512), (3, 4, 18, 2), (1, 1, 8, 16)),
    "bench": Config(224, (32, 64, 128, 256), (1, 2, 4, 1), (1, 1, 4, 8)),
    "tiny": Config(64, (8, 16, 16, 32), (1, 1, 2, 1), (1, 1, 2, 2), scales=2, classes=10),
}


class Modulation(nn.Module):
    """Scale-aware modulation: [B, H, W, width].

    Each head has a depthwise kernel of its own size; channels of all heads are interleaved, mixed
    in groups and multiply the values.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.groups = heads, width // heads
        self.value, self.context = nn.Linear(width, width), nn.Linear(width, width)
        self.scales = nn.ModuleList(depthwise(self.groups, 3 + 2 * i) for i in range(heads))
        self.mix = nn.Sequential(
            nn.Conv2d(width, 2 * width, 1, groups=self.groups),
            nn.BatchNorm2d(2 * width),
            nn.GELU(),
            nn.Conv2d(2 * width, width, 1),
        )
        self.project = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, height, wide, width = x.shape
        context = self.context(x).reshape(batch, height, wide, self.heads, self.groups)
        context = context.permute(3, 0, 4, 1, 2)
        parts = [
            scale(part).reshape(batch, self.groups, 1, height, wide)
            for scale, part in zip(self.scales, context.unbind(0), strict=True)
        ]
        mixed = self.mix(torch.cat(parts, 2).reshape(batch, width, height, wide))
        return self.project(mixed.permute(0, 2, 3, 1) * self.value(x))


class Attention(nn.Module):
    """Attention over all tokens, with a depthwise convolution of the values: [B, H, W, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.query, self.pair = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.enhance = depthwise(width, 3)
        self.project = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, height, wide, width = x.shape
        tokens = height * wide
        x = x.reshape(batch, tokens, width)
        query = self.query(x).reshape(batch, tokens, self.heads, -1).permute(0, 2, 1, 3)
        pair = self.pair(x).reshape(batch, tokens, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        key, value = pair.unbind(0)
        mixed = ((query @ key.transpose(-2, -1)) * self.scale).softmax(-1) @ value
        plain = value.transpose(1, 2).reshape(batch, tokens, width)
        mixed = mixed.transpose(1, 2).reshape(batch, tokens, width)
        mixed = mixed + to_tokens(self.enhance(to_image(plain, height, wide)))
        return self.project(mixed).reshape(batch, height, wide, width)


class ConvMlp(nn.Module):
    """An MLP with a depthwise convolution beside its hidden layer: [B, H, W, width]."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.local = depthwise(hidden, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.enter(x)
        near = self.local(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.leave(nn.functional.gelu(x + near))


class Block(nn.Module):
    """Modulation or attention, and an MLP: [B, H, W, width]."""

    def __init__(self, width: int, mixer: nn.Module, mlp_ratio: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixer, self.mlp = mixer, ConvMlp(width, mlp_ratio * width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.mixer(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Stage(nn.Module):
    """Blocks between channels-last norms: [B, inputs, H, W] to [B, width, H / n, W / n]."""

    def __init__(self, embed: nn.Module, width: int, blocks: list[Block]) -> None:
        super().__init__()
        self.embed, self.blocks = embed, nn.Sequential(*blocks)
        self.first, self.last = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(self.embed(image).permute(0, 2, 3, 1))
        return self.last(self.blocks(x)).permute(0, 3, 1, 2)


def stem(width: int) -> nn.Module:
    """[B, 3, H, W] to [B, width, H / 4, W / 4]."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, width, 2, 2),
    )


class SMT(nn.Module):
    """[B, 3, side, side] to [B, classes]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.stages = nn.Sequential()
        for stage, (width, depth, heads, ratio) in enumerate(
            zip(config.widths, config.depths, config.heads, config.mlp_ratios, strict=True)
        ):
            embed = nn.Conv2d(config.widths[stage - 1], width, 3, 2, 1) if stage else stem(width)
            blocks = []
            for place in range(depth):
                attentive = stage == 3 or (stage == 2 and place % 2 == 1)
                mixer = Attention(width, heads) if attentive else Modulation(width, config.scales)
                blocks.append(Block(width, mixer, ratio))
            self.stages.append(Stage(embed, width, blocks))
        self.head = nn.Linear(config.widths[-1], config.classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(to_tokens(self.stages(image)).mean(1))


@register(
    "smtformer",
    title="SMT-S (ICCV'23)",
    kind="hybrid",
    published=(Published("SmartMem Table 7", parameters=22.5, gmacs=4.9),),
)
def smtformer(size: Size) -> tuple[nn.Module, Inputs]:
    """SMT-S: depthwise kernels of four sizes modulate values, attention in the late stages."""
    config = CONFIGS[size]
    inputs = image(config.side)
    return calibrated(lambda: SMT(config), inputs), inputs
