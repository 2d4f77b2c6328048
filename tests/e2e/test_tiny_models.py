"""Every model of the suite at tiny size equals eager on the CPU; some do so at full size instead.

Tiny models have the structure of the full ones in fewer and narrower blocks. Each takes 2 to 25 s.
At night also under torch.compile, where nothing may be left in eager.
"""

from pathlib import Path

import pytest
import torch
from e2e.test_models import FULL

import smartmem
from smartmem.benchmarks.models import suite
from smartmem.benchmarks.operators.compare import difference
from smartmem.verify import verify

# At tiny size the first three are what depth-anything-s and gptneo-s are; the others are compiled
# at full size in test_models.py.
ELSEWHERE = {"depth-anything-l", "gptneo-1.3b", "gptneo-2.7b", *FULL}


@pytest.mark.suite
@pytest.mark.parametrize("name", [name for name in suite.names() if name not in ELSEWHERE])
def test_tiny_models_on_the_cpu(name: str, tmp_path: Path) -> None:
    model, inputs = suite.build(f"{name}/tiny")
    made = smartmem.compile(model, inputs, targets=("cpu",), out=tmp_path / "model.smartmem")
    assert made.reports["cpu"]["unknown"] == ()
    verify(made.path, model, inputs, device="cpu").raise_on_mismatch()


# One of each kind of network.
KINDS = (
    *("bert-base", "clip", "gpt2", "gptneo-s", "llama", "pythia-1b", "sd-text-encoder", "t5-small"),
    *("wav2vec2-conformer", "whisper-m"),
    *("depth-anything-s", "detr", "efficientnet-b0", "regnet", "segformer-b0"),
    *("sd-unet", "sd-vae-decoder"),
    *("c3d", "r2plus1d"),
)


@pytest.mark.nightly
@pytest.mark.parametrize("name", KINDS)
def test_tiny_models_under_torch_compile(name: str) -> None:
    model, inputs = suite.build(f"{name}/tiny")
    torch._dynamo.reset()
    before = smartmem.compile_reports()
    options = {"strict": True, "device": "cpu"}
    compiled = torch.compile(model, backend="smartmem", fullgraph=True, options=options)
    with torch.no_grad():
        assert difference(model(*inputs), compiled(*inputs)) is None
    (report,) = smartmem.compile_reports()[len(before) :]
    assert report.is_whole
    assert (report.parts, report.draws) == (1, 0)
