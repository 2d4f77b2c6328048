"""The layout dialect, defined in Python through IRDL."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import ops as ops
from smartmem.dialects.layout.attributes import LayoutDialect


@contextmanager
def context() -> Generator[Any]:
    """A fresh MLIR context with the layout dialect loaded and an unknown location, both entered.

    Dialects the bindings do not know (IREE's ``util``, ``flow``, …) pass through in generic form.
    """
    with ir.Context() as ctx, ir.Location.unknown():
        ctx.allow_unregistered_dialects = True
        LayoutDialect.load()
        yield ctx
