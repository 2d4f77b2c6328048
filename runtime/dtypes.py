"""The dtypes at the border of compiled functions."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np


@cache
def dtype_of(name: str) -> np.dtype[Any]:
    """The numpy dtype of a TensorSpec's dtype name; those numpy lacks are of ml_dtypes."""
    if name == "bfloat16":
        # Here, since a machine that runs no such model need not have it.
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)
