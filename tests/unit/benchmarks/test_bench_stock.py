"""Stock IREE compiled to a module: it runs, it is counted, and what goes wrong is an error."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from smartmem.benchmarks.stock import compile_stock, write_stock_source
from smartmem.errors import CompileError
from smartmem.passes.iree.count import count
from smartmem.passes.target import resolve
from smartmem.runtime.archive import write_archive
from smartmem.runtime.module import DeviceModule

# Each compiles with stock IREE, torch importer included: too long for test-fast.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("stock") / "net.mlirbc"
    write_stock_source(nn.Linear(64, 32).eval(), (torch.ones(2, 64),), path)
    return path


def test_the_module_runs_and_holds_its_weights(source: Path, tmp_path: Path) -> None:
    vmfb, no_weights = tmp_path / "net.vmfb", tmp_path / "none.irpa"
    built = compile_stock(source, vmfb, resolve("cpu").device_flags)
    assert count(built.stream_ir).dispatches > 0
    assert len(built.stream_ir) < 100_000, "weight data is elided"
    assert built.seconds > 0
    write_archive(no_weights, {})
    module = DeviceModule("local-task", vmfb, no_weights, entry="main", scope="model")
    (result,) = module([np.ones((2, 64), np.float32)], [np.dtype(np.float32)])
    torch.manual_seed(0)
    expected = nn.Linear(64, 32)(torch.ones(2, 64)).detach().numpy()
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_a_failing_variant_says_why(source: Path, tmp_path: Path) -> None:
    flags = [
        *resolve("cpu").device_flags,
        "--iree-preprocessing-pass-pipeline=builtin.module(nope)",
    ]
    with pytest.raises(CompileError, match="stock IREE cannot compile this model"):
        compile_stock(source, tmp_path / "net.vmfb", flags)


def test_time_is_bounded(source: Path, tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="within 0 s"):
        compile_stock(source, tmp_path / "net.vmfb", resolve("cpu").device_flags, limit_s=0.01)
