"""Models of the suite from end to end: compiled, run, compared with eager for two inputs each.

Some at full size; all the others, small, in ``test_tiny_models.py``.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import smartmem
from smartmem.benchmarks import sentences
from smartmem.benchmarks.models import suite
from smartmem.compiler import CompiledModel
from smartmem.passes.iree.cache import Cache
from smartmem.verify import verify

DEVICES = {"cpu": "cpu", "llvmpipe": "vulkan"}
FULL = ("convnext-tiny", "minilm", "mobilenet-v2", "resnet50", "swin-tiny", "vit-tiny")


def compiled(name: str, target: str, folder: Path) -> tuple[CompiledModel, tuple]:
    model, inputs = suite.build(name)
    made = smartmem.compile(model, inputs, targets=(target,), out=folder / "model.smartmem")
    return made, (model, inputs)


def check(name: str, target: str, folder: Path) -> dict:
    """Compile, compare with eager for two inputs, and return the report."""
    made, (model, inputs) = compiled(name, target, folder)
    verify(made.path, model, inputs, device=DEVICES[target]).raise_on_mismatch()
    return made.reports[target]


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_full_models_on_the_cpu(name: str, tmp_path: Path) -> None:
    report = check(name, "cpu", tmp_path)
    assert report["layout_dispatches"] < report["layout_ops_in_graph"] or name == "resnet50"
    assert report["unknown"] == ()


@pytest.mark.slow
@pytest.mark.vulkan
@pytest.mark.parametrize("name", FULL)
def test_tiny_models_on_software_vulkan(name: str, tmp_path: Path) -> None:
    check(f"{name}/tiny", "llvmpipe", tmp_path)


@pytest.mark.slow
@pytest.mark.vulkan
def test_minilm_with_its_real_weights_finds_the_same_neighbours_as_eager(tmp_path: Path) -> None:
    made, (model, _) = compiled("minilm", "llvmpipe", tmp_path)
    session = smartmem.load(made.path, device="vulkan")
    batches = sentences.tokenised(sentences.lines("sentences")[::6])
    ours = sentences.embeddings(session, batches)
    with torch.no_grad():
        eager = sentences.embeddings(model, batches)
    assert np.abs(ours - eager).max() < 1e-5
    assert (ours @ ours.T).argsort().tolist() == (eager @ eager.T).argsort().tolist()


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.slow
def test_two_compiles_are_byte_identical_and_two_runs_bit_identical(tmp_path: Path) -> None:
    found = []
    for attempt in ("first", "second"):
        model, inputs = suite.build("swin-tiny/tiny")
        out = tmp_path / attempt / "model.smartmem"
        smartmem.compile(model, inputs, targets=("cpu", "llvmpipe"), out=out, cache=Cache(None))
        found.append(digests(out))
    assert found[0] == found[1]
    session = smartmem.load(out, device="cpu")
    first, second = session(*inputs), session(*inputs)
    assert torch.equal(first["logits"], second["logits"])


@pytest.mark.slow
def test_the_unmodified_iree_runtime_runs_the_artefact(tmp_path: Path) -> None:
    made, (model, inputs) = compiled("minilm/tiny", "cpu", tmp_path)
    arguments = []
    for index, tensor in enumerate(inputs):
        np.save(tmp_path / f"{index}.npy", tensor.numpy().astype(np.int32))
        arguments.append(f"--input=@{tmp_path / f'{index}.npy'}")
    result = tmp_path / "out.npy"
    subprocess.run(
        [
            Path(sys.executable).with_name("iree-run-module"),
            "--device=local-task",
            f"--module={made.path / 'targets/cpu/model.vmfb'}",
            f"--parameters=model={made.path / 'weights.irpa'}",
            "--function=main",
            *arguments,
            f"--output=@{result}",
            "--output=",
        ],
        check=True,
        capture_output=True,
    )
    with torch.no_grad():
        expected = model(*inputs).last_hidden_state.numpy()
    actual = np.load(result)
    assert np.linalg.norm(actual - expected) <= 1e-4 * np.linalg.norm(expected)
