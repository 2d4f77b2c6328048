"""Element types at the border between torch, MLIR and the artefact.

* int64 is narrowed to int32: indices fit, and mobile GPUs often lack 64-bit integers. Inputs and
  constants are checked; what is computed from them wraps at 32 bits.
* uint8 and int16 are held as int32 inside the model and wrapped after every op that computes
  (``wrapped``), so no op needs to know of them. Inputs, outputs and constants of uint8 take one
  byte.
* float64 does not exist: mobile GPUs lack it.
"""

from typing import Any

import ml_dtypes
import numpy as np
import torch

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import build
from smartmem.frontend.registry import Refusal

_STORED: dict[torch.dtype, str] = {
    torch.float32: "float32",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
    torch.int64: "int32",
    torch.int32: "int32",
    torch.int16: "int32",
    torch.int8: "int8",
    torch.uint8: "uint8",
    torch.bool: "bool",
}


WIDE_REMEDY = (
    "keep integers from -2**31 to 2**31 - 1: as the largest, take torch.iinfo(torch.int32).max"
)


def stored_dtype(dtype: torch.dtype) -> str:
    """NumPy's name of the type ``dtype`` has inside the artefact.

    Raises Refusal for a type without one.
    """
    if dtype not in _STORED:
        raise Refusal(
            f"element type {str(dtype).removeprefix('torch.')} is not supported",
            "cast to one of " + ", ".join(str(d).removeprefix("torch.") for d in _STORED),
        )
    return _STORED[dtype]


def is_stored(dtype: torch.dtype) -> bool:
    """Whether ``dtype`` has a type inside the artefact."""
    return dtype in _STORED


def element(dtype: torch.dtype) -> Any:
    """MLIR element type that values of ``dtype`` have in the dialect."""
    return {
        "float32": ir.F32Type.get,
        "float16": ir.F16Type.get,
        "bfloat16": ir.BF16Type.get,
        "int32": lambda: ir.IntegerType.get_signless(32),
        "uint8": lambda: ir.IntegerType.get_signless(32),
        "int8": lambda: ir.IntegerType.get_signless(8),
        "bool": lambda: ir.IntegerType.get_signless(1),
    }[stored_dtype(dtype)]()


def border_element(dtype: torch.dtype) -> Any:
    """MLIR element type of an argument or a result of ``dtype``."""
    return ir.IntegerType.get_signless(8) if dtype == torch.uint8 else element(dtype)


def entered(value: Any, dtype: torch.dtype) -> Any:
    """An argument of ``border_element`` as the value the dialect computes with."""
    if dtype != torch.uint8:
        return value
    return build.elementwise("unsigned", value, element=element(dtype))


def left(value: Any, dtype: torch.dtype) -> Any:
    """A value of ``dtype`` as a result of ``border_element``."""
    return build.cast(value, border_element(dtype))


def wrapped(value: Any, dtype: torch.dtype) -> Any:
    """What was computed in int32, in the range of ``dtype`` as it overflows in PyTorch."""
    if dtype not in (torch.uint8, torch.int16):
        return value
    wide = element(dtype)
    limits = torch.iinfo(dtype)
    bits = build.splat(limits.max - limits.min, wide)
    if not limits.min:
        return build.elementwise("bit_and", value, bits)
    low = build.splat(limits.min, wide)
    shifted = build.elementwise("bit_and", build.elementwise("sub", value, low), bits)
    return build.elementwise("add", shifted, low)


def beyond(value: float) -> bool:
    """Whether the integer ``value`` is outside int32."""
    limits = torch.iinfo(torch.int32)
    return not limits.min <= value <= limits.max


def to_numpy(value: torch.Tensor) -> Any:
    """``value`` as a contiguous array of its stored type.

    Raises Refusal where an int64 does not fit int32.
    """
    name = stored_dtype(value.dtype)
    value = value.detach().cpu().contiguous()
    wide = value.dtype == torch.int64 and value.numel()
    if wide and (beyond(int(value.min())) or beyond(int(value.max()))):
        raise Refusal("an int64 constant does not fit 32 bits", WIDE_REMEDY)
    if name == "int32":
        value = value.to(torch.int32)
    if name == "bfloat16":
        return value.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    # Not ascontiguousarray, which makes one dimension out of none.
    return np.asarray(value.numpy(), order="C")
