"""lit's configuration: the .mlir tests under tests/lit, run in a clean environment.

`make lit` runs all; `.venv/bin/lit -v tests/lit/passes/NAME.mlir` runs one.
"""

import os
import sys
from pathlib import Path

import lit.formats

# lit provides this name to this file.
config = globals()["config"]

ROOT = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent

config.name = "smartmem"
config.test_format = lit.formats.ShTest(False)
config.suffixes = [".mlir"]
config.excludes = [".venv", ".typing", "out"]
config.test_source_root = str(ROOT)
config.test_exec_root = str(ROOT / "out" / "lit")

# Nothing of the caller's environment but what programs need to run at all.
config.environment = {
    "PATH": os.pathsep.join([str(BIN), "/usr/local/bin", "/usr/bin", "/bin"]),
    "HOME": os.environ.get("HOME", "/"),
    "LC_ALL": "C.UTF-8",
    "PYTHONSAFEPATH": "1",
}

config.substitutions += [
    ("%smartmem-opt", str(BIN / "smartmem-opt")),
    ("%filecheck", str(BIN / "filecheck")),
    ("%python", sys.executable),
]

# Seconds.
config.maxIndividualTestTime = 20
