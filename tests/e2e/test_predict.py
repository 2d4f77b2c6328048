"""Latency is predicted without running anything, and measured models are added to a table."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import smartmem
from smartmem.cli.main import main
from smartmem.compiler import compile_model
from smartmem.errors import UserError
from smartmem.passes.tuning.latency import load

NET = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(24, 40), nn.GELU(), nn.LayerNorm(40), nn.Linear(40, 8))
    return net.eval(), (torch.randn(16, 24),)
"""


def _mlp(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(64, width), nn.GELU(), nn.Linear(width, 64)).eval()


@pytest.mark.slow
def test_more_work_takes_longer(tmp_path: Path) -> None:
    example = (torch.randn(196, 64),)
    found = [smartmem.predict_latency(_mlp(w), example, "llvmpipe") for w in (64, 256, 1024)]
    times = [latency.milliseconds for latency in found]
    assert times == sorted(times)
    assert times[2] > 4 * times[0]
    assert all(step.us > 0 and step.location for step in found[0].steps)
    path = compile_model(
        _mlp(256), example, targets=("llvmpipe",), out=tmp_path / "net.smartmem"
    ).path
    assert smartmem.predict_latency(path) == found[1]
    exported = torch.export.export(_mlp(64), example)
    assert smartmem.predict_latency(exported, target="llvmpipe").milliseconds == times[0]


def test_what_cannot_be_predicted_is_told() -> None:
    example = (torch.randn(2, 64),)
    with pytest.raises(UserError, match="no target"):
        smartmem.predict_latency(_mlp(8), example)
    with pytest.raises(UserError, match="no example inputs"):
        smartmem.predict_latency(_mlp(8), target="llvmpipe")


@pytest.mark.slow
@pytest.mark.vulkan
@pytest.mark.native
def test_a_model_is_recorded_and_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "predicted_net.py").write_text(NET)
    monkeypatch.syspath_prepend(tmp_path)
    spec, file = "predicted_net:make", tmp_path / "table.json"
    assert main(["predict", "--record", str(file), spec, "--device", "llvmpipe"]) == 0
    table = load(file)
    (measured,) = table.models.values()
    assert measured.call_us > 0
    assert sum(s.calls for s in measured.samples) >= 3
    capsys.readouterr()
    asked = ["predict", spec, "--target", "llvmpipe", "--table", str(file), "--json"]
    assert main(asked) == 0
    latency = json.loads(capsys.readouterr().out)["models"][spec]
    assert latency["measured_share"] == 1.0
    assert latency["milliseconds"] == pytest.approx(measured.call_us / 1e3, rel=0.01)
    out = tmp_path / "rows.json"
    assert main(["predict", "--table", str(file), "--export", str(out)]) == 0
    assert {row["key"] for row in json.loads(out.read_text())} == {
        s.facts.key for s in measured.samples
    }
    assert main(["predict"]) == 1
    assert "nothing to predict" in capsys.readouterr().err
