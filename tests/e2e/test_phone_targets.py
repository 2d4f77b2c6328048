"""Every model of the suite compiles for phones, and its kernels are valid where they say.

Whether they use more than the target offers each compile checks (passes/iree/conformance.py). What
iree-compile made is kept in the user's cache: a run that was stopped goes on from there.
"""

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from smartmem.benchmarks.models import suite
from smartmem.compiler import compile_model
from smartmem.passes.iree import spirv_binary
from smartmem.passes.target import Storage, known_targets

pytestmark = [pytest.mark.spirv_val, pytest.mark.nightly]

TARGETS = ("adreno", "mali", "generic")
# IREE's runtime asks for it.
STOCK_VULKAN = "1.3"
_MAGIC = struct.pack("<I", 0x07230203)


def modules_of(vmfb: bytes) -> Iterator[bytes]:
    """The SPIR-V modules in a vmfb: vectors of words, each after its length."""
    place = vmfb.find(_MAGIC)
    while place >= 0:
        (words,) = struct.unpack_from("<I", vmfb, place - 4)
        yield vmfb[place : place + 4 * words]
        place = vmfb.find(_MAGIC, place + 4 * words)


def assert_valid(code: bytes, vulkan: str, name: str) -> None:
    command = ["spirv-val", "--target-env", f"vulkan{vulkan}", "-"]
    done = subprocess.run(command, input=code, capture_output=True)
    assert done.returncode == 0, f"{name}: {done.stderr.decode()}"


@pytest.mark.parametrize("storage", ["buffer", "image"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", suite.names())
def test_kernels_are_valid(name: str, target: str, storage: Storage, tmp_path: Path) -> None:
    model, inputs = suite.build(f"{name}/tiny")
    out = tmp_path / "model.smartmem"
    made = compile_model(model, inputs, targets=(target,), out=out, storage=storage)
    place = made.path / "targets" / target
    entry = made.manifest.targets[target]
    avoided = known_targets()[target].avoided_workgroups
    assert entry.schedule is not None, made.reports[target]["unschedulable"]
    kernels = sorted((place / "kernels").iterdir())
    assert kernels
    for file in kernels:
        assert_valid(file.read_bytes(), entry.needs["vulkan"], file.name)
    stock = list(modules_of((place / "model.vmfb").read_bytes()))
    assert stock
    for number, code in enumerate(stock):
        # What IREE's serializer writes too much, and drivers are known to ignore.
        assert_valid(spirv_binary.made_valid(code), STOCK_VULKAN, f"model.vmfb {number}")
    # Copies may keep a workgroup that the target avoids.
    kept = [row for row in made.reports[target]["miscompile_risks"] if row["kind"] == "kept"]
    for codes in ([file.read_bytes() for file in kernels], stock):
        shapes = [shape for code in codes for shape in spirv_binary.workgroups(code)]
        assert shapes and sum(shape in avoided for shape in shapes) <= len(kept)
