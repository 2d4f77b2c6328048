"""Device modules: every dtype and rank crosses the border unchanged, on the CPU and on Vulkan."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def _double(tmp_path: Path) -> DeviceModule:
    source, vmfb, weights = (tmp_path / name for name in ("m.mlir", "m.vmfb", "w.irpa"))
    source.write_text(
        "func.func @main(%a: tensor<3xf32>) -> tensor<3xf32> {\n"
        "  %0 = arith.addf %a, %a : tensor<3xf32>\n  return %0 : tensor<3xf32>\n}",
        encoding="utf-8",
    )
    tool = Path(sys.executable).with_name("iree-compile")
    flags = ("--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu")
    subprocess.run([tool, source, *flags, "-o", vmfb], check=True, capture_output=True)
    write_archive(weights, {})
    return DeviceModule("local-task", vmfb, weights, entry="main", scope="model")


class _Losing:
    """Stands before one of IREE's functions: its first calls lose the device."""

    def __init__(self, function: Callable[..., Any], times: int) -> None:
        self._function = function
        self.times_left = times

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.times_left:
            self.times_left -= 1
            raise RuntimeError("DATA_LOSS; [vkSignalSemaphore] VK_ERROR_DEVICE_LOST")
        return self._function(*args, **kwargs)


@pytest.mark.parametrize("when", ["loading", "calling"])
def test_a_lost_device_is_opened_anew_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(module, "_devices", {})
    loaded = _double(tmp_path)
    first = module._devices["local-task"]
    name = {"loading": "create_io_parameters_module", "calling": "VmVariantList"}[when]
    losing = _Losing(getattr(module.iree, name), times=1)
    monkeypatch.setattr(module.iree, name, losing)
    again = _double(tmp_path) if when == "loading" else loaded
    array = np.arange(3, dtype=np.float32)
    np.testing.assert_array_equal(again([array], [array.dtype])[0], array * 2)
    assert module._devices["local-task"] is not first
    losing.times_left = 2
    with pytest.raises(DeviceError, match="was lost"):
        _ = _double(tmp_path) if when == "loading" else loaded([array], [array.dtype])
    assert not losing.times_left and module._devices == {}
