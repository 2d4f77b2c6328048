"""Ops that become one kernel are marked with one number: a window, and what follows it.

    %1 = layout.conv %0, %w             %1 = layout.conv %0, %w {block = 0}
    %2 = layout.elementwise %1, %b ==>  %2 = layout.elementwise %1, %b {block = 0, fn = "add"}
    %3 = layout.elementwise %2          %3 = layout.elementwise %2 {block = 0, fn = "relu"}

A block starts at a window that ``rules/windows.py`` gives a kernel of its own, and grows by
elementwise readers of the same shape and layout, and by the relayout of what they make. Only its
last op is read from outside, and nothing outside stands between two of its ops, so it can be
lowered where that last op stands. Everything else is left to IREE, which fuses elementwise chains
the same way. On entry: every tensor has its layout. On exit: valid layout dialect, with ``block``
on the ops of blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.build import tensor_of
from smartmem.dialects.layout.ops import (
    AttentionOp,
    ConvOp,
    ElementwiseOp,
    LayerNormOp,
    PoolOp,
    RelayoutOp,
    SoftmaxOp,
    ViewOp,
    element_type,
    shape,
)
from smartmem.passes.analysis.blocks import block_of, mark, mark_row_kernel
from smartmem.passes.base import PassReport, block_ops, check_device, functions
from smartmem.passes.rules.classes import movement
from smartmem.passes.rules.rows import attention_row_kernel, row_kernel
from smartmem.passes.rules.windows import layout_of, own_kernel
from smartmem.passes.target import DeviceKind

# A kernel that reads many full-size tensors holds them all in registers; residual sums and gates
# need two or three. Not measured: no model of the suite comes near it.
_MOST_OPS = 16


def _is_seed(op: Any, device: DeviceKind, lanes: int) -> bool:
    """Whether a block grows from ``op``."""
    if isinstance(op, (ConvOp, PoolOp)):
        return own_kernel(op, device).taken
    return isinstance(op, (LayerNormOp, SoftmaxOp)) and row_kernel(op, device, lanes).taken


def _readers(op: Any) -> list[Any]:
    return [use.owner for use in op.operation.results[0].uses]


def _fits(op: Any, anchor: Any) -> bool:
    """Whether ``op`` works on the elements of ``anchor`` one by one, in the same order."""
    result = anchor.operation.results[0]
    if not isinstance(op, ElementwiseOp) or shape(op.result) != shape(result):
        return False
    full = [v for v in op.operands if shape(v) == shape(result)]
    return all(layout_of(v) == layout_of(result) for v in (op.result, *full))


def _grown(anchor: Any, later: Sequence[Any]) -> list[Any]:
    """``anchor`` and the elementwise ops that follow from it, in program order.

    ``tainted``: results outside the block that depend on it; an op that reads one would have to
    run both after the block and in it.
    """
    members, inside, tainted = [anchor], {anchor.operation.results[0]}, set[Any]()
    for op in later:
        operands = list(op.operation.operands)
        if not any(v in inside or v in tainted for v in operands):
            continue
        joins = _fits(op, anchor) and not any(v in tainted for v in operands)
        if joins and block_of(op) is None and len(members) < _MOST_OPS:
            members.append(op)
            inside.add(op.operation.results[0])
        else:
            tainted.update(op.operation.results)
    return members


def _with_one_result(members: Sequence[Any]) -> list[Any]:
    """The longest beginning of ``members`` whose last op alone is read from outside."""
    for length in range(len(members), 1, -1):
        kept = list(members[:length])
        names = [m.operation for m in kept]
        escaping = [m for m in kept if any(reader not in names for reader in _readers(m))]
        if escaping == [kept[-1]]:
            return kept
    return [members[0]]


def _written_row_major(last: Any) -> list[Any]:
    """The relayout with which a block ends, if its only reader wants another layout: one that is
    there, or one put before a row-major view that is a mere reshape in the logical order of dims.
    """
    result = last.operation.results[0]
    readers = [use.owner.opview for use in result.uses]
    if len(readers) != 1 or layout_of(result).is_default:
        return []
    if isinstance(readers[0], RelayoutOp):
        return readers
    view = readers[0]
    if not isinstance(view, ViewOp) or not layout_of(view.result).is_default:
        return []
    if movement(view) != "reshape":
        return []
    with ir.InsertionPoint(view), last.location:
        plain = tensor_of(shape(result), element_type(result))
        relayout = RelayoutOp(result, plain)
    view.operation.operands[0] = relayout.result
    return [relayout]


@dataclass(frozen=True)
class FuseBlocksPass:
    """``device``: 'cpu' or 'vulkan'; which windows get a kernel of their own depends on it.

    ``lanes``: how many must share a row equally if it is to have a kernel of its own.
    """

    device: DeviceKind = "vulkan"
    lanes: int = 1
    name: ClassVar[str] = "smartmem-fuse-blocks"

    def __post_init__(self) -> None:
        check_device(self.name, self.device)

    def run(self, module: Any) -> PassReport:
        """One sweep in program order: an op belongs to the first block that reaches it."""
        blocks = fused = 0
        for function in functions(module):
            ops = block_ops(function)
            for position, op in enumerate(ops):
                if isinstance(op, AttentionOp):
                    if attention_row_kernel(op, self.device, self.lanes).taken:
                        mark_row_kernel(op)
                    continue
                if not _is_seed(op, self.device, self.lanes):
                    continue
                members = _with_one_result(_grown(op, ops[position + 1 :]))
                members += _written_row_major(members[-1])
                for member in members:
                    mark(member, blocks)
                blocks += 1
                fused += len(members) - 1
        return PassReport(self.name, {"blocks": blocks, "ops_fused": fused})
