"""The same model gives the same text, to the byte: twice here, and in a process of another hash
seed.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from unit.frontend.nets import imported_net

from smartmem.dialects._mlir import ir
from smartmem.passes import pipeline

TESTS = Path(__file__).resolve().parents[2]


def texts() -> list[str]:
    """Names of the weights; the module imported; laid out and lowered for both kinds of device."""
    with imported_net() as program:
        made = [" ".join(program.weights), program.module.operation.get_asm(enable_debug_info=True)]
        for device in ("cpu", "vulkan"):
            copy = ir.Module.parse(made[1])
            for passes in (pipeline.layout_passes(device), pipeline.lowering_passes(device)):
                pipeline.run(passes, copy)
                made.append(copy.operation.get_asm(enable_debug_info=True))
    return made


def test_twice_the_same() -> None:
    assert texts() == texts()


@pytest.mark.slow
def test_another_hash_seed_gives_the_same() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from unit.frontend.test_determinism import texts; print('\\0'.join(texts()), end='')"
    )
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    other = subprocess.run(
        [sys.executable, "-c", code, str(TESTS)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert other.stdout.split("\0") == texts()
