"""Stable Diffusion 1.5, part by part: text encoder, one step of the UNet, image decoder."""

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
    tokens,
)

PROMPT_TOKENS = 77


@register(
    "sd-text-encoder",
    title="Stable Diffusion's text encoder (CLIP-L), 77 tokens",
    kind="transformer",
    published=(Published("SmartMem Table 7: SD-TextEncoder", parameters=123.0, gmacs=6.7),),
)
def sd_text_encoder(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: 3 of 12 blocks."""
    from transformers import CLIPTextConfig, CLIPTextModel

    width, heads, blocks, vocabulary = by_size(
        size, full=(768, 12, 12, 49408), bench=(768, 12, 3, 49408), tiny=(64, 4, 2, 1000)
    )
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        max_position_embeddings=PROMPT_TOKENS,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
    )
    return seeded(lambda: CLIPTextModel(config)), (tokens(PROMPT_TOKENS, vocabulary),)


@register(
    "sd-unet",
    title="Stable Diffusion 1.5's UNet, one step on a latent image of 32x32",
    kind="hybrid",
    published=(
        Published("SmartMem Table 7: SD-UNet", parameters=860.0, gmacs=91.0),
        Published(
            "FlashMem Table 7: SD-UNet",
            parameters=860.0,
            gmacs=78.0,
            note="78 is what its convolutions and biased projections need; those of queries, keys "
            "and values, which have no bias, and the products of attention need 12 more",
        ),
    ),
)
def sd_unet(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: a quarter of the width, latent 16x16. tiny: 2 of 4 levels, one ResNet block each."""
    from diffusers import UNet2DConditionModel

    side, widths, layers, groups, text = by_size(
        size,
        full=(32, (320, 640, 1280, 1280), 2, 32, 768),
        bench=(16, (80, 160, 320, 320), 2, 16, 192),
        tiny=(8, (16, 32), 1, 8, 24),
    )
    attending = len(widths) - 1
    model = seeded(
        lambda: UNet2DConditionModel(
            sample_size=side,
            down_block_types=("CrossAttnDownBlock2D",) * attending + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * attending,
            block_out_channels=widths,
            layers_per_block=layers,
            norm_num_groups=groups,
            cross_attention_dim=text,
            attention_head_dim=8,
        )
    )
    step = torch.tensor([500], device="cpu")
    return model, (normal(1, 4, side, side), step, normal(1, PROMPT_TOKENS, text, seed=2))


@register(
    "sd-vae-decoder",
    title="Stable Diffusion 1.5's image decoder, from a latent image of 32x32",
    kind="hybrid",
    published=(Published("SmartMem Table 7: SD-VAEDecoder", parameters=50.0, gmacs=312.0),),
)
def sd_vae_decoder(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: a quarter of the width, latent 8x8. tiny: one ResNet block fewer a level."""
    from diffusers.models.autoencoders.vae import Decoder

    side, widths, layers, groups = by_size(
        size,
        full=(32, (128, 256, 512, 512), 2, 32),
        bench=(8, (32, 64, 128, 128), 2, 8),
        tiny=(4, (8, 16, 16, 16), 1, 4),
    )
    model = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(4, 4, 1),
            Decoder(
                in_channels=4,
                out_channels=3,
                up_block_types=("UpDecoderBlock2D",) * len(widths),
                block_out_channels=widths,
                layers_per_block=layers,
                norm_num_groups=groups,
            ),
        )
    )
    return model, (normal(1, 4, side, side),)
