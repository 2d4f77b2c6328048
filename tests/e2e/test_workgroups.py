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
    shapes = {shape for code in kernels.values() for shape in spirv_binary.workgroups(code)}
    assert shapes and not shapes & set(avoided)
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
