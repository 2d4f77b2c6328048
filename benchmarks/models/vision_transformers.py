"""Transformers for image classification."""

from torch import nn

from smartmem.benchmarks.models.registry import (
    Inputs,
    Published,
    Size,
    by_size,
    image,
    register,
    seeded,
)

CLASSES = 1000


@register(
    "swin-tiny",
    title="Swin-T (ICCV'21): attention in shifted windows",
    kind="transformer",
    published=(Published("SmartMem Table 7: Swin", parameters=28.9, gmacs=4.6),),
)
def swin_tiny(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: half the width."""
    from transformers import SwinConfig, SwinForImageClassification

    side, width, depths, heads = by_size(
        size,
        full=(224, 96, [2, 2, 6, 2], [3, 6, 12, 24]),
        bench=(224, 48, [2, 2, 6, 2], [3, 6, 12, 24]),
        tiny=(56, 24, [2, 2], [3, 6]),
    )
    config = SwinConfig(
        image_size=side,
        embed_dim=width,
        depths=depths,
        num_heads=heads,
        num_labels=by_size(size, full=CLASSES, bench=CLASSES, tiny=10),
    )
    return seeded(lambda: SwinForImageClassification(config)), image(side)


def _vit(width: int, inner: int, heads: int, blocks: int, side: int, classes: int) -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=width,
        num_attention_heads=heads,
        intermediate_size=inner,
        num_hidden_layers=blocks,
        image_size=side,
        num_labels=classes,
    )
    return seeded(lambda: ViTForImageClassification(config))


@register(
    "vit-tiny",
    title="DeiT-tiny (ICML'21): a ViT of 12 blocks, width 192, 3 heads",
    kind="transformer",
)
def vit_tiny(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: as full."""
    side, blocks, classes = by_size(
        size, full=(224, 12, CLASSES), bench=(224, 12, CLASSES), tiny=(64, 2, 10)
    )
    return _vit(192, 768, 3, blocks, side, classes), image(side)


@register(
    "vit",
    title="ViT (ICLR'21) of the papers' size: 12 blocks, width 1024, MLP 2048",
    kind="transformer",
    published=(
        Published("SmartMem Table 7: ViT", parameters=102.8, gmacs=21.0),
        Published("FlashMem Table 7: ViT", parameters=103.0, gmacs=21.0),
    ),
)
def vit(size: Size) -> tuple[nn.Module, Inputs]:
    """The papers name no variant; this one has their counts. bench: 2 blocks, a quarter of the
    image."""
    width, heads, blocks, side, classes = by_size(
        size,
        full=(1024, 16, 12, 224, CLASSES),
        bench=(1024, 16, 2, 112, CLASSES),
        tiny=(64, 4, 2, 64, 10),
    )
    return _vit(width, 2 * width, heads, blocks, side, classes), image(side)
