"""Which ATen op is rewritten by which function."""

from collections.abc import Callable
from typing import Any

import torch

Decomposition = Callable[..., Any]

DECOMPOSITIONS: dict[Any, Decomposition] = {}

# What ops of training mode become where a graph may draw random numbers and write to its buffers.
TRAINING: dict[Any, Decomposition] = {}


def overload(name: str) -> Any:
    """The ATen op called ``pad.default``."""
    base, variant = name.split(".")
    return getattr(getattr(torch.ops.aten, base), variant)


def decomposes(
    *names: str, table: dict[Any, Decomposition] = DECOMPOSITIONS
) -> Callable[[Decomposition], Decomposition]:
    """Register the decorated function for the ATen ops ``names`` (``pad.default``).

    It is called as the op is, with PyTorch tensors of static shapes without contents, and returns
    what the op returns; ``NotImplemented`` keeps the op whole.
    """

    def register(function: Decomposition) -> Decomposition:
        table.update({overload(name): function for name in names})
        return function

    return register
