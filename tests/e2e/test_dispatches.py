"""The gate that compares each dispatch with the CPU: it passes what is right, and catches the known
miscompiles of IREE where our guards are off.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from iree_faults import FAULTS, RIGHT
from torch import nn

from smartmem.benchmarks.models import suite
from smartmem.cli.main import main
from smartmem.compiler import compile_model
from smartmem.dispatches import DispatchComparison, compare_dispatches, verify_dispatches
from smartmem.passes.iree.cache import Cache
from smartmem.passes.iree.driver import compile_executables, compile_stream
from smartmem.passes.target import resolve
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.devices import find
from smartmem.runtime.schedule import decode

pytestmark = [pytest.mark.vulkan, pytest.mark.native]


def _compare(text: str, target_name: str, tmp_path: Path) -> tuple[DispatchComparison, ...]:
    """The dispatches of a module that no pass and no guard of ours has seen."""
    target, cache = resolve(target_name), Cache(tmp_path / "cache")
    stream_ir = compile_stream(text, target, cache)
    module = compile_executables(stream_ir, target, cache, {})
    assert module.schedule is not None, module.unschedulable
    rows, unchecked = compare_dispatches(
        stream_ir,
        decode(module.schedule),
        module.spirv,
        find("llvmpipe").uri,
        cache=cache,
    )
    assert unchecked == ()
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_known_miscompile_is_caught(name: str, tmp_path: Path) -> None:
    rows = _compare(FAULTS[name].text, FAULTS[name].target, tmp_path)
    assert [row.ok for row in rows].count(False) == 1
    assert max(row.relative_l2 for row in rows) > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_its_repaired_form_passes(name: str, tmp_path: Path) -> None:
    rows = _compare(RIGHT[name].text, RIGHT[name].target, tmp_path)
    assert len(rows) > 0
    assert all(row.ok for row in rows)


class Depthwise(nn.Module):
    """A channel count that is no multiple of a GPU's subgroup, through the ops that were built
    wrong.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, channels, 4, stride=4)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.linear = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.depthwise(self.patches(x))).flatten(2).transpose(1, 2)
        return self.linear(self.norm(x)).softmax(1).amax(2)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [24, 40, 144])
def test_channels_off_the_subgroup_size(channels: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = compile_model(
        Depthwise(channels).eval(),
        (torch.randn(1, 3, 24, 28),),
        targets=("llvmpipe",),
        out=tmp_path / "net.smartmem",
    )
    report = verify_dispatches(Bundle.open(made.path), device="llvmpipe")
    report.raise_on_mismatch()
    assert len(report.dispatches) >= 4
    assert report.unchecked == ()
    assert all(row.location and "test_dispatches.py" in row.location for row in report.dispatches)


@pytest.mark.suite
@pytest.mark.parametrize("name", ["mobilenet-v2/tiny", "swin-tiny/tiny", "minilm/tiny"])
def test_every_dispatch_of_a_model(name: str, tmp_path: Path) -> None:
    out = tmp_path / "net.smartmem"
    compile_model(*suite.build(name), targets=("llvmpipe",), out=out)
    report = verify_dispatches(Bundle.open(out), device="llvmpipe")
    report.raise_on_mismatch()
    assert report.unchecked == ()


@pytest.mark.slow
def test_positions_and_roots_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Positions stay inside tables, and logarithms are compared where they are finite; a kernel
    that is exchanged for another is found.
    """

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(5, 24)

        def forward(self, at: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return (self.table(at) + torch.log(x)) @ torch.sqrt(x).T

    path = tmp_path / "net.smartmem"
    example = (torch.tensor([0, 4, 2, 1]), torch.rand(4, 24) + 1)
    compile_model(Net().eval(), example, targets=("llvmpipe",), out=path)
    assert main(["verify", "--per-dispatch", str(path), "--device", "llvmpipe", "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)["devices"]
    assert report["unchecked"] == []
    assert all(row["relative_l2"] < 1e-5 for row in report["dispatches"])

    wrong = tmp_path / "wrong.smartmem"
    shutil.copytree(path, wrong)
    text = Bundle.open(path).dispatches("llvmpipe")
    assert "arith.addf" in text
    _replace_dispatches(wrong, text.replace("arith.addf", "arith.subf"))
    assert main(["verify", "--per-dispatch", str(wrong), "--device", "llvmpipe"]) == 3
    said = capsys.readouterr().out
    assert "MISMATCH" in said
    assert "test_dispatches.py" in said


def _replace_dispatches(bundle: Path, text: str) -> None:
    """Writes other linalg than the kernels were made from, hash and all."""
    import hashlib
    import lzma

    content = lzma.compress(text.encode())
    (bundle / "targets" / "llvmpipe" / "dispatches.mlir.xz").write_bytes(content)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["targets"]["llvmpipe"]["dispatches_sha256"] = hashlib.sha256(content).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def test_what_cannot_be_compared_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.smartmem"
    compile_model(nn.Linear(4, 4).eval(), (torch.randn(2, 4),), targets=("cpu",), out=path)
    assert main(["verify", "--per-dispatch", str(path), "--device", "cpu"]) == 1
    assert "which kernels are compared with" in capsys.readouterr().err
    assert main(["verify", "--per-dispatch", str(path), "suite:x"]) == 1
    assert "Leave SPEC" in capsys.readouterr().err
