"""What is wrong is told in one message, with the right exit code, and nothing half-written.

Saved programs that are damaged or hostile: ``tests/unit/frontend/test_archive.py``.
"""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smartmem.cli.main import main
from smartmem.errors import UserError
from smartmem.runtime import bundle_writer
from smartmem.runtime.session import load

Capture = pytest.CaptureFixture[str]

MODELS = """import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 4)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x, scale):
        return self.fc(x) * scale

class Branch(Net):
    def forward(self, x, scale):
        if x.sum() > 0:
            return x
        return -x

class WritesInput(Net):
    def forward(self, x, scale):
        x.mul_(2)
        return x + scale

class WritesBuffer(Net):
    def forward(self, x, scale):
        self.calls.add_(1)
        return x + self.calls

class Nonzero(Net):
    def forward(self, x, scale):
        return torch.nonzero(x) + 1

class Inverts(Net):
    def forward(self, x, scale):
        return torch.linalg.inv(x[:, :2])

class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(8 + i, 9 + i, 3, padding=1) for i in range(40)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)

INPUTS = (torch.randn(2, 8), torch.tensor(2.0))

def net():
    torch.manual_seed(0)
    return Net().eval(), INPUTS

def branch():
    return Branch().eval(), INPUTS

def writes_input():
    return WritesInput().eval(), INPUTS

def writes_buffer():
    return WritesBuffer().eval(), INPUTS

def nonzero():
    return Nonzero().eval(), INPUTS

def inverts():
    return Inverts().eval(), INPUTS

def training():
    return nn.Sequential(nn.Linear(8, 4), nn.Dropout()), INPUTS[:1]

def slow():
    return Slow().eval(), (torch.randn(1, 8, 16, 16),)

def misfit():
    return Net().eval(), (torch.randn(2, 9), torch.tensor(2.0))

def raises():
    raise RuntimeError("no such file as weights.bin")

def leaves():
    raise SystemExit(0)

def number():
    return 3

constant = 3
"""


def line_of(text: str) -> int:
    return 1 + MODELS.splitlines().index(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the modules of the models lie."""
    path = tmp_path_factory.mktemp("bad")
    (path / "bad_models.py").write_text(MODELS, encoding="utf-8")
    (path / "bad_syntax.py").write_text("def f(:\n", encoding="utf-8")
    (path / "bad_import.py").write_text("import not_there_at_all\n", encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _importable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)


@pytest.fixture(scope="module")
def compiled(folder: Path) -> Path:
    """The model `net`, compiled for the CPU."""
    sys.path.insert(0, str(folder))
    out = folder / "net.smartmem"
    assert main(["compile", "bad_models:net", "-o", str(out)]) == 0
    sys.path.remove(str(folder))
    return out


def fails(capsys: Capture, code: int, *arguments: object) -> str:
    """Runs the command, which must fail with this code and one message; the message."""
    assert main([str(argument) for argument in arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert "internal error" not in captured.err
    _, found, message = captured.err.rpartition("error: ")
    assert found
    return message


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("bad_models:raises", "'bad_models:raises' raised RuntimeError: no such file as weights"),
        ("bad_models:leaves", "'bad_models:leaves' raised SystemExit: 0"),
        ("bad_models:number", "must return (model, example_inputs) or"),
        ("bad_models:constant", "is of type int, not a function"),
        ("bad_models:nett", "module 'bad_models' has no 'nett'. Did you mean 'net'?"),
        ("bad_syntax:f", "importing 'bad_syntax' raised SyntaxError: invalid syntax"),
        ("bad_import:f", "raised ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("not_there:f", "no module 'not_there' in the working folder or installed"),
        ("net", "'net' names no model"),
        ("gone.pt2", "gone.pt2: no such file"),
        ("suite:mobilenet", "the suite has no model 'mobilenet'"),
        ("bad_models:training", "is in training mode"),
        ("bad_models:misfit", "could not trace Net at bad_models.py:"),
    ],
)
def test_models_that_cannot_be_had(
    capsys: Capture, tmp_path: Path, spec: str, message: str
) -> None:
    out = tmp_path / "out.smartmem"
    assert message in fails(capsys, 1, "compile", spec, "-o", out)
    assert not list(tmp_path.iterdir())


def test_where_the_users_code_raised(capsys: Capture) -> None:
    line = line_of('    raise RuntimeError("no such file as weights.bin")')
    assert f"bad_models.py:{line}" in fails(capsys, 1, "check", "bad_models:raises")


def test_damaged_saved_programs(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "text.pt2").write_text("hello", encoding="utf-8")
    (tmp_path / "folder.pt2").mkdir()
    assert "cannot be read as a program" in fails(capsys, 1, "check", tmp_path / "text.pt2")
    assert "is a folder" in fails(capsys, 1, "check", tmp_path / "folder.pt2")


@pytest.mark.parametrize(
    ("name", "code", "message", "line"),
    [
        ("branch", 2, "control flow depends on the values of a tensor", "        if x.sum() > 0:"),
        ("nonzero", 2, "nonzero", "        return torch.nonzero(x) + 1"),
        (
            "inverts",
            2,
            "aten._linalg_check_errors.default",
            "        return torch.linalg.inv(x[:, :2])",
        ),
        ("writes_input", 2, "it writes to the input 'x'", "        x.mul_(2)"),
        ("writes_buffer", 2, "it writes to the buffer 'calls'", "        self.calls.add_(1)"),
    ],
)
def test_models_that_are_no_fixed_functions(
    capsys: Capture, tmp_path: Path, name: str, code: int, message: str, line: str | None
) -> None:
    out = tmp_path / "out.smartmem"
    text = fails(capsys, code, "compile", f"bad_models:{name}", "-o", out)
    assert message in text
    assert line is None or f"bad_models.py:{line_of(line)}" in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("vulcan", "unknown target 'vulcan'. Did you mean 'vulkan'?"),
        ("a b", "unknown target 'a b'."),
        ("amper", "unknown target 'amper'. Did you mean 'ampere'?"),
        ("CPU", "unknown target 'CPU'. Did you mean 'cpu'?"),
    ],
)
def test_unknown_targets_are_told_before_the_work(
    capsys: Capture, target: str, message: str
) -> None:
    text = fails(capsys, 1, "compile", "bad_models:raises", "--target", target)
    assert message in text
    assert "Known: vulkan" in text


def test_no_vulkan_device(capsys: Capture, compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smartmem.runtime.devices.vulkan_devices", list)
    hint = "no Vulkan device on this machine\nInstall a Vulkan driver"
    assert hint in fails(capsys, 4, "compile", "bad_models:net", "--target", "vulkan")
    assert hint in fails(capsys, 4, "run", compiled, "--device", "vulkan")
    assert hint in fails(capsys, 4, "verify", compiled, "bad_models:net", "--device", "vulkan")


# Bundles.


def truncate(name: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        (path / name).write_bytes((path / name).read_bytes()[:64])

    return change


def remove(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).unlink()


def manifest(**fields: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        file = path / "manifest.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | fields), encoding="utf-8")

    return change


def first_input(**fields: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        inputs = json.loads((path / "manifest.json").read_text())["inputs"]
        manifest(inputs=[inputs[0] | fields, *inputs[1:]])(path)

    return change


def one_output_more(path: Path) -> None:
    outputs = json.loads((path / "manifest.json").read_text())["outputs"]
    manifest(outputs=[*outputs, outputs[0]])(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (one_output_more, "gives 1 results, its manifest names 2"),
        (truncate("targets/cpu/model.vmfb"), "model.vmfb: its hash differs"),
        (truncate("weights.irpa"), "weights.irpa: 64 bytes, but"),
        (truncate("manifest.json"), "manifest.json: cannot be read"),
        (remove("targets/cpu/model.vmfb"), "model.vmfb: missing"),
        (remove("weights.irpa"), "weights.irpa: missing"),
        (remove("manifest.json"), "it has no manifest.json"),
        (manifest(entry=7), "damaged manifest"),
        (manifest(targets={}), "damaged manifest (no targets)"),
        (manifest(format_version=99), "format version 99"),
        (first_input(dtype="float99"), "damaged manifest"),
        (first_input(dtype="object"), "damaged manifest"),
        (first_input(dtype="float64"), "damaged manifest"),
        (first_input(shape=["x"]), "damaged manifest"),
        (first_input(shape=[2, 9]), "its manifest and its module disagree"),
        (first_input(shape=[16]), "its manifest and its module disagree"),
        (first_input(dtype="int32", source_dtype="int32"), "its manifest and its module disagree"),
    ],
)
def test_damaged_bundles(
    capsys: Capture, compiled: Path, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "copy.smartmem"
    shutil.copytree(compiled, path)
    change(path)
    assert message in fails(capsys, 1, "run", path, "--device", "cpu")


def test_foreign_bundles(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello", encoding="utf-8")
    assert "no such compiled model" in fails(capsys, 1, "run", tmp_path / "gone")
    assert "not a compiled model" in fails(capsys, 1, "stats", tmp_path)
    assert "not a compiled model" in fails(capsys, 1, "stats", tmp_path / "a.txt")


# Inputs of a session.

X, SCALE = torch.randn(2, 8), torch.tensor(2.0)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((X,), "takes 2 positional arguments"),
        ((X, SCALE, SCALE), "takes 2 positional arguments"),
        ((X[:1], SCALE), "input 'x': expected shape [2, 8], got [1, 8]"),
        ((X[:0], SCALE), "input 'x': expected shape [2, 8], got [0, 8]"),
        ((X, SCALE.reshape(1)), "input 'scale': expected shape [], got [1]"),
        ((X.double(), SCALE), "input 'x': expected dtype float32, got float64"),
        ((X.to("meta"), SCALE), "input 'x': a torch.strided tensor on 'meta'"),
        ((X.to_sparse(), SCALE), "input 'x': a torch.sparse_coo tensor"),
        (([1.0], SCALE), "input 'x': expected a numpy array or a torch tensor, got list"),
        ((None, SCALE), "input 'x': expected a numpy array or a torch tensor, got NoneType"),
    ],
)
def test_wrong_inputs(compiled: Path, inputs: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        load(compiled, device="cpu")(*inputs)


def test_inputs_that_look_odd_and_are_right(compiled: Path) -> None:
    """Strided, with a gradient, and values that are not finite: these pass through."""
    session = load(compiled, device="cpu")
    expected = session(X, SCALE)
    strided = torch.randn(8, 4)[:, ::2].t().copy_(X)
    assert not strided.is_contiguous()
    assert torch.equal(session(strided, SCALE), expected)
    assert torch.equal(session(X.clone().requires_grad_(), SCALE), expected)
    assert np.array_equal(session(np.asfortranarray(X.numpy()), SCALE.numpy()), expected.numpy())
    odd = X.clone()
    odd[0, 0], odd[1, 0] = float("nan"), float("inf")
    result = session(odd, SCALE)
    assert result[0].isnan().all()
    assert result[1].isinf().all()


def test_files_that_are_no_inputs(capsys: Capture, compiled: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "several.npz", a=np.zeros(3))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    scale = tmp_path / "scale.npy"
    np.save(scale, np.float32(2))
    for name, message in (
        ("several.npz", "an archive of arrays"),
        ("objects.npy", "cannot be read as .npy"),
        ("gone.npy", "cannot be read as .npy"),
    ):
        text = fails(capsys, 1, "run", compiled, "--input", tmp_path / name, "--input", scale)
        assert message in text


# Disks.


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_old_bundle(
    capsys: Capture, compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.smartmem"
    shutil.copytree(compiled, path)
    before = sorted(str(file) for file in tmp_path.rglob("*"))
    monkeypatch.setattr(bundle_writer, "write_archive", full)
    text = fails(capsys, 1, "compile", "bad_models:net", "-o", path)
    assert f"cannot write {path}: No space left on device" in text
    assert "free some space" in text
    assert sorted(str(file) for file in tmp_path.rglob("*")) == before


def test_a_full_disk_for_outputs(
    capsys: Capture, compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np, "save", full)
    text = fails(capsys, 1, "run", compiled, "--device", "cpu", "--output-dir", tmp_path)
    assert "No space left on device" in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        # Told before the work: this model would raise.
        ("bad_models:raises", "/dev/null/net.smartmem"),
        # Allowed by its permissions, refused when it is tried.
        ("bad_models:net", "/proc/net.smartmem"),
    ],
)
def test_places_where_nothing_can_be_written(capsys: Capture, spec: str, place: str) -> None:
    assert f"cannot write {place}" in fails(capsys, 1, "compile", spec, "-o", place)


def test_a_file_in_the_way(capsys: Capture, compiled: Path, tmp_path: Path) -> None:
    file = tmp_path / "thesis.txt"
    file.write_text("years of work", encoding="utf-8")
    assert "will not be replaced" in fails(capsys, 1, "compile", "bad_models:raises", "-o", file)
    assert "is not a folder" in fails(capsys, 1, "run", compiled, "--output-dir", file)
    assert file.read_text(encoding="utf-8") == "years of work"


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMARTMEM_CACHE", "/dev/null/cache")
    assert main(["compile", "bad_models:net", "-o", str(tmp_path / "net.smartmem")]) == 0


def test_a_full_cache_is_left_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from smartmem.passes.iree.cache import Cache

    monkeypatch.setattr(Path, "replace", full)
    Cache(tmp_path).put("key", b"value", [])
    assert not list(tmp_path.iterdir())


def test_a_temporary_folder_that_is_gone(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMARTMEM_CACHE", "off")
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    text = fails(capsys, 1, "compile", "bad_models:net", "-o", tmp_path / "net.smartmem")
    assert "/proc/nowhere" in text
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_standard_output(options: list[str]) -> None:
    with open("/dev/full", "w", encoding="utf-8") as stdout:
        command = [Path(sys.executable).with_name("smartmem"), "devices", *options]
        result = subprocess.run(
            command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 1
    assert "error: No space left on device" in result.stderr
    assert "Traceback" not in result.stderr


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    return [int(word) for word in listed.split()]


def is_running(pid: int) -> bool:
    """Not so for one that has ended and waits for its parent to ask."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for the child in /proc")
def test_ctrl_c_stops_the_compiler_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    process = subprocess.Popen(
        [
            Path(sys.executable).with_name("smartmem"),
            *("compile", "bad_models:slow", "-o", tmp_path / "out" / "slow.smartmem"),
        ],
        cwd=folder,
        env=os.environ | {"SMARTMEM_CACHE": "off", "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores Ctrl-C, and hands that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    compiler: list[int] = []
    deadline = time.monotonic() + 240
    while not compiler and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
        compiler = [
            pid
            for pid in children(process.pid)
            if "iree-compile" in Path(f"/proc/{pid}/cmdline").read_text()
        ]
    assert compiler
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.rstrip().endswith("interrupted")
    assert "Traceback" not in err
    assert not any(is_running(pid) for pid in compiler)
    assert not [path for path in scratch.iterdir() if not path.name.startswith("torch")]
    assert not (tmp_path / "out").exists()
