"""Device modules: every dtype and rank crosses the border unchanged, on the CPU and on Vulkan."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from smartmem.errors import DeviceError, UserError
from smartmem.runtime import module
from smartmem.runtime.archive import write_archive
from smartmem.runtime.module import DeviceModule
from smartmem.runtime.session import as_numpy, as_torch

MODULE = """
func.func @main(%a: tensor<3xbf16>, %b: tensor<2x3xf16>, %c: tensor<f32>, %d: tensor<2xi8>)
    -> (tensor<3xbf16>, tensor<2x3xf16>, tensor<f32>, tensor<2xi8>) {
  %0 = arith.addf %a, %a : tensor<3xbf16>
  %1 = arith.addf %b, %b : tensor<2x3xf16>
  %2 = arith.addf %c, %c : tensor<f32>
  %3 = arith.addi %d, %d : tensor<2xi8>
  return %0, %1, %2, %3 : tensor<3xbf16>, tensor<2x3xf16>, tensor<f32>, tensor<2xi8>
}
"""

INPUTS = (
    torch.tensor([1.5, -2, 3], dtype=torch.bfloat16),
    torch.arange(6, dtype=torch.float16).reshape(3, 2).T,
    torch.tensor(3.0),
    torch.tensor([1, -2], dtype=torch.int8),
)


@pytest.mark.parametrize(
    ("uri", "flags"),
    [
        (
            "local-task",
            ["--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu"],
        ),
        pytest.param(
            "vulkan",
            ["--iree-hal-target-device=vulkan", "--iree-vulkan-target=llvmpipe"],
            marks=pytest.mark.vulkan,
        ),
    ],
)
def test_dtypes_and_ranks(tmp_path: Path, uri: str, flags: list[str]) -> None:
    source, vmfb, weights = (tmp_path / name for name in ("m.mlir", "m.vmfb", "w.irpa"))
    source.write_text(MODULE, encoding="utf-8")
    tool = Path(sys.executable).with_name("iree-compile")
    subprocess.run([tool, source, *flags, "-o", vmfb], check=True, capture_output=True)
    write_archive(weights, {})
    module = DeviceModule(uri, vmfb, weights, entry="main", scope="model")
    arrays = [as_numpy(tensor) for tensor in INPUTS]
    results = module(arrays, [array.dtype for array in arrays])
    for tensor, result in zip(INPUTS, results, strict=True):
        back = as_torch(torch, result)
        assert back.dtype == tensor.dtype
        assert torch.equal(back, tensor + tensor)
        assert result.flags.writeable
    with pytest.raises(UserError, match="disagree on the arguments"):
        module([np.zeros(7, np.float32)] * 4, [array.dtype for array in arrays])


def test_unknown_devices(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot open the device vulkan://GPU-none"):
        DeviceModule("vulkan://GPU-none", tmp_path, tmp_path, entry="main", scope="model")


def test_a_lost_device_is_opened_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a driver gave up fails once; the next session has another device."""

    def lost(*_: object) -> None:
        raise RuntimeError("DATA_LOSS; [vkWaitSemaphores] VK_ERROR_DEVICE_LOST")

    weights = tmp_path / "weights.irpa"
    write_archive(weights, {})
    monkeypatch.setattr(module, "_devices", {})
    monkeypatch.setattr(module.iree, "create_io_parameters_module", lost)
    with pytest.raises(DeviceError, match="was lost"):
        DeviceModule("local-task", tmp_path / "x.vmfb", weights, entry="main", scope="model")
    assert module._devices == {}
