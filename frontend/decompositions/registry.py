"""Which ATen op is rewritten by which function."""

from collections.abc import Callable
from typing import Any

import torch

Decomposition = Callable[..., Any]

DECOMPOSITIONS: dict[Any, Decomposition] = {}


def decomposes(*names: str) -> Callable[[Decomposition], Decomposition]:
    """Register the decorated function for the ATen ops ``names`` (``pad.default``).

    It is called as the op is, with PyTorch tensors of static shapes without contents, and returns
    what the op returns; ``NotImplemented`` keeps the op whole.
    """

    def register(function: Decomposition) -> Decomposition:
        for name in names:
            base, overload = name.split(".")
            DECOMPOSITIONS[getattr(getattr(torch.ops.aten, base), overload)] = function
        return function

    return register
