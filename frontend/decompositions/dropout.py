"""Dropout of nothing: what a call with probability zero leaves in the graph."""

from typing import Any

import torch
from torch import Tensor

from smartmem.frontend.decompositions.registry import decomposes


@decomposes("native_dropout.default")
def native_dropout(x: Tensor, p: float, train: bool | None) -> Any:
    """The input itself and a mask that keeps all, where nothing is dropped."""
    if train and p:
        return NotImplemented
    return x.clone(), torch.ones_like(x, dtype=torch.bool)
