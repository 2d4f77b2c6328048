"""Blocks: ops marked to become one kernel. ``fuse_blocks`` writes the marks, the lowering reads."""

from typing import Any

from smartmem.dialects._mlir import ir

_BLOCK = "block"


def block_of(op: Any) -> int | None:
    """The number of the block that ``op`` belongs to; None for an op by itself."""
    attributes = op.operation.attributes
    return ir.IntegerAttr(attributes[_BLOCK]).value if _BLOCK in attributes else None


def mark(op: Any, block: int) -> None:
    """Put ``op`` into a block."""
    i64 = ir.IntegerType.get_signless(64)
    op.operation.attributes[_BLOCK] = ir.IntegerAttr.get(i64, block)
