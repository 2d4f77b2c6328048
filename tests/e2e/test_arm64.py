"""Suite models on aarch64 under emulation: our program and stock IREE give what they give here.

The device is Mesa's software Vulkan again, for another processor: what is tested is the other
build of our library, and kernels in another compiler's hands. `make arm64` sets it up and runs it.
"""

import json
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from smartmem.benchmarks.models import suite
from smartmem.compiler import compile_model
from smartmem.errors import DeviceError
from smartmem.passes.target import Storage
from smartmem.runtime import native_api
from smartmem.runtime.bundle import Bundle
from smartmem.verify import relative_l2

pytestmark = [pytest.mark.vulkan, pytest.mark.native, pytest.mark.arm64, pytest.mark.nightly]

TARGET = "llvmpipe"
PLACE = Path(__file__).resolve().parents[2] / "build" / "arm64"
ROOT = PLACE / "root"
IREE = PLACE / f"iree-{version('iree-base-runtime')}" / "iree-run-module"
HERE = native_api.LIBRARY.with_name("smartmem-run")
THERE = native_api.LIBRARY.parent / "linux-aarch64" / "smartmem-run"
# Sums that are fused otherwise round otherwise.
TOLERANCE = 1e-6
LIMIT_S = 1500


MODELS = ("minilm", "mobilenet-v2", "driving-planner")
# How kernels read weights; texel buffers are what images do not suit, of the same models.
STORAGES: tuple[Storage, ...] = ("buffer", "image")


class Compiled(NamedTuple):
    """A bundle, how its kernels read weights, and files of its inputs and of the outputs here."""

    bundle: Path
    storage: Storage
    inputs: list[Path]
    outputs: list[Path]


def emulated(program: Path, *arguments: Any, lanes: int) -> subprocess.CompletedProcess[str]:
    """Runs a program for aarch64 on a software device of this many lanes."""
    environment = {
        "VK_DRIVER_FILES": ROOT / "usr/share/vulkan/icd.d/lvp_icd.aarch64.json",
        "LP_NATIVE_VECTOR_WIDTH": 32 * lanes,
        # Mesa takes up code from it that was made for other lanes.
        "MESA_SHADER_CACHE_DIR": PLACE / f"shaders-{lanes}",
    }
    settings = [word for name, value in environment.items() for word in ("-E", f"{name}={value}")]
    command = ["qemu-aarch64-static", "-L", ROOT, *settings, program, *arguments]
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S)


@pytest.fixture(
    scope="module",
    params=[(model, storage) for model in MODELS for storage in STORAGES],
    ids="-".join,
)
def compiled(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    name, storage = request.param
    folder = tmp_path_factory.mktemp(name)
    model, arguments = suite.build(f"{name}/tiny")
    bundle = folder / "model.smartmem"
    compile_model(model, arguments, targets=(TARGET,), out=bundle, storage=storage)
    specs = Bundle.open(bundle).manifest.inputs
    inputs = [folder / f"{position}.npy" for position in range(len(specs))]
    for file, spec, tensor in zip(inputs, specs, arguments, strict=True):
        np.save(file, tensor.numpy().astype(spec.dtype))
    given = [word for file in inputs for word in ("--input", str(file))]
    command = [str(HERE), str(bundle), *given, "--runs", "1", "--output-dir", str(folder / "out")]
    subprocess.run(command, check=True)
    outputs = sorted((folder / "out").iterdir(), key=lambda file: int(file.stem))
    return Compiled(bundle, storage, inputs, outputs)


def options(compiled: Compiled) -> list[Any]:
    given = [word for file in compiled.inputs for word in ("--input", file)]
    expected = [word for file in compiled.outputs for word in ("--expect", file)]
    checked = ["--tolerance", TOLERANCE, "--runs", 2, "--replays", 2]
    # The first run translates the kernels, under emulation too: minutes on a busy machine.
    return [*given, *expected, *checked, "--time-limit", LIMIT_S]


def test_our_program_gives_the_same(compiled: Compiled) -> None:
    done = emulated(THERE, compiled.bundle, *options(compiled), lanes=8)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "correct" in done.stdout and "0 of 2 differ" in done.stdout


def test_our_program_streams_the_same(compiled: Compiled) -> None:
    """With half of the weights in memory, where one dispatch needs no more."""
    tried = emulated(THERE, compiled.bundle, "--budget", "1B", "--runs", 1, lanes=8)
    least = re.search(r"the smallest feasible one is (\d+) bytes", tried.stderr)
    assert least, tried.stderr
    report = compiled.bundle.parent / "streamed.json"
    budget = max(int(least[1]), Bundle.open(compiled.bundle).manifest.weights.bytes // 2)
    streaming = ("--budget", budget, "--json", report)
    done = emulated(THERE, compiled.bundle, *options(compiled), *streaming, lanes=8)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "correct" in done.stdout and "0 of 2 differ" in done.stdout
    assert json.loads(report.read_text())["streaming"]["streamed_bytes"] > 0


def test_fewer_lanes_give_the_same_or_are_refused(compiled: Compiled) -> None:
    done = emulated(THERE, compiled.bundle, *options(compiled), lanes=4)
    if Bundle.open(compiled.bundle).manifest.targets[TARGET].needs["subgroup_sizes"]:
        assert done.returncode == DeviceError.exit_code
        assert "was made for subgroups of 8, but the device has 4" in done.stderr
    else:
        assert done.returncode == 0, done.stdout + done.stderr


def run_stock(bundle: Path, compiled: Compiled, folder: Path) -> None:
    """Compares what IREE's own program computes with the outputs here."""
    results = [folder / f"{position}.npy" for position in range(len(compiled.outputs))]
    done = emulated(
        IREE,
        "--device=vulkan",
        f"--module={bundle / 'targets' / TARGET / 'model.vmfb'}",
        f"--parameters=model={bundle / 'weights.irpa'}",
        "--function=main",
        *(f"--input=@{file}" for file in compiled.inputs),
        *(f"--output=@{file}" for file in results),
        lanes=8,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for found, wanted in zip(results, compiled.outputs, strict=True):
        assert relative_l2(np.load(wanted), np.load(found)) <= TOLERANCE


def test_the_stock_module_gives_the_same(compiled: Compiled, tmp_path: Path) -> None:
    run_stock(compiled.bundle, compiled, tmp_path)


@pytest.mark.parametrize("compiled", ["minilm"], indirect=True)
def test_a_streamed_stock_module_gives_the_same(compiled: Compiled, tmp_path: Path) -> None:
    model, arguments = suite.build("minilm/tiny")
    streamed = tmp_path / "streamed.smartmem"
    compile_model(model, arguments, targets=(TARGET,), out=streamed, budget="80%")
    run_stock(streamed, compiled, tmp_path)
