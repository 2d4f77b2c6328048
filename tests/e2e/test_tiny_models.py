"""The suite's models of transformers and diffusers at tiny size: equal to eager, on the CPU.

They have the structure of the full ones in fewer and narrower blocks. ``test_models.py`` compiles
some at full size, ``test_models_own.py`` the models written here. Each takes 2 to 25 s.
"""

from pathlib import Path

import pytest

import smartmem
from smartmem.benchmarks.models import suite
from smartmem.verify import verify

# Not here: depth-anything-l, gptneo-1.3b and gptneo-2.7b, which are small what others are.
NAMES = (
    "bert-base",
    "clip",
    "depth-anything-s",
    "detr",
    "efficientnet-b0",
    "gpt2",
    "gptneo-s",
    "llama",
    "pythia-1b",
    "regnet",
    "sam-2",
    "sd-text-encoder",
    "sd-unet",
    "sd-vae-decoder",
    "segformer-b0",
    "t5-small",
    "vit",
    "wav2vec2-conformer",
    "whisper-m",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_tiny_models_on_the_cpu(name: str, tmp_path: Path) -> None:
    model, inputs = suite.build(f"{name}/tiny")
    made = smartmem.compile(model, inputs, targets=("cpu",), out=tmp_path / "model.smartmem")
    assert made.reports["cpu"]["unknown"] == ()
    verify(made.path, model, inputs, device="cpu").raise_on_mismatch()
