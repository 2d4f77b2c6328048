"""Every model of the suite at tiny size equals eager on the CPU.

Tiny models have the structure of the full ones in fewer and narrower blocks. Each takes 2 to 25 s.
"""

from pathlib import Path

import pytest

import smartmem
from smartmem.benchmarks.models import suite
from smartmem.verify import verify

# At tiny size these are what depth-anything-s and gptneo-s are.
REPEATS = ("depth-anything-l", "gptneo-1.3b", "gptneo-2.7b")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in suite.names() if name not in REPEATS])
def test_tiny_models_on_the_cpu(name: str, tmp_path: Path) -> None:
    model, inputs = suite.build(f"{name}/tiny")
    made = smartmem.compile(model, inputs, targets=("cpu",), out=tmp_path / "model.smartmem")
    assert made.reports["cpu"]["unknown"] == ()
    verify(made.path, model, inputs, device="cpu").raise_on_mismatch()
