"""Blocks: ops marked to become one kernel. ``fuse_blocks`` writes the marks, the lowering reads."""

from typing import Any

from smartmem.dialects._mlir import ir

_BLOCK = "block"
_ROWS = "row_kernel"


def block_of(op: Any) -> int | None:
    """The number of the block that ``op`` belongs to; None for an op by itself."""
    attributes = op.operation.attributes
    return ir.IntegerAttr(attributes[_BLOCK]).value if _BLOCK in attributes else None


def mark(op: Any, block: int) -> None:
    """Put ``op`` into a block."""
    i64 = ir.IntegerType.get_signless(64)
    op.operation.attributes[_BLOCK] = ir.IntegerAttr.get(i64, block)


def has_row_kernel(op: Any) -> bool:
    """Whether the softmax within the attention ``op`` is one kernel."""
    return _ROWS in op.operation.attributes


def mark_row_kernel(op: Any) -> None:
    """Make the softmax within the attention ``op`` one kernel."""
    op.operation.attributes[_ROWS] = ir.UnitAttr.get()
