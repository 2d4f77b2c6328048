"""The models written here at tiny size: compiled for the CPU and compared with eager twice each."""

from pathlib import Path

import pytest

import smartmem
from smartmem.benchmarks.models import suite
from smartmem.verify import verify

OWN = (
    "autoformer",
    "biformer",
    "c3d",
    "conformer",
    "crossformer",
    "cswin",
    "deepvit",
    "driving-depth",
    "driving-detector",
    "driving-planner",
    "driving-segmenter",
    "efficientvit",
    "flattenformer",
    "image-gan",
    "pose",
    "r2plus1d",
    "resnext",
    "smtformer",
    "style-transfer",
    "yolov8n",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_tiny_models_on_the_cpu(name: str, tmp_path: Path) -> None:
    model, inputs = suite.build(f"{name}/tiny")
    made = smartmem.compile(model, inputs, targets=("cpu",), out=tmp_path / "model.smartmem")
    verify(made.path, model, inputs, device="cpu").raise_on_mismatch()
    assert made.reports["cpu"]["unknown"] == ()
