"""smartmem: takes a PyTorch model to a Vulkan GPU or the CPU, without its layout transformations.

    import smartmem

    smartmem.compile(model, example_inputs, targets=("cpu", "vulkan"), out="model.smartmem")
    session = smartmem.load("model.smartmem")
    outputs = session(*inputs)

Names are resolved on first use: importing smartmem costs neither torch nor the compiler.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from smartmem.errors import (
    CompileError,
    DeviceError,
    MismatchError,
    SmartmemError,
    UnsupportedError,
    UserError,
)

# At once, and not on first use: the module of the same name would hide the function otherwise.
from smartmem.verify import VerifyReport, verify

if TYPE_CHECKING:
    from smartmem.compiler import compile_model as compile
    from smartmem.frontend.fallback import compile_reports
    from smartmem.predict import predict_latency
    from smartmem.runtime.devices import list_devices as devices
    from smartmem.runtime.pool import Pool
    from smartmem.runtime.session import Session, load

_LAZY = {
    "compile": ("smartmem.compiler", "compile_model"),
    "compile_reports": ("smartmem.frontend.fallback", "compile_reports"),
    "devices": ("smartmem.runtime.devices", "list_devices"),
    "predict_latency": ("smartmem.predict", "predict_latency"),
    "load": ("smartmem.runtime.session", "load"),
    "Pool": ("smartmem.runtime.pool", "Pool"),
    "Session": ("smartmem.runtime.session", "Session"),
}

__all__ = [
    "CompileError",
    "DeviceError",
    "MismatchError",
    "Pool",
    "Session",
    "SmartmemError",
    "UnsupportedError",
    "UserError",
    "VerifyReport",
    "compile",
    "compile_reports",
    "devices",
    "load",
    "predict_latency",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Imports the module behind a public name the first time the name is asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("smartmem")
    if name not in _LAZY:
        raise AttributeError(f"module 'smartmem' has no attribute {name!r}")
    module_name, attribute = _LAZY[name]
    value = getattr(import_module(module_name), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
