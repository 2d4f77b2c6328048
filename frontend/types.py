"""Element types at the border between torch, MLIR and the artefact.

int64 is narrowed to int32: indices fit, mobile GPUs often lack 64-bit integers, and the session
checks the range.
"""

from typing import Any

import ml_dtypes
import numpy as np
import torch

from smartmem.dialects._mlir import ir
from smartmem.frontend.registry import Refusal

_STORED: dict[torch.dtype, str] = {
    torch.float32: "float32",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
    torch.int64: "int32",
    torch.int32: "int32",
    torch.int8: "int8",
    torch.bool: "bool",
}


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
    """MLIR element type of ``dtype``."""
    return {
        "float32": ir.F32Type.get,
        "float16": ir.F16Type.get,
        "bfloat16": ir.BF16Type.get,
        "int32": lambda: ir.IntegerType.get_signless(32),
        "int8": lambda: ir.IntegerType.get_signless(8),
        "bool": lambda: ir.IntegerType.get_signless(1),
    }[stored_dtype(dtype)]()


def to_numpy(value: torch.Tensor) -> Any:
    """``value`` as a contiguous array of its stored type.

    Raises Refusal where an int64 does not fit int32.
    """
    name = stored_dtype(value.dtype)
    value = value.detach().cpu().contiguous()
    if value.dtype == torch.int64:
        limits = torch.iinfo(torch.int32)
        if value.numel() and not (
            limits.min <= int(value.min()) and int(value.max()) <= limits.max
        ):
            raise Refusal(
                "an int64 constant does not fit 32 bits", "keep indices and counts below 2**31"
            )
        value = value.to(torch.int32)
    if name == "bfloat16":
        return value.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    # Not ascontiguousarray, which makes one dimension out of none.
    return np.asarray(value.numpy(), order="C")
