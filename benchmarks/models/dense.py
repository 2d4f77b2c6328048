"""Models that answer with maps or boxes: depth, segmentation, detection."""

import torch
from torch import nn

from smartmem.benchmarks.models.registry import (
    Inputs,
    Published,
    Size,
    by_size,
    calibrated,
    generator,
    image,
    register,
    seeded,
)


def _depth_anything(
    inputs: Inputs, width: int, heads: int, taps: list[int], neck: list[int], fused: int
) -> nn.Module:
    """DINOv2, read after the blocks ``taps``, and a DPT head, whose last bias is 1.

    The head ends in a ReLU: a trained one answers with positive depths, a random one with zeros.
    """
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    backbone = Dinov2Config(
        hidden_size=width,
        num_attention_heads=heads,
        num_hidden_layers=max(taps),
        image_size=518,
        patch_size=14,
        out_indices=taps,
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=width,
        neck_hidden_sizes=neck,
        fusion_hidden_size=fused,
        head_hidden_size=min(32, fused // 2),
    )
    model = calibrated(lambda: DepthAnythingForDepthEstimation(config), inputs)
    nn.init.ones_(model.head.conv3.bias)
    return model


@register(
    "depth-anything-s",
    title="DepthAnything-S (CVPR'24): depth from DINOv2-S, image 280x280",
    kind="hybrid",
    published=(Published("FlashMem Table 7: DepthAnything-S", parameters=24.3, gmacs=14.0),),
)
def depth_anything_s(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: 4 of 12 blocks, image 98x98."""
    width, heads, taps, neck, fused = by_size(
        size,
        full=(384, 6, [3, 6, 9, 12], [48, 96, 192, 384], 64),
        bench=(384, 6, [1, 2, 3, 4], [48, 96, 192, 384], 64),
        tiny=(48, 3, [1, 2, 3, 4], [8, 16, 24, 32], 16),
    )
    inputs = image(by_size(size, full=280, bench=98, tiny=42))
    return _depth_anything(inputs, width, heads, taps, neck, fused), inputs


@register(
    "depth-anything-l",
    title="DepthAnything-L (CVPR'24): depth from DINOv2-L, image 280x280",
    kind="hybrid",
    published=(Published("FlashMem Table 7: DepthAnything-L", parameters=333.0, gmacs=180.0),),
)
def depth_anything_l(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: 4 of 24 blocks, image 42x42."""
    width, heads, taps, neck, fused = by_size(
        size,
        full=(1024, 16, [5, 12, 18, 24], [256, 512, 1024, 1024], 256),
        bench=(1024, 16, [1, 2, 3, 4], [256, 512, 1024, 1024], 256),
        tiny=(64, 4, [1, 2, 3, 4], [16, 32, 48, 48], 32),
    )
    inputs = image(by_size(size, full=280, bench=42, tiny=42))
    return _depth_anything(inputs, width, heads, taps, neck, fused), inputs


@register(
    "sam-2",
    title="SAM 2 (2024) with Hiera-L: image encoder, two prompt points, mask decoder",
    kind="hybrid",
    published=(Published("FlashMem Table 7: SAM-2", parameters=215.0, gmacs=218.0),),
)
def sam_2(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: Hiera-T, image 256x256."""
    from transformers import (
        Sam2Config,
        Sam2HieraDetConfig,
        Sam2MaskDecoderConfig,
        Sam2Model,
        Sam2PromptEncoderConfig,
        Sam2VisionConfig,
    )

    side, width, heads, blocks, everywhere, windows, neck = by_size(
        size,
        full=(512, 144, 2, [2, 6, 36, 4], [23, 33, 43], [8, 4, 16, 8], 256),
        bench=(256, 96, 1, [1, 2, 7, 2], [5, 7, 9], [8, 4, 14, 7], 256),
        tiny=(64, 16, 1, [1, 1, 2, 1], [3], [4, 2, 4, 2], 32),
    )
    widths = [width * 2**stage for stage in range(4)]
    config = Sam2Config(
        vision_config=Sam2VisionConfig(
            backbone_config=Sam2HieraDetConfig(
                image_size=[side, side],
                hidden_size=width,
                num_attention_heads=heads,
                blocks_per_stage=blocks,
                embed_dim_per_stage=widths,
                num_attention_heads_per_stage=[heads * 2**stage for stage in range(4)],
                window_size_per_stage=windows,
                global_attention_blocks=everywhere,
            ),
            backbone_channel_list=widths[::-1],
            backbone_feature_sizes=[[side // n, side // n] for n in (4, 8, 16)],
            fpn_hidden_size=neck,
        ),
        prompt_encoder_config=Sam2PromptEncoderConfig(hidden_size=neck, image_size=side),
        mask_decoder_config=Sam2MaskDecoderConfig(
            hidden_size=neck, mlp_dim=8 * neck, iou_head_hidden_dim=neck
        ),
    )
    points = side * torch.rand((1, 1, 2, 2), generator=generator(), device="cpu")
    labels = torch.tensor([[[1, 0]]], dtype=torch.int32, device="cpu")
    return seeded(lambda: Sam2Model(config)), (*image(side), points, labels)


@register(
    "segformer-b0",
    title="SegFormer-B0 (NeurIPS'21): a pyramid of attention and an all-MLP head",
    kind="hybrid",
)
def segformer_b0(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: image 128x128."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    side, widths, depths, decoder = by_size(
        size,
        full=(512, [32, 64, 160, 256], [2, 2, 2, 2], 256),
        bench=(128, [32, 64, 160, 256], [2, 2, 2, 2], 256),
        tiny=(64, [8, 16, 40, 64], [1, 1, 1, 1], 32),
    )
    config = SegformerConfig(
        hidden_sizes=widths, depths=depths, decoder_hidden_size=decoder, num_labels=150
    )
    inputs = image(side)
    return calibrated(lambda: SegformerForSemanticSegmentation(config), inputs), inputs


@register(
    "detr",
    title="DETR (ECCV'20): ResNet-50, a transformer, 100 boxes",
    kind="hybrid",
)
def detr(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: 2 of 6 blocks on each side, image 128x128."""
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    side, blocks, width, heads, queries = by_size(
        size, full=(800, 6, 256, 8, 100), bench=(128, 2, 256, 8, 100), tiny=(64, 2, 32, 4, 5)
    )
    stem, widths, depths = by_size(
        size,
        full=(64, [256, 512, 1024, 2048], [3, 4, 6, 3]),
        bench=(64, [256, 512, 1024, 2048], [3, 4, 6, 3]),
        tiny=(16, [32, 48, 64, 96], [1, 1, 1, 1]),
    )
    backbone = ResNetConfig(
        embedding_size=stem, hidden_sizes=widths, depths=depths, out_features=["stage4"]
    )
    config = DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        num_queries=queries,
        d_model=width,
        encoder_layers=blocks,
        decoder_layers=blocks,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=8 * width,
        decoder_ffn_dim=8 * width,
        num_labels=91,
    )
    return seeded(lambda: DetrForObjectDetection(config)), image(side)
