"""A tensor is written row-major where its readers want it so, or do not mind.

    %1 = layout.conv %0, %w  : repr<[0,2,3,1]>       %1 = layout.conv %0, %w  : repr<[0,2,3,1]>
    %2 = layout.view %1 (one row per group)     ==>  %r = layout.relayout %1 : row-major
    %5 = layout.elementwise %4, %1 (add)             %2 = layout.view %r (the same memory)
                                                     %5 = layout.elementwise %4, %r (add)

Of the alternatives for a tensor that one reader wants turned (the reader turns it, its maker writes
it so, one copy) this is the second: the kernel that makes the tensor writes the other order
(``fuse_blocks`` takes the relayout in), and a sum that needs it, too, reads it turned. Where a
reader insists on the order that the tensor has, nothing is done. On entry: every tensor has its
layout. On exit: the same; joins that one kernel assembles are row-major where that is better.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import build
from smartmem.dialects.layout.build import tensor_of
from smartmem.dialects.layout.ops import (
    ContractOp,
    ConvOp,
    ElementwiseOp,
    RelayoutOp,
    ViewOp,
    element_type,
    shape,
)
from smartmem.passes.analysis.joins import is_assembled
from smartmem.passes.base import PassReport, block_ops, erase_unused, functions, result_bytes
from smartmem.passes.rules.orders import order_asked
from smartmem.passes.rules.windows import layout_of


def _is_wanted_row_major(value: Any) -> bool:
    asked = [order_asked(use.owner.opview, value) for use in value.uses]
    return "own" not in asked and "row-major" in asked


def _is_made_by_sums(value: Any) -> bool:
    """Whether the kernel of a convolution or product makes ``value``, elementwise ops between."""
    owner = value.owner
    if isinstance(owner, ir.Block):
        return False
    op = owner.opview
    if isinstance(op, (ContractOp, ConvOp)):
        return True
    if not isinstance(op, (ElementwiseOp, ViewOp)):
        return False
    sizes = shape(value) if isinstance(op, ElementwiseOp) else None
    return any(
        (sizes is None or shape(v) == sizes) and not any(_others(v, op)) and _is_made_by_sums(v)
        for v in op.operation.operands
    )


def _others(value: Any, op: Any) -> list[Any]:
    return [use.owner for use in value.uses if use.owner != op.operation]


def _write_row_major(op: Any) -> None:
    """Let all readers of the result of ``op`` read a row-major tensor."""
    value = op.operation.results[0]
    kind = tensor_of(shape(value), element_type(value))
    if is_assembled(op):
        value.set_type(kind)
    else:
        with ir.InsertionPoint.after(op), op.location:
            plain = build.relayout(value, kind)
        value.replace_all_uses_except(plain, plain.owner.operation)
        value = plain
    for use in list(value.uses):
        reader = use.owner.opview
        if isinstance(reader, RelayoutOp) and reader.result.type == kind:
            reader.result.replace_all_uses_with(value)


@dataclass(frozen=True)
class SelectOrdersPass:
    """One sweep against program order: what a join wants is known before its pieces are."""

    name: ClassVar[str] = "smartmem-select-orders"

    def run(self, module: Any) -> PassReport:
        """Turn what is wanted row-major and read more than once; one reader is ``fuse_blocks``'."""
        turned, size = 0, 0
        for function in functions(module):
            for op in reversed(block_ops(function)):
                if not is_assembled(op) and not isinstance(op, (ConvOp, ElementwiseOp)):
                    continue
                value = op.operation.results[0]
                if layout_of(value).is_default or not _is_wanted_row_major(value):
                    continue
                if is_assembled(op) or _is_made_by_sums(value):
                    _write_row_major(op)
                    turned, size = turned + 1, size + result_bytes(value)
            erase_unused(function)
        return PassReport(self.name, {"written_row_major": turned, "bytes": size})
