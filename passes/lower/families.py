"""Loads the family files, which register their lowering rules."""

import importlib

FAMILIES = (
    "attention",
    "contraction",
    "convolution",
    "elementwise",
    "indexing",
    "normalization",
    "pooling",
    "reduction",
    "scan",
    "sorting",
    "structure",
)


def register_all() -> None:
    """Import every family once; importing registers."""
    for family in FAMILIES:
        importlib.import_module(f"smartmem.passes.lower.{family}")
