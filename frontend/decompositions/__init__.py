"""Ops rewritten in PyTorch's own ops before import, one file per family.

Written in PyTorch because what depends on no input (the kernel of a transposed convolution, the
positions and weights of an interpolation) is then computed at compile time, like the rest of the
graph (``frontend/constants.py``).
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from smartmem.frontend.decompositions.registry import DECOMPOSITIONS, TRAINING

FAMILIES = (
    "attention",
    "contraction",
    "convolution",
    "dropout",
    "elementwise",
    "grid_sample",
    "indexing",
    "normalization",
    "resample",
    "spectrum",
    "structure",
)


def table(*, training: bool = False) -> Mapping[Any, Callable[..., Any]]:
    """The functions by ATen op, as ``ExportedProgram.run_decompositions`` takes them.

    training: also those of ops that only training mode makes.
    """
    for family in FAMILIES:
        importlib.import_module(f"smartmem.frontend.decompositions.{family}")
    return DECOMPOSITIONS | TRAINING if training else DECOMPOSITIONS
