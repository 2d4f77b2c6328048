"""A compiled model deployed to a fake device: by our program and by IREE's, beside eager."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from unit.deploy.fake_phone import FakePhones

from smartmem.cli.main import main
from smartmem.compiler import compile_model
from smartmem.passes.iree.cache import Cache
from smartmem.runtime import native_api

pytestmark = [pytest.mark.adb, pytest.mark.native, pytest.mark.vulkan]

SPEC = """
import torch
from e2e.test_deploy import Net

def make():
    torch.manual_seed(0)
    return Net().eval(), (torch.tensor([[1, 2, 3]]), torch.tensor([[True, False, True]]))
"""


class Net(nn.Module):
    """Integers and masks in, a sum over a subgroup, floats and integers out."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(8, 64)

    def forward(self, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        found = self.table(words) * mask.unsqueeze(-1)
        return found.softmax(-1), found.argmax(-1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    inputs = (torch.tensor([[1, 2, 3]]), torch.tensor([[True, False, True]]))
    path = tmp_path_factory.mktemp("deploy") / "net.smartmem"
    made = compile_model(
        Net().eval(), inputs, targets=("cpu", "llvmpipe"), out=path, cache=Cache(None)
    )
    return made.path


def iree_programs() -> Path:
    """IREE's programs for this machine, which plays the device."""
    from iree import _runtime_libs

    return Path(_runtime_libs.__path__[0])


@pytest.mark.parametrize("contender", ["smartmem", "iree runtime"])
def test_a_model_on_a_device(
    contender: str,
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    phones = FakePhones(tmp_path / "phone")
    monkeypatch.setenv("ADB_SERVER_SOCKET", phones.address)
    words = ["deploy", str(bundle), "--runs", "3", "--json"]
    if contender == "smartmem":
        # With what the bundle itself computes on the CPU.
        words += ["--program", str(native_api.LIBRARY.with_name("smartmem-run"))]
    else:
        (tmp_path / "net_to_deploy.py").write_text(SPEC, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        words += ["--iree", str(iree_programs()), "--source", "net_to_deploy:make"]
    code = main(words)
    phones.close()
    found = json.loads(capsys.readouterr().out)
    assert code == 0, found
    row = found["rows"][0]
    assert (row["contender"], row["status"], row["variant"]) == (contender, "ok", "llvmpipe")
    assert row["relative_l2"] < 1e-5 and row["warm_ms"]["runs"] == 3
    # Two cases, of two outputs each.
    assert [output["ok"] for output in found["deploy"]["outputs"]] == [True] * 4
    assert found["deploy"]["outputs"][2]["dtype"] == "int32"
