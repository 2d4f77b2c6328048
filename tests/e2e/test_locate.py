"""verify names the first op that a lowering gets wrong, with its line; faults are injected."""

import json
from pathlib import Path
from typing import Any

import pytest

from smartmem import locate
from smartmem.cli.main import main
from smartmem.passes.lower import elementwise, scalars

Capture = pytest.CaptureFixture[str]

MODEL = """import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.second = nn.Linear(8, 4)

    def forward(self, x):
        x = self.first(x)
        left, right = x.chunk(2, -1)
        x = torch.cat((left, torch.nn.functional.silu(right)), -1)
        x = torch.tanh(x)
        return self.second(x)

def net():
    torch.manual_seed(0)
    return Net().eval(), (torch.randn(3, 8),)
"""
TANH_LINE = 1 + MODEL.splitlines().index("        x = torch.tanh(x)")
SILU_LINE = TANH_LINE - 1


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "located_model.py").write_text(MODEL, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return "located_model:net"


def break_function(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The scalar function gives a tenth too much."""
    right = elementwise.ON_SCALARS[name]

    def wrong(*values: Any) -> Any:
        return scalars.mul(right(*values), scalars.constant(1.1, values[0].type))

    monkeypatch.setitem(elementwise.ON_SCALARS, name, wrong)


def run_json(capsys: Capture, *arguments: str) -> tuple[int, Any]:
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("function", "line", "probes"),
    [("tanh", TANH_LINE, 64), ("silu", SILU_LINE, 2)],
    ids=["at-once", "narrowed"],
)
def test_the_wrong_op_is_named(
    capsys: Capture,
    spec: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    line: int,
    probes: int,
) -> None:
    break_function(monkeypatch, function)
    monkeypatch.setattr(locate, "PROBES", probes)
    bundle = str(tmp_path / "net.smartmem")
    assert main(["compile", spec, "-o", bundle]) == 0
    capsys.readouterr()
    code, data = run_json(capsys, "verify", bundle, spec)
    assert code == 3
    found = data["devices"][0]["per_op"]
    assert found["wrong"]["op"] == f"aten.{function}.default"
    assert found["wrong"]["location"] == f"located_model.py:{line}"
    assert found["wrong"]["relative_l2"] == pytest.approx(0.1, rel=1e-3)
    assert (found["compiles"] == 1) == (probes == 64)


def test_an_old_artefact_is_called_so(
    capsys: Capture, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = str(tmp_path / "net.smartmem")
    with monkeypatch.context() as patched:
        break_function(patched, "tanh")
        assert main(["compile", spec, "-o", bundle]) == 0
    assert main(["verify", bundle, spec]) == 3
    text = capsys.readouterr().out
    assert "MISMATCH" in text
    assert "agree with eager when the model is compiled again" in text
    assert "older compile" in text


def test_per_op_where_all_is_well(capsys: Capture, spec: str, tmp_path: Path) -> None:
    bundle = str(tmp_path / "net.smartmem")
    assert main(["compile", spec, "-o", bundle]) == 0
    capsys.readouterr()
    code, data = run_json(capsys, "verify", bundle, spec, "--per-op")
    assert code == 0
    assert data["devices"][0]["per_op"]["wrong"] is None
    assert data["devices"][0]["per_op"]["compared"] >= 6
    code, data = run_json(capsys, "verify", bundle, spec)
    assert "per_op" not in data["devices"][0]


def test_a_mistake_is_told_from_what_follows_it(
    capsys: Capture, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two faults: the second op gets wrong operands, so the first is named."""
    break_function(monkeypatch, "tanh")
    break_function(monkeypatch, "silu")
    bundle = str(tmp_path / "net.smartmem")
    assert main(["compile", spec, "-o", bundle]) == 0
    assert main(["verify", bundle, spec]) == 3
    line = f"first wrong op: aten.silu.default at located_model.py:{SILU_LINE}"
    assert line in capsys.readouterr().out
