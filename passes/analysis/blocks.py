"""Blocks: ops marked to become one kernel. ``fuse_blocks`` writes the marks, the lowering reads."""

from collections.abc import Sequence
from math import prod
from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.ops import ViewOp, shape

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


def most_live(members: Sequence[Any]) -> int:
    """How many tensors of the block's full size a thread holds a tile of at once, where its ops run
    one after another: operands from outside while they are used, results until their last use.
    Views are other names of what they show.
    """
    full = max(prod(shape(op.operation.results[0])) for op in members)
    named: dict[Any, Any] = {}
    needed: dict[Any, int] = {}
    for place, op in enumerate(members):
        result = op.operation.results[0]
        operands = [named.get(v, v) for v in op.operation.operands]
        needed.update({v: place for v in operands if v in needed})
        if isinstance(op, ViewOp):
            named[result] = operands[0]
        else:
            needed[result] = place
    made: list[Any] = []
    most = 1
    for place, op in enumerate(members):
        if isinstance(op, ViewOp):
            continue
        operands = dict.fromkeys(named.get(v, v) for v in op.operation.operands)
        held = [v for v in made if needed[v] >= place] + [v for v in operands if v not in needed]
        result = op.operation.results[0]
        if place:
            most = max(most, sum(prod(shape(v)) == full for v in (*held, result)))
        made.append(result)
    return most
