"""Sessions on the CPU and on Vulkan: values, kinds, checks, damage, and a clean end."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import smartmem
from smartmem.errors import UserError
from smartmem.runtime.session import Session

X = np.linspace(-1, 1, 16, dtype=np.float32).reshape(2, 8)
I64 = np.array([5, -6])
MASK = np.array([True, False])
W = np.arange(32, dtype=np.float32).reshape(8, 4) / 8
B = np.array([1, 2, 3, 4], np.float32)

BOTH = pytest.mark.parametrize(
    "device", ["cpu", pytest.param("llvmpipe", marks=pytest.mark.vulkan)]
)


@BOTH
def test_numpy(bundle_path: Path, device: str) -> None:
    session = smartmem.load(bundle_path, device)
    result = session(X, I64, m=MASK)
    np.testing.assert_allclose(result["y"], X @ W + B, rtol=1e-6)
    following, inverse = result["rest"]
    assert following.dtype == np.int64
    assert following.tolist() == [6, -5]
    assert inverse.tolist() == [False, True]
    assert session.target == device


@BOTH
def test_torch(bundle_path: Path, device: str) -> None:
    session = smartmem.load(bundle_path, device)
    x = torch.from_numpy(X).clone().requires_grad_()
    result = session(x, torch.from_numpy(I64), m=torch.from_numpy(MASK))
    assert isinstance(result["y"], torch.Tensor)
    assert result["rest"][0].dtype == torch.int64
    assert result["rest"][1].tolist() == [False, True]
    strided = session(torch.from_numpy(X.T.copy()).T, torch.from_numpy(I64), m=MASK)
    assert torch.equal(strided["y"], result["y"])


@BOTH
def test_two_runs_are_bit_identical(bundle_path: Path, device: str) -> None:
    session = smartmem.load(bundle_path, device)
    first, second = (session(X, I64, m=MASK)["y"].tobytes() for _ in range(2))
    assert first == second


def test_positional_arguments_by_name(bundle_path: Path) -> None:
    session = smartmem.load(bundle_path, "cpu")
    expected = session(X, I64, m=MASK)["y"]
    assert np.array_equal(session(X, i=I64, m=MASK)["y"], expected)
    assert np.array_equal(session(m=MASK, i=I64, x=X)["y"], expected)


def test_results_outlive_the_session_and_are_the_callers(bundle_path: Path) -> None:
    session = smartmem.load(bundle_path, "cpu")
    result = session(X, I64, m=MASK)["y"]
    expected = result.copy()
    result += 1
    assert np.array_equal(session(X, I64, m=MASK)["y"], expected)
    del session
    assert np.array_equal(result, expected + 1)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((X,), {"m": MASK}, "takes 2 positional arguments .*x: float32"),
        ((X, I64), {}, r"kwargs: expected the keys \['m'\], got \[\]"),
        ((X, I64), {"m": MASK, "k": MASK}, r"got \['m', 'k'\]"),
        ((X[:1], I64), {"m": MASK}, r"input 'x': expected shape \[2, 8\], got \[1, 8\]"),
        ((X.astype(np.float64), I64), {"m": MASK}, "'x': expected dtype float32, got float64"),
        ((X, I64 + 2**31), {"m": MASK}, r"'i': \d+ at \[0\] lies outside int32"),
        (([[1.0]], I64), {"m": MASK}, "expected a numpy array or a torch tensor, got list"),
    ],
)
def test_wrong_arguments(bundle_path: Path, args: tuple, kwargs: dict, message: str) -> None:
    session = smartmem.load(bundle_path, "cpu")
    with pytest.raises(UserError, match=message):
        session(*args, **kwargs)


def test_the_borders_own_dtype_is_taken_too(bundle_path: Path) -> None:
    result = smartmem.load(bundle_path, "cpu")(X, I64.astype(np.int32), m=MASK)
    assert result["rest"][0].tolist() == [6, -5]


def test_wrong_number_of_flat_inputs(bundle_path: Path) -> None:
    with pytest.raises(UserError, match="takes 3 tensors"):
        smartmem.load(bundle_path, "cpu").run_flat([X])


def test_threads_share_a_session(bundle_path: Path) -> None:
    session = smartmem.load(bundle_path, "cpu")
    right: list[bool] = []

    def work(scale: float) -> None:
        x = X * np.float32(scale)
        for _ in range(20):
            right.append(np.allclose(session(x, I64, m=MASK)["y"], x @ W + B, atol=1e-4))

    threads = [threading.Thread(target=work, args=(scale,)) for scale in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 80


def test_changed_code_is_refused(copied: Path) -> None:
    file = copied / "targets" / "cpu" / "model.vmfb"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(UserError, match=r"model\.vmfb: its hash differs"):
        smartmem.load(copied, "cpu")


@pytest.mark.parametrize("name", ["weights.irpa", "targets/cpu/model.vmfb"])
def test_missing_files_are_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(UserError, match=f"{name}: missing"):
        smartmem.load(copied, "cpu")


def test_truncated_weights_are_refused(copied: Path) -> None:
    file = copied / "weights.irpa"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"weights\.irpa: \d+ bytes, but \d+ were written"):
        smartmem.load(copied, "cpu")


def test_code_that_iree_refuses(tmp_path: Path, write) -> None:
    path = write(tmp_path / "a", {"cpu": b"not a module"})
    with pytest.raises(UserError, match=r"model\.vmfb: cannot be loaded on local-task"):
        smartmem.load(path, "cpu")


def test_weights_that_the_code_misses(tmp_path: Path, write, vmfbs: dict[str, bytes]) -> None:
    path = write(tmp_path / "a", {"cpu": vmfbs["cpu"]}, weights={"w": W})
    with pytest.raises(UserError, match="cannot be loaded"):
        smartmem.load(path, "cpu")


@BOTH
def test_the_interpreter_ends_cleanly(bundle_path: Path, device: str) -> None:
    """Buffers that outlive their device would crash at exit, and a session that outlives the
    interpreter would be called leaked; and torch must not be imported.
    """
    code = (
        "import ctypes, sys, numpy as np, smartmem\n"
        f"session = smartmem.load({str(bundle_path)!r}, {device!r})\n"
        "ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))\n"
        "x, i, m = np.ones((2, 8), np.float32), np.array([1, 2]), np.array([True, True])\n"
        "result = session(x, i, m=m)\n"
        "assert 'torch' not in sys.modules and 'iree.compiler' not in sys.modules\n"
        "print(result['y'].shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(2, 4)\n", "")


@BOTH
def test_under_unmodified_iree_run_module(bundle_path: Path, tmp_path: Path, device: str) -> None:
    session = smartmem.load(bundle_path, device)
    names = []
    for position, array in enumerate((X, I64.astype(np.int32), MASK)):
        np.save(tmp_path / f"{position}.npy", array)
        names.append(f"--input=@{tmp_path / f'{position}.npy'}")
    tool = Path(sys.executable).with_name("iree-run-module")
    subprocess.run(
        [
            tool,
            f"--device={session.device.uri}",
            f"--module={session.bundle.vmfb(device)}",
            f"--parameters=model={session.bundle.weights}",
            "--function=main",
            *names,
            f"--output=@{tmp_path / 'y.npy'}",
            "--output=",
            "--output=",
        ],
        check=True,
        capture_output=True,
    )
    assert np.array_equal(np.load(tmp_path / "y.npy"), session(X, I64, m=MASK)["y"])


@pytest.mark.vulkan
def test_code_for_another_kind_of_device(bundle_path: Path) -> None:
    from smartmem.runtime.module import DeviceModule

    session: Session = smartmem.load(bundle_path, "llvmpipe")
    with pytest.raises(UserError, match="cannot be loaded on local-task"):
        DeviceModule(
            "local-task",
            session.bundle.vmfb("llvmpipe"),
            session.bundle.weights,
            entry="main",
            scope="model",
        )
