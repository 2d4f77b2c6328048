"""Models of speech."""

import torch
from torch import nn

from smartmem.benchmarks.models.registry import (
    Inputs,
    Published,
    Size,
    by_size,
    normal,
    register,
    seeded,
)

SAMPLES_PER_S = 16_000


class _Transcriber(nn.Module):
    """An encoder of speech whose states are projected onto a vocabulary."""

    def __init__(self, encoder: nn.Module, width: int, vocabulary: int):
        super().__init__()
        self.encoder = encoder
        self.project = nn.Linear(width, vocabulary, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.project(self.encoder(features).last_hidden_state)


@register(
    "whisper-m",
    title="Whisper medium's encoder and its projection onto the vocabulary, 3 s of speech",
    kind="transformer",
    published=(Published("FlashMem Table 7: Whisper-M", parameters=356.0, gmacs=55.0),),
)
def whisper_m(size: Size) -> tuple[nn.Module, Inputs]:
    """All of Whisper medium has 769 M parameters: encoder and projection have the paper's count,
    and a tenth of Whisper's 30 s its MACs. bench: 2 of 24 blocks, 1 s, vocabulary 8192."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    width, heads, blocks, positions, vocabulary = by_size(
        size,
        full=(1024, 16, 24, 150, 51865),
        bench=(1024, 16, 2, 50, 8192),
        tiny=(64, 4, 2, 25, 100),
    )
    config = WhisperConfig(
        d_model=width,
        encoder_layers=blocks,
        encoder_attention_heads=heads,
        encoder_ffn_dim=4 * width,
        max_source_positions=positions,
    )
    features = normal(1, config.num_mel_bins, 2 * positions)
    return seeded(lambda: _Transcriber(WhisperEncoder(config), width, vocabulary)), (features,)


@register(
    "wav2vec2-conformer",
    title="Wav2Vec2-Conformer of Conformer-S's size (2021), 10 s of speech",
    kind="hybrid",
)
def wav2vec2_conformer(size: Size) -> tuple[nn.Module, Inputs]:
    """Width 144, 16 blocks, 4 heads as Conformer-S. bench: 4 blocks, 2 s."""
    from transformers import Wav2Vec2ConformerConfig, Wav2Vec2ConformerForCTC

    width, blocks, features, groups, seconds = by_size(
        size,
        full=(144, 16, 256, 16, 10.0),
        bench=(144, 4, 256, 16, 2.0),
        tiny=(48, 2, 32, 4, 0.25),
    )
    config = Wav2Vec2ConformerConfig(
        hidden_size=width,
        num_hidden_layers=blocks,
        num_attention_heads=4,
        intermediate_size=4 * width,
        conv_dim=[features] * 7,
        num_conv_pos_embedding_groups=groups,
        position_embeddings_type="relative",
        vocab_size=32,
    )
    speech = normal(1, int(seconds * SAMPLES_PER_S))
    return seeded(lambda: Wav2Vec2ConformerForCTC(config)), (speech,)
