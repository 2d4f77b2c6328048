"""Integers that the artefact holds in fewer bits than PyTorch: what does not fit is refused."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartmem.errors import UserError


def refuse_outside(name: str, array: NDArray[Any], dtype: np.dtype[Any]) -> None:
    """UserError naming the first value of the input ``name`` that ``dtype`` cannot hold."""
    limits = np.iinfo(dtype)
    if not array.size or (array.min() >= limits.min and array.max() <= limits.max):
        return
    index = np.argwhere((array < limits.min) | (array > limits.max))[0]
    place = f" at {index.tolist()}" if array.ndim else ""
    raise UserError(
        f"input {name!r}: {array[tuple(index)]}{place} lies outside {dtype}, "
        f"which the compiled model uses for {array.dtype}",
        hint=f"Keep the values from {limits.min} to {limits.max}; give what needs more bits as "
        "floats, or in two inputs.",
    )
