"""A small bundle for the runtime's tests, from hand-written MLIR and without our compiler.

main(x: f32[2,8], i: i64[2], m: bool[2]) -> {"y": x @ w + b, "rest": (i + 1, not m)}, for the CPU
and for software Vulkan.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from smartmem.runtime.bundle_writer import BundleWriter
from smartmem.runtime.manifest import TensorSpec

MODULE = """
util.global private @w = #flow.parameter.named<"model"::"w"> : tensor<8x4xf32>
util.global private @b = #flow.parameter.named<"model"::"b"> : tensor<4xf32>
func.func @main(%x: tensor<2x8xf32>, %i: tensor<2xi32>, %m: tensor<2xi1>)
    -> (tensor<2x4xf32>, tensor<2xi32>, tensor<2xi1>) {
  %w = util.global.load @w : tensor<8x4xf32>
  %b = util.global.load @b : tensor<4xf32>
  %empty = tensor.empty() : tensor<2x4xf32>
  %bias = linalg.broadcast ins(%b : tensor<4xf32>) outs(%empty : tensor<2x4xf32>) dimensions = [0]
  %y = linalg.matmul ins(%x, %w : tensor<2x8xf32>, tensor<8x4xf32>)
      outs(%bias : tensor<2x4xf32>) -> tensor<2x4xf32>
  %one = arith.constant dense<1> : tensor<2xi32>
  %next = arith.addi %i, %one : tensor<2xi32>
  %true = arith.constant dense<true> : tensor<2xi1>
  %not = arith.xori %m, %true : tensor<2xi1>
  return %y, %next, %not : tensor<2x4xf32>, tensor<2xi32>, tensor<2xi1>
}
"""

FLAGS = {
    "cpu": [
        "--iree-hal-target-device=local",
        "--iree-hal-local-target-device-backends=llvm-cpu",
        "--iree-llvmcpu-target-cpu=host",
    ],
    "llvmpipe": ["--iree-hal-target-device=vulkan", "--iree-vulkan-target=llvmpipe"],
}

WEIGHTS = {
    "w": np.arange(32, dtype=np.float32).reshape(8, 4) / 8,
    "b": np.array([1, 2, 3, 4], np.float32),
}

_LEAVES = [{"kind": "tensor", "index": index} for index in range(3)]
SIGNATURE = {
    "inputs": [
        TensorSpec("x", (2, 8), "float32", "float32"),
        TensorSpec("i", (2,), "int32", "int64"),
        TensorSpec("m", (2,), "bool", "bool"),
    ],
    "outputs": [
        TensorSpec("y", (2, 4), "float32", "float32"),
        TensorSpec("next", (2,), "int32", "int64"),
        TensorSpec("not", (2,), "bool", "bool"),
    ],
    "input_tree": {
        "kind": "tuple",
        "items": [
            {"kind": "tuple", "items": _LEAVES[:2]},
            {"kind": "dict", "keys": ["m"], "items": _LEAVES[2:]},
        ],
    },
    "output_tree": {
        "kind": "dict",
        "keys": ["y", "rest"],
        "items": [_LEAVES[0], {"kind": "tuple", "items": _LEAVES[1:]}],
    },
    "versions": {"smartmem": "test"},
    "source": {},
}

REPORT = {"dispatches": 2, "total_bytes": 96}


def write_bundle(
    path: Path, vmfbs: dict[str, bytes], weights: dict[str, np.ndarray] | None = None
) -> Path:
    """Writes a bundle with the signature above and the given targets."""
    with BundleWriter(path) as writer:
        writer.write_weights(WEIGHTS if weights is None else weights)
        for name, vmfb in vmfbs.items():
            kind = "cpu" if name == "cpu" else "vulkan"
            iree_target = "host" if name == "cpu" else name
            writer.add_target(
                name, kind=kind, iree_target=iree_target, vmfb=vmfb, plan={}, report=REPORT
            )
        writer.finish(**SIGNATURE)
    return path


@pytest.fixture(scope="session")
def vmfbs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The module compiled for each target."""
    folder = tmp_path_factory.mktemp("vmfbs")
    source = folder / "module.mlir"
    source.write_text(MODULE, encoding="utf-8")
    compiled: dict[str, bytes] = {}
    for name, flags in FLAGS.items():
        out = folder / f"{name}.vmfb"
        tool = Path(sys.executable).with_name("iree-compile")
        subprocess.run([tool, source, *flags, "-o", out], check=True)
        compiled[name] = out.read_bytes()
    return compiled


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory, vmfbs: dict[str, bytes]) -> Path:
    """A bundle for both targets; not to be changed."""
    return write_bundle(tmp_path_factory.mktemp("bundle") / "net.smartmem", vmfbs)


@pytest.fixture
def copied(bundle_path: Path, tmp_path: Path) -> Path:
    """A copy of the bundle to damage."""
    return Path(shutil.copytree(bundle_path, tmp_path / "net.smartmem"))


@pytest.fixture
def write(vmfbs: dict[str, bytes]) -> Callable[..., Path]:
    return write_bundle
