"""Workgroups that a target avoids are in no kernel, and what is taken instead computes the same."""

from pathlib import Path

import pytest
import torch
from torch import nn

from smartmem.compiler import compile_model
from smartmem.dispatches import compare_dispatches
from smartmem.passes.iree import spirv_binary
from smartmem.passes.target import known_targets
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.devices import find
from smartmem.runtime.schedule import decode

pytestmark = [pytest.mark.vulkan, pytest.mark.native]

_EXECUTION_MODE, _LOCAL_SIZE = 16, 17


class Net(nn.Module):
    """Products and windows that IREE would give workgroups of 8x8 and 4x16; nothing that sums over
    subgroups, which the device here could not run.
    """

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(96, 16, 1)
        self.wide = nn.Conv2d(16, 96, 1)
        self.depthwise = nn.Conv2d(96, 96, 3, padding=1, groups=96)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.depthwise(self.wide(torch.relu(self.narrow(x))).relu())


def shape_of(code: bytes) -> tuple[int, ...]:
    """Threads in x, y, z of a kernel."""
    (found,) = (
        tuple(words[3:6])
        for words in spirv_binary.instructions(code)
        if spirv_binary.opcode(words) == _EXECUTION_MODE and words[2] == _LOCAL_SIZE
    )
    return found


@pytest.mark.slow
@pytest.mark.parametrize("target", ["adreno", "generic"])
def test_avoided_workgroups_are_reshaped(target: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    out = tmp_path / "net.smartmem"
    made = compile_model(
        Net().eval(), (torch.randn(1, 96, 16, 16),), targets=(target, "mali"), out=out
    )
    avoided = known_targets()[target].avoided_workgroups
    bundle = Bundle.open(out)
    kernels = {file.name: file.read_bytes() for file in bundle.kernels(target).iterdir()}
    assert not {shape_of(code) for code in kernels.values()} & set(avoided)
    rows = made.reports[target]["reshaped_workgroups"]
    assert rows and all("which the target avoids: now" in row["detail"] for row in rows)
    assert made.reports["mali"]["reshaped_workgroups"] == []
    compared, unchecked = compare_dispatches(
        bundle.dispatches(target),
        decode(bundle.schedule(target).read_bytes()),
        kernels,
        find("llvmpipe").uri,
    )
    assert compared and unchecked == ()
    assert all(row.ok for row in compared)
