"""Convolutional networks for image classification."""

from torch import nn

from smartmem.benchmarks.models.registry import (
    Inputs,
    Published,
    Size,
    by_size,
    calibrated,
    image,
    register,
    seeded,
)

CLASSES = 1000


@register(
    "convnext-tiny",
    title="ConvNeXt-T (CVPR'22): depthwise 7x7 convolutions between channels-last layers",
    kind="convnet",
    published=(Published("SmartMem Table 7: ConvNext", parameters=28.6, gmacs=4.5),),
)
def convnext_tiny(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: a quarter of the image."""
    from transformers import ConvNextConfig, ConvNextForImageClassification

    widths, depths, classes = by_size(
        size,
        full=([96, 192, 384, 768], [3, 3, 9, 3], CLASSES),
        bench=([96, 192, 384, 768], [3, 3, 9, 3], CLASSES),
        tiny=([24, 40, 48, 64], [1, 1, 1, 1], 10),
    )
    config = ConvNextConfig(hidden_sizes=widths, depths=depths, num_labels=classes)
    side = by_size(size, full=224, bench=112, tiny=64)
    return seeded(lambda: ConvNextForImageClassification(config)), image(side)


@register(
    "mobilenet-v2",
    title="MobileNetV2 (CVPR'18): inverted residuals with depthwise 3x3 convolutions",
    kind="convnet",
)
def mobilenet_v2(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: as full."""
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    width, side = by_size(size, full=(1.0, 224), bench=(1.0, 224), tiny=(0.5, 64))
    config = MobileNetV2Config(depth_multiplier=width, num_labels=CLASSES)
    inputs = image(side)
    return calibrated(lambda: MobileNetV2ForImageClassification(config), inputs), inputs


@register(
    "resnet50",
    title="ResNet-50 (CVPR'16)",
    kind="convnet",
    published=(Published("FlashMem Table 7: ResNet50", parameters=25.6, gmacs=4.1),),
)
def resnet50(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: a quarter of the image."""
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(num_labels=CLASSES)
    if size == "tiny":
        config = ResNetConfig(
            embedding_size=16, hidden_sizes=[32, 64, 96, 128], depths=[1, 2, 1, 1], num_labels=10
        )
    inputs = image(by_size(size, full=224, bench=112, tiny=64))
    return calibrated(lambda: ResNetForImageClassification(config), inputs), inputs


@register(
    "regnet",
    title="RegNetY-3.2GF (CVPR'20): groups of 24 channels, squeeze and excitation",
    kind="convnet",
    published=(Published("SmartMem Table 7: RegNet", parameters=19.4, gmacs=3.2),),
)
def regnet(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: a quarter of the image."""
    from transformers import RegNetConfig, RegNetForImageClassification

    widths, depths = by_size(
        size,
        full=([72, 216, 576, 1512], [2, 5, 13, 1]),
        bench=([72, 216, 576, 1512], [2, 5, 13, 1]),
        tiny=([24, 48, 72, 96], [1, 2, 1, 1]),
    )
    config = RegNetConfig(
        hidden_sizes=widths,
        depths=depths,
        groups_width=24,
        num_labels=by_size(size, full=CLASSES, bench=CLASSES, tiny=10),
    )
    inputs = image(by_size(size, full=224, bench=112, tiny=64))
    return calibrated(lambda: RegNetForImageClassification(config), inputs), inputs


@register(
    "efficientnet-b0",
    title="EfficientNet-B0 (ICML'19): inverted residuals with squeeze and excitation",
    kind="convnet",
)
def efficientnet_b0(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: as full; tiny: half the width, one block a stage."""
    from transformers import EfficientNetConfig, EfficientNetForImageClassification

    side, width, repeats, head = by_size(
        size,
        full=(224, 1.0, [1, 2, 2, 3, 3, 4, 1], 1280),
        bench=(224, 1.0, [1, 2, 2, 3, 3, 4, 1], 1280),
        tiny=(64, 0.5, [1, 1, 2, 1, 1, 1, 1], 640),
    )
    config = EfficientNetConfig(
        image_size=side,
        width_coefficient=width,
        depth_coefficient=1.0,
        num_block_repeats=repeats,
        hidden_dim=head,
        num_labels=by_size(size, full=CLASSES, bench=CLASSES, tiny=10),
    )
    inputs = image(side)
    return calibrated(lambda: EfficientNetForImageClassification(config), inputs), inputs
