"""Conformer (Interspeech'20), the speech encoder: attention and convolution in each block.

SmartMem's Conformer takes audio and has 10 M parameters, which is Conformer-S; 12 GMACs are those
of about 25 s of speech (2500 frames of 80 mel bands), with a CTC head over 5000 word pieces.
"""

from dataclasses import dataclass

import torch
from torch import nn

from smartmem.benchmarks.models.blocks import Mlp
from smartmem.benchmarks.models.registry import (
    Inputs,
    Published,
    Size,
    calibrated,
    normal,
    register,
)


@dataclass(frozen=True)
class Config:
    """Frames and mel bands of the input, width, layers, heads, size of the alphabet."""

    frames: int
    bands: int
    width: int
    layers: int
    heads: int
    alphabet: int
    kernel: int = 31


CONFIGS: dict[Size, Config] = {
    "full": Config(2500, 80, 144, 16, 4, 5000),
    "bench": Config(400, 80, 144, 4, 4, 1000),
    "tiny": Config(64, 20, 16, 2, 2, 12, kernel=7),
}


class Subsampling(nn.Module):
    """Two convolutions of stride 2: [B, frames, bands] to [B, frames / 4, width]."""

    def __init__(self, bands: int, width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 2, 1), nn.ReLU()
        )
        self.project = nn.Linear(width * -(-bands // 4), width)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        x = self.convolutions(audio.unsqueeze(1))
        batch, width, frames, bands = x.shape
        return self.project(x.transpose(1, 2).reshape(batch, frames, width * bands))


def distances(frames: int, width: int) -> torch.Tensor:
    """Sinusoids of the distances frames - 1 … 1 - frames: [1, 2 frames - 1, width]."""
    distance = torch.arange(frames - 1, -frames, -1).float()[:, None]
    rates = torch.exp(torch.arange(0, width, 2).float() * (-9.210340371976184 / width))
    angles = distance * rates
    return torch.stack((angles.sin(), angles.cos()), -1).reshape(1, -1, width)


class RelativeAttention(nn.Module):
    """Attention with relative positions after Transformer-XL: [B, frames, width].

    Scores by distance are computed for all distances at once, and shifted so that each row starts
    at its own.
    """

    def __init__(self, width: int, heads: int, frames: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.project = nn.Linear(width, width), nn.Linear(width, width)
        self.place = nn.Linear(width, width, bias=False)
        self.content_bias = nn.Parameter(nn.init.normal_(torch.empty(heads, width // heads)))
        self.place_bias = nn.Parameter(nn.init.normal_(torch.empty(heads, width // heads)))
        self.register_buffer("distances", distances(frames, width), persistent=False)

    def by_head(self, x: torch.Tensor) -> torch.Tensor:
        """[B, n, width] to [B, n, heads, width / heads]."""
        return x.view(x.shape[0], x.shape[1], self.heads, -1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, frames, width = x.shape
        query = self.by_head(self.query(x))
        key = self.by_head(self.key(x)).permute(0, 2, 3, 1)
        value = self.by_head(self.value(x)).transpose(1, 2)
        place = self.by_head(self.place(self.distances)).permute(0, 2, 3, 1)
        content = (query + self.content_bias).transpose(1, 2) @ key
        by_place = (query + self.place_bias).transpose(1, 2) @ place
        scores = ((content + shifted(by_place)) * self.scale).softmax(-1)
        return self.project((scores @ value).transpose(1, 2).reshape(batch, frames, width))


def shifted(scores: torch.Tensor) -> torch.Tensor:
    """Scores by distance become scores by key: [B, heads, n, 2 n - 1] to [B, heads, n, n]."""
    batch, heads, rows, columns = scores.shape
    padded = nn.functional.pad(scores, (1, 0)).view(batch, heads, columns + 1, rows)
    return padded[:, :, 1:].reshape(batch, heads, rows, columns)[..., :rows]


class ConvolutionModule(nn.Module):
    """A gate, a long depthwise convolution, a projection: [B, frames, width]."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.layers = nn.Sequential(
            nn.Conv1d(width, 2 * width, 1),
            nn.GLU(1),
            nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width),
            nn.BatchNorm1d(width),
            nn.SiLU(),
            nn.Conv1d(width, width, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(self.norm(x).transpose(1, 2)).transpose(1, 2)


class Block(nn.Module):
    """Half an MLP, attention, convolution, half an MLP: [B, frames, width]."""

    def __init__(self, config: Config, frames: int) -> None:
        super().__init__()
        width = config.width
        self.before = nn.Sequential(nn.LayerNorm(width), Mlp(width, 4 * width, nn.SiLU))
        self.norm = nn.LayerNorm(width)
        self.attention = RelativeAttention(width, config.heads, frames)
        self.convolution = ConvolutionModule(width, config.kernel)
        self.after = nn.Sequential(nn.LayerNorm(width), Mlp(width, 4 * width, nn.SiLU))
        self.last = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + 0.5 * self.before(x)
        x = x + self.attention(self.norm(x))
        x = x + self.convolution(x)
        return self.last(x + 0.5 * self.after(x))


class Conformer(nn.Module):
    """[B, frames, bands] to log-probabilities [B, frames / 4, alphabet]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        frames = -(-config.frames // 4)
        self.subsample = Subsampling(config.bands, config.width)
        self.blocks = nn.Sequential(*(Block(config, frames) for _ in range(config.layers)))
        self.head = nn.Linear(config.width, config.alphabet)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.subsample(audio))).log_softmax(-1)


@register(
    "conformer",
    title="Conformer-S, speech (Interspeech'20)",
    kind="hybrid",
    published=(
        Published(
            "SmartMem Table 7",
            parameters=10.0,
            gmacs=12.0,
            note="the length of the audio is not printed; 25 s is derived from the GMACs",
        ),
    ),
)
def conformer(size: Size) -> tuple[nn.Module, Inputs]:
    """Conformer-S with a CTC head: relative attention, gated depthwise convolutions."""
    config = CONFIGS[size]
    inputs = (normal(1, config.frames, config.bands),)
    return calibrated(lambda: Conformer(config), inputs), inputs
