"""check's estimates, held against what iree-compile makes of the same models.

The factors are those that ``passes/analysis/estimate.py`` states.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from smartmem.check import check
from smartmem.compiler import compile_model

DISPATCHES = (0.7, 1.3)
MEMORY = (0.5, 2.0)


class Residual(nn.Module):
    """Two padded convolutions around a norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.GroupNorm(4, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(nn.functional.silu(self.norm(self.first(x))))


def mlp() -> Any:
    layers = nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 64), nn.Softmax(-1))
    return layers, (torch.randn(8, 64),)


def cnn() -> Any:
    layers = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16),
        nn.ReLU6(),
        nn.Conv2d(16, 32, 1),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
    return layers, (torch.randn(1, 3, 64, 64),)


def encoder() -> Any:
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True, activation="gelu")
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), (torch.randn(1, 50, 64),)


def residual() -> Any:
    blocks = [Residual(32) for _ in range(3)]
    return nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), *blocks), (torch.randn(1, 3, 32, 32),)


@pytest.mark.parametrize("target", ["cpu", "llvmpipe"])
@pytest.mark.parametrize("build", [mlp, cnn, encoder, residual])
def test_estimates(build: Callable[[], Any], target: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, inputs = build()
    (row,) = check(model.eval(), inputs, targets=(target,)).targets
    truth = compile_model(model, inputs, targets=(target,), out=tmp_path / "m").reports[target]
    dispatches = row.dispatches_estimate / truth["dispatches"]
    memory = row.peak_transient_bytes_estimate / truth["peak_transient_bytes"]
    assert DISPATCHES[0] <= dispatches <= DISPATCHES[1]
    assert MEMORY[0] <= memory <= MEMORY[1]
    assert row.weights_bytes == truth["weights_bytes"]
