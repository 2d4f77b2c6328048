"""Chains over rows: reductions of rows, and elementwise ops between them and after them.

    x * y, a sum of each row of that, its root, x divided by it

Every tensor in such a chain is as large as the rows (``full``), or has one element per row, with
the row's dim left as 1 (``kept``) or gone (``stat``). One kernel can compute all of it, element by
element, from the tensors outside and the statistics before.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.attributes import ints, repr_of
from smartmem.dialects.layout.ops import (
    ContractOp,
    ConvOp,
    ElementwiseOp,
    ReduceOp,
    ViewOp,
    WeightOp,
    element_type,
    shape,
)
from smartmem.dialects.layouts import Layout
from smartmem.passes.analysis.blocks import block_of
from smartmem.passes.analysis.joins import producer
from smartmem.passes.analysis.reads import is_read_in_place
from smartmem.passes.rules.classes import movement

Form = Literal["full", "kept", "stat"]


@dataclass(frozen=True)
class Rows:
    """Rows along dim ``axis`` of tensors of shape ``full`` that lie as ``layout``."""

    full: tuple[int, ...]
    axis: int
    layout: Layout

    @classmethod
    def of(cls, op: ReduceOp) -> "Rows | None":
        """The rows that ``op`` reduces; None where they are along several dims, or no floats."""
        (*more, axis) = ints(op.attributes["dims"]) or (None,)
        full = shape(op.input)
        floats = all(isinstance(element_type(v), ir.FloatType) for v in (op.input, op.result))
        if more or axis is None or full[axis] == 1 or not floats:
            return None
        return cls(full, axis, _layout(op.input))

    def form(self, value: Any) -> Form | None:
        """What ``value`` is among these rows, by its shape and layout."""
        own = shape(value)
        if own == self.full:
            return "full" if _layout(value) == self.layout else None
        if not _layout(value).is_default:
            return None
        if own == (*self.full[: self.axis], 1, *self.full[self.axis + 1 :]):
            return "kept"
        return "stat" if own == (*self.full[: self.axis], *self.full[self.axis + 1 :]) else None

    def takes(self, op: Any, inside: Iterable[Any]) -> bool:
        """Whether ``op`` can be computed element by element where ``inside`` are computed."""
        if block_of(op) is not None or not isinstance(op, (ReduceOp, ElementwiseOp, ViewOp)):
            return False
        if isinstance(op, ReduceOp):
            return Rows.of(op) == self
        form = self.form(op.result)
        own = [v for v in op.operation.operands if v in inside]
        if isinstance(op, ViewOp):
            unit = {self.form(op.input), form} <= {"kept", "stat"}
            return unit and bool(own) and movement(op) == "reshape"
        if form is None:
            return False
        if form == "full":
            others = [v for v in op.operands if v not in own and shape(v) == self.full]
            apart = all(self.form(v) == "full" for v in others)
            return apart and all(self.form(v) in ("full", "kept") for v in own)
        alike = all(self.form(v) == form for v in own)
        scalars = all(not shape(v) for v in op.operands if v not in own)
        return bool(own) and alike and (scalars or form == "kept")


def _layout(value: Any) -> Layout:
    return repr_of(ir.RankedTensorType(value.type)).layout


def _result(op: Any) -> Any:
    return op.operation.results[0]


def _only_inside(op: Any, members: Sequence[Any]) -> bool:
    names = [m.operation for m in members]
    return all(use.owner in names for use in _result(op).uses)


def with_producers(members: Sequence[Any], rows: Rows, places: Mapping[Any, float]) -> list[Any]:
    """``members`` and the ops before them that can be computed with them and that only they read,
    in program order, which ``places`` gives by result.

    What a sum of products can compute as it writes is left to it, where the rows are then read
    from one tensor all the same.
    """
    found = list(members)
    pending = [value for op in members for value in op.operation.operands]
    while pending:
        op = producer(pending.pop())
        if op is None or not _may_join(op, rows) or any(op.operation == m.operation for m in found):
            continue
        if _only_inside(op, found):
            found.append(op)
            pending += op.operation.operands
    joined: list[Any] = []
    for op in sorted(found, key=lambda op: places[_result(op)]):
        if rows.takes(op, [_result(m) for m in joined]):
            joined.append(op)
    if not all(_only_inside(op, joined) for op in joined[:-1]):
        return list(members)
    return _less_epilogue(joined, rows)


def _may_join(op: Any, rows: Rows) -> bool:
    if isinstance(op, ReduceOp):
        return Rows.of(op) == rows
    elements = isinstance(op, (ElementwiseOp, ViewOp)) and not is_read_in_place(op)
    return elements and rows.form(_result(op)) is not None


def _less_epilogue(members: list[Any], rows: Rows) -> list[Any]:
    """``members`` less the beginning that the kernel before them computes at no cost."""
    for length in range(len(members) - 1, 0, -1):
        first, rest = members[:length], members[length:]
        if not all(isinstance(op, ElementwiseOp) for op in first):
            continue
        given = [_result(op) for op in first if not _only_inside(op, first)]
        read = _read(first, rows)
        made_by = [producer(value) for value in read]
        if len(given) == len(read) == 1 and isinstance(made_by[0], (ContractOp, ConvOp)):
            return rest
    return members


def _read(members: Sequence[Any], rows: Rows) -> list[Any]:
    """The tensors as large as the rows that ``members`` read from outside, weights aside."""
    inside = [_result(op) for op in members]
    read: list[Any] = []
    for op in members:
        for value in op.operation.operands:
            weight = isinstance(producer(value), WeightOp)
            if shape(value) == rows.full and not weight and value not in (*inside, *read):
                read.append(value)
    return read
