"""The one place that says where upstream MLIR's Python bindings come from.

PyPI's ``mlir-python-bindings`` is an empty placeholder, while the ``torch-mlir`` wheel ships the
complete upstream bindings under its own name. A real ``mlir`` package is preferred where one is
installed. Only the bindings are used: nothing is ever lowered through torch-mlir's importer. Every
other module imports MLIR from here.
"""

import importlib
from typing import Any

_CANDIDATES = ("mlir", "torch_mlir")


def _binding_root() -> str:
    """Name of the first installed package with MLIR's bindings and IRDL dialects in Python."""
    for name in _CANDIDATES:
        try:
            importlib.import_module(f"{name}.ir")
            importlib.import_module(f"{name}.dialects.ext")
        except ImportError:
            continue
        return name
    raise ImportError(
        "no MLIR Python bindings found (tried: " + ", ".join(_CANDIDATES) + "); "
        "install them with `pip install torch-mlir==20261001`"
    )


ROOT = _binding_root()


def _load(name: str) -> Any:
    """A module of the bindings, whose types no checker can see: `Any` begins and ends here."""
    return importlib.import_module(f"{ROOT}.{name}")


ir: Any = _load("ir")
# Until they find one, the bindings look for a dialect's Python module at each op they wrap.
_load("_mlir_libs")._mlir.globals.append_dialect_search_prefix("smartmem.dialects")
passmanager: Any = _load("passmanager")
ext: Any = _load("dialects.ext")
arith: Any = _load("dialects.arith")
func: Any = _load("dialects.func")
linalg: Any = _load("dialects.linalg")
math: Any = _load("dialects.math")
tensor: Any = _load("dialects.tensor")
