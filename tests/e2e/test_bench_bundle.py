"""A bundle runs where there is neither torch nor smartmem nor a compiler."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from smartmem.cli.main import main

# What requirements.txt of a bundle brings, as folders of this environment.
WHEELS = ("numpy", "numpy.libs", "ml_dtypes", "iree/runtime", "iree/_runtime", "iree/_runtime_libs")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One transformer and one network with batch norms, for the CPU and software Vulkan."""
    folder = tmp_path_factory.mktemp("bundle") / "there"
    targets = ["--target", "cpu", "--target", "llvmpipe"]
    names = ["vit-tiny", "mobilenet-v2"]
    assert main(["bench", *names, "--size", "tiny", "--bundle", str(folder), *targets]) == 0
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the wheels that the bundle lists, and nothing else."""
    home = tmp_path_factory.mktemp("python")
    venv.create(home, with_pip=False, symlinks=True)
    (site,) = home.glob("lib/python*/site-packages")
    here = Path(np.__file__).parents[1]
    for name in WHEELS:
        if (here / name).exists():
            (site / name).parent.mkdir(exist_ok=True)
            (site / name).symlink_to(here / name)
    for metadata in here.glob("*.dist-info"):
        if metadata.name.startswith(("numpy-", "ml_dtypes-", "iree_base_runtime-")):
            (site / metadata.name).symlink_to(metadata)
    interpreter = home / "bin" / "python"
    code = "import importlib.util as u; print([n for n in ('torch', 'smartmem') if u.find_spec(n)])"
    command = [interpreter, "-P", "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    return interpreter


def run(python: Path, bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [python, "-P", bundle / "run.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=bundle.parent)


@pytest.mark.parametrize("device", ["cpu", pytest.param("llvmpipe", marks=pytest.mark.vulkan)])
def test_it_runs_and_agrees_with_eager(bundle: Path, python: Path, device: str) -> None:
    out = bundle.parent / f"{device}.json"
    done = run(python, bundle, "--device", device, "--runs", "3", "--out", str(out))
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text())
    rows = {(row["model"], row["contender"]): row for row in document["rows"]}
    assert len(rows) == 4, "each model in two processes"
    for row in rows.values():
        assert row["status"] == "ok", row["reason"]
        assert 0 < row["relative_l2"] <= 1e-4
        assert row["counts"]["dispatches"] > 0
        assert row["warm_ms"]["runs"] == 3
    assert {"smartmem", "torch", "iree-base-runtime"} <= set(document["versions"])
    assert "ncnn" not in document["versions"], "what is not on that machine"
    assert not list(bundle.rglob("torch"))


def test_others_get_the_same_weights(bundle: Path, python: Path) -> None:
    """Where there is PyTorch it computes from the bundle; where there is none, its row says so."""
    names = ["vit-tiny", "--device", "cpu", "--runs", "3", "--against", "eager", "--jobs", "2"]
    for interpreter, status in ((Path(sys.executable), "ok"), (python, "not installed")):
        out = bundle.parent / f"{status}.json"
        done = run(interpreter, bundle, *names, "--out", str(out))
        assert done.returncode == 0, done.stderr
        rows = {row["contender"]: row for row in json.loads(out.read_text())["rows"]}
        assert rows["smartmem"]["status"] == "ok"
        assert rows["eager"]["status"] == status, rows["eager"]["reason"]
        assert status != "ok" or rows["eager"]["relative_l2"] < 1e-6


def test_its_size_and_contents(bundle: Path) -> None:
    index = json.loads((bundle / "bundle.json").read_text())
    assert [row["model"] for row in index["models"]] == ["vit-tiny", "mobilenet-v2"]
    total = sum(file.stat().st_size for file in bundle.rglob("*") if file.name != "weights.irpa")
    assert total < 10e6
    assert (bundle / "requirements.txt").read_text().count("==") == 3


def test_messages(bundle: Path, python: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = run(python, bundle, "vit-tinny", "--device", "cpu", "--out", "x.json")
    assert unknown.returncode == 1
    assert "Did you mean 'vit-tiny'?" in unknown.stderr
    lost = run(python, bundle, "--device", "cpv", "--out", "x.json")
    assert lost.returncode == 4
    assert "Did you mean 'cpu'?" in lost.stderr
    assert main(["bench", "vit-tiny", "--bundle", str(bundle), "--target", "cpu"]) == 1
    assert "is not empty" in capsys.readouterr().err
